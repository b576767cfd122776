"""The memory of a keep: its header, made and checked, and its mapping. The table of the layout stands in `keep.py`."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from typing import Final, NamedTuple

from transport.port import (
    ARENA_BYTES,
    LANE_BYTES,
    LANE_BYTES_MAX,
    LANE_BYTES_MIN,
    MESSAGE_BYTES_MAX,
    SLOTS_MAX,
    Broken,
)

MAGIC: Final = int.from_bytes(b"EHKEEP\0\0", "little")
LAYOUT_VERSION: Final = 1
CHUNK_BYTES: Final = 1 << 18
"""Small enough that 1,024 large messages fit the default arena, large enough that a reference stays short."""
ARENA_BYTES_MAX: Final = CHUNK_BYTES << 15
"""8 GiB: a chunk's number fits 16 bits."""

_HEADER: Final = struct.Struct("<5Q")
ENTRIES: Final = 4096
"""Where the words of peer 0 begin."""
ENTRY_BYTES: Final = 128
RINGS: Final = ENTRIES + SLOTS_MAX * ENTRY_BYTES
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Header(NamedTuple):
    """Identity and sizes of a keep."""

    identity: int
    lane_bytes: int
    arena_bytes: int

    def arena_offset(self) -> int:
        """Where the chunks begin."""
        return -(-(RINGS + SLOTS_MAX * self.lane_bytes) // CHUNK_BYTES) * CHUNK_BYTES

    def file_bytes(self) -> int:
        """How long the file is."""
        return self.arena_offset() + self.arena_bytes


def create_keep(lane_bytes: int = LANE_BYTES, arena_bytes: int = ARENA_BYTES) -> int:
    """Create the memory of a slot; the caller owns the descriptor. The arena also gets room for the heads of frames."""
    _check_sizes(lane_bytes, arena_bytes)
    identity = int.from_bytes(os.urandom(8), "little") or 1
    heads = arena_bytes // MESSAGE_BYTES_MAX * CHUNK_BYTES
    header = Header(identity, lane_bytes, arena_bytes // CHUNK_BYTES * CHUNK_BYTES + heads)
    fd = os.memfd_create("enginehost-keep", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, header.file_bytes())
        os.posix_fallocate(fd, 0, RINGS)
        os.pwrite(fd, _HEADER.pack(MAGIC, LAYOUT_VERSION, *header), 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_sizes(lane_bytes: int, arena_bytes: int) -> None:
    if not LANE_BYTES_MIN <= lane_bytes <= LANE_BYTES_MAX or lane_bytes & lane_bytes - 1:
        raise ValueError(f"lane_bytes {lane_bytes} is not a power of two from {LANE_BYTES_MIN} to {LANE_BYTES_MAX}")
    if not MESSAGE_BYTES_MAX <= arena_bytes <= ARENA_BYTES_MAX:
        raise ValueError(f"arena_bytes {arena_bytes} is not from {MESSAGE_BYTES_MAX} to {ARENA_BYTES_MAX}")


def read_header(fd: int) -> Header:
    """The header of a keep. Raises Broken when it is no keep, or one that could change its size under a mapping."""
    data = os.pread(fd, _HEADER.size, 0)
    if len(data) < _HEADER.size:
        raise Broken(f"a keep of {len(data)} bytes")
    magic, version, *rest = _HEADER.unpack(data)
    if magic != MAGIC or version != LAYOUT_VERSION:
        raise Broken(f"a keep with magic {magic:#x} and layout {version}, this is {MAGIC:#x} and {LAYOUT_VERSION}")
    header = Header(*rest)
    try:
        _check_sizes(header.lane_bytes, header.arena_bytes)
    except ValueError as finding:
        raise Broken(f"a keep whose {finding}") from None
    size = os.fstat(fd).st_size
    if size != header.file_bytes() or header.identity == 0 or fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise Broken(f"a keep of {size} bytes, {header.file_bytes()} expected, sealed, with an identity")
    return header


class KeepMemory:
    """A keep mapped for writing: `bytes` of the whole file, `words` up to the rings."""

    def __init__(self, fd: int) -> None:
        """Takes over `fd`, also when it fails. Raises `Broken`, OSError."""
        self.fd = fd
        try:
            self.header = read_header(fd)
            self._map = mmap.mmap(fd, self.header.file_bytes())
        except BaseException:
            os.close(fd)
            raise
        self.bytes = memoryview(self._map)
        self.words = self.bytes[:RINGS].cast("Q")

    def close(self) -> None:
        """Unmap. Idempotent."""
        if self._map.closed:
            return
        self.words.release()
        self.bytes.release()
        self._map.close()
        os.close(self.fd)

    def free_pages(self, offset: int) -> None:
        """Give the pages from `offset` to the file's end back to the system."""
        self._map.madvise(mmap.MADV_REMOVE, offset, self.header.file_bytes() - offset)


def entry_word(peer: int) -> int:
    """The index in `words` of a peer's first word."""
    return (ENTRIES + peer * ENTRY_BYTES) // 8
