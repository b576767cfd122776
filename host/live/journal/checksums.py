"""The checksums available here: CRC32C where the native core was built, zlib's CRC-32 everywhere."""

from __future__ import annotations

import zlib
from typing import Final

from host.node.journal.checksum import CRC32, CRC32C, PURE, Checksum
from host.node.journal.layout import Pack, packer
from transport.native import native_available

try:
    from host.live.journal import _sums

    _sum: Checksum | None = _sums.crc32c
    _record: Pack | None = _sums.record
except ImportError:
    _sum = _record = None

_NATIVE: Final = _sum


def checksums() -> dict[int, Checksum]:
    """The checksums that can be written and read here, by kind."""
    return PURE if _NATIVE is None else {CRC32C: _NATIVE, CRC32: zlib.crc32}


def kind_written() -> int:
    """The kind of new segments: CRC32C where it costs nothing."""
    return CRC32C if _NATIVE is not None and native_available() else CRC32


def pack_of(kind: int) -> Pack:
    """The function that makes records of a segment with this kind of checksum."""
    return _record if kind == CRC32C and _record is not None else packer(checksums()[kind])
