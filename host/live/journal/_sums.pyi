"""CRC32C that can be continued, by the processor where it can."""

def crc32c(data: bytes | bytearray | memoryview, start: int, /) -> int:
    """The checksum of `data` behind what `start` is the checksum of."""

def record(kind: int, engine: int, body: bytes | memoryview, /) -> bytes:
    """A record with its head and CRC32C, padded: `layout.encode_record`."""
