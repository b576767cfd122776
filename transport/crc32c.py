"""CRC-32C by table: slow, for what a native build wrote."""

from __future__ import annotations

from typing import Final

_POLYNOMIAL: Final = 0x82F63B78


def _make_table() -> list[int]:
    table = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (_POLYNOMIAL if rest & 1 else 0)
        table.append(rest)
    return table


_TABLE: Final = _make_table()


def crc32c(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """The checksum of what `start` is the checksum of (0: nothing) and `data` behind it."""
    rest = start ^ 0xFFFFFFFF
    for byte in data:
        rest = rest >> 8 ^ _TABLE[(rest ^ byte) & 0xFF]
    return rest ^ 0xFFFFFFFF
