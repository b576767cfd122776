"""The two checksums of journals, with a start value, so that one can be continued: `f(b, f(a, 0)) == f(a + b, 0)`.

A native build writes CRC32C, any other build zlib's CRC-32; both read both.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

Checksum = Callable[[bytes | bytearray | memoryview, int], int]
"""From bytes, and the checksum of the bytes before them (0 for none), to the checksum of both."""

CRC32C: Final = 1
CRC32: Final = 2

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


def crc32c(data: bytes | bytearray | memoryview, start: int) -> int:
    """CRC32C by table: slow, for logs that a native build wrote."""
    rest = start ^ 0xFFFFFFFF
    for byte in data:
        rest = rest >> 8 ^ _TABLE[(rest ^ byte) & 0xFF]
    return rest ^ 0xFFFFFFFF


PURE: Final[dict[int, Checksum]] = {CRC32C: crc32c, CRC32: zlib.crc32}
"""Checksums by kind, without a native build."""
