"""CRC32C that can be continued, by the processor where it can."""

def crc32c(data: bytes | bytearray | memoryview, start: int, /) -> int:
    """The checksum of `data` behind what `start` is the checksum of."""
