"""The arena of a keep: chunks for frames that are too large for a ring. Layout and crash points stand in `keep.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from transport.keep_memory import CHUNK_BYTES, KeepMemory
from transport.port import Broken

CHUNKS_IDLE: Final = 128
"""Chunks (32 MiB) whose pages stay for the next large message once none is in use."""


class Arena:
    """Chunks for frames that are too large for a ring, shared by all lanes of the slot."""

    def __init__(self, memory: KeepMemory) -> None:
        self._memory = memory
        self._offset = memory.header.arena_offset()
        self._count = memory.header.arena_bytes // CHUNK_BYTES
        self._free = list(range(self._count - 1, -1, -1))
        self._used: set[int] = set()
        self._touched = self._count
        """Above this chunk no page is allocated; what earlier processes allocated is not known."""
        self.pledged = 0
        """Chunks that messages not published yet will take."""

    def has(self, frame_bytes: int) -> bool:
        """Whether there are chunks, free and not pledged, for a frame."""
        return chunk_count(frame_bytes) + self.pledged <= len(self._free)

    def take(self, chunk: int, where: str) -> None:
        """Mark a chunk as used by a record that was found when the keep was opened."""
        if chunk >= self._count or chunk in self._used:
            raise Broken(f"{where}: chunk {chunk} of {self._count} does not exist, or is another's")
        self._used.add(chunk)
        self._free.remove(chunk)

    def store(self, data: bytes) -> tuple[int, ...]:
        """Write into free chunks; the caller has checked that there are enough. Raises OSError when memory runs out."""
        chunks = tuple(self._free[-chunk_count(len(data)) :][::-1])
        source = memoryview(data)
        for i, chunk in enumerate(chunks):
            part = source[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES]
            start = self._offset + chunk * CHUNK_BYTES
            os.posix_fallocate(self._memory.fd, start, CHUNK_BYTES)
            self._memory.bytes[start : start + len(part)] = part
        del self._free[-len(chunks) :]
        self._used.update(chunks)
        self._touched = max(self._touched, *(chunk + 1 for chunk in chunks))
        return chunks

    def load(self, chunks: tuple[int, ...], size: int) -> bytes:
        """The first `size` bytes in these chunks."""
        starts = [self._offset + chunk * CHUNK_BYTES for chunk in chunks]
        sizes = [CHUNK_BYTES] * (len(chunks) - 1) + [size - (len(chunks) - 1) * CHUNK_BYTES]
        return b"".join(self._memory.bytes[at : at + part] for at, part in zip(starts, sizes, strict=True))

    def give_back(self, chunks: Iterable[int]) -> None:
        """Free these chunks; those used last are used next."""
        for chunk in chunks:
            self._used.remove(chunk)
            self._free.append(chunk)
        self.trim()

    def trim(self) -> None:
        """Once no chunk is in use, give back the pages of all but the first ones."""
        if self._used or self._touched <= CHUNKS_IDLE:
            return
        self._memory.free_pages(self._offset + CHUNKS_IDLE * CHUNK_BYTES)
        self._free = list(range(self._count - 1, -1, -1))
        self._touched = 0


def chunk_count(frame_bytes: int) -> int:
    """How many chunks a large frame takes."""
    return -(-frame_bytes // CHUNK_BYTES)
