"""CRC32C that can be continued, by the processor's instruction where it has one."""

def crc32c(data: bytes | bytearray | memoryview, start: int, /) -> int:
    """The checksum of `data` appended to the data whose checksum is `start`."""

def record(kind: int, engine: int, body: bytes | memoryview, /) -> bytes:
    """A record with its head and CRC32C, padded: `layout.encode_record`."""
