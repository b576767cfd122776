"""The two checksums of journals, with a start value, so that one can be continued: `f(b, f(a, 0)) == f(a + b, 0)`.

A native build writes CRC32C, any other build zlib's CRC-32; both read both.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from transport.crc32c import crc32c

Checksum = Callable[[bytes | bytearray | memoryview, int], int]
"""From bytes, and the checksum of the bytes before them (0 for none), to the checksum of both."""

CRC32C: Final = 1
CRC32: Final = 2

PURE: Final[dict[int, Checksum]] = {CRC32C: crc32c, CRC32: zlib.crc32}
"""Checksums by kind, without a native build."""
