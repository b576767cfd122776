"""The ring of a keep to one peer, and its two positions. Layout, owners and crash points stand in `keep.py`."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from transport.frames import HEADER, NAME_BYTES_MAX, head_bytes, message_bytes
from transport.keep_arena import Arena, chunk_count
from transport.keep_memory import RINGS, KeepMemory, entry_word
from transport.port import MESSAGE_BYTES_MAX, Broken

READER: Final = 0
_HEAD: Final = 1
_TAIL: Final = 2
_REFERENCE: Final = struct.Struct("<IIQ")
_LENGTH: Final = struct.Struct("<I")
_REFERENCE_BIT: Final = 1 << 31
FRAME_BYTES_MAX: Final = head_bytes(bytes(NAME_BYTES_MAX), bytes(NAME_BYTES_MAX)) + message_bytes(MESSAGE_BYTES_MAX)
"""The frame of the largest message."""


class KeptFrame(NamedTuple):
    """A kept frame: the bounds of its record, the capacity it counts for, and its chunks when it is large."""

    position: int
    end: int
    size: int
    frame_bytes: int
    chunks: tuple[int, ...]


class KeptLane:
    """The ring to one peer, and its two positions."""

    def __init__(self, memory: KeepMemory, arena: Arena, peer: int) -> None:
        self.entry = entry_word(peer)
        self._peer = peer
        self._memory = memory
        self._arena = arena
        self._capacity = memory.header.lane_bytes
        self._ring = RINGS + peer * self._capacity
        self._reserved = False

    def tail(self) -> int:
        """Where the next record begins."""
        return self._memory.words[self.entry + _TAIL]

    def move_tail(self, position: int) -> None:
        """Publish what was written up to `position`, by one store."""
        self._memory.words[self.entry + _TAIL] = position

    def head(self) -> int:
        """Where the oldest record begins."""
        return self._memory.words[self.entry + _HEAD]

    def move_head(self, position: int) -> None:
        """Keep nothing below `position` any more, by one store."""
        self._memory.words[self.entry + _HEAD] = position

    def reserve(self) -> None:
        """Allocate the ring, so that a write never faults. Raises OSError when there is no memory."""
        if not self._reserved:
            os.posix_fallocate(self._memory.fd, self._ring, self._capacity)
            self._reserved = True

    def write(self, position: int, size: int, data: bytes) -> KeptFrame:
        """Write the record of a frame that counts as `size` bytes, at `position`. The caller has made sure it fits."""
        if len(data) <= size:
            self._put(position, data)
            return KeptFrame(position, position + len(data), size, len(data), ())
        chunks = self._arena.store(data)
        length = _REFERENCE.size + 2 * len(chunks)
        record = _REFERENCE.pack(length | _REFERENCE_BIT, size, len(data)) + struct.pack(f"<{len(chunks)}H", *chunks)
        self._put(position, record)
        return KeptFrame(position, position + length, size, len(data), chunks)

    def frame(self, kept: KeptFrame) -> bytes:
        """The bytes of a frame that is kept."""
        if kept.chunks:
            return self._arena.load(kept.chunks, kept.frame_bytes)
        return self._get(kept.position, kept.frame_bytes)

    def records(self) -> Iterator[KeptFrame]:
        """What is kept, oldest first. Raises Broken where the memory is not what a process of this slot wrote."""
        position, tail = self.head(), self.tail()
        if not 0 <= tail - position <= self._capacity:
            raise self._broken(position, f"its tail is {tail}, its ring {self._capacity}")
        while position < tail:
            kept = self._record(position, tail)
            yield kept
            position = kept.end

    def _record(self, position: int, tail: int) -> KeptFrame:
        left = tail - position
        (first,) = _LENGTH.unpack(self._get(position, _LENGTH.size)) if left >= _LENGTH.size else (0,)
        length = first & ~_REFERENCE_BIT
        if not (_REFERENCE.size if first & _REFERENCE_BIT else HEADER.size) <= length <= left:
            raise self._broken(position, f"a record of {length} bytes in {left}")
        if not first & _REFERENCE_BIT:
            return KeptFrame(position, position + length, length, length, ())
        record = self._get(position, length)
        _, size, frame_bytes = _REFERENCE.unpack_from(record)
        count = chunk_count(frame_bytes)
        if length != _REFERENCE.size + 2 * count or not length <= size < frame_bytes <= FRAME_BYTES_MAX:
            raise self._broken(position, f"a reference of {length} bytes to {frame_bytes}, counted as {size}")
        chunks = struct.unpack_from(f"<{count}H", record, _REFERENCE.size)
        return KeptFrame(position, position + length, size, frame_bytes, chunks)

    def _put(self, position: int, data: bytes) -> None:
        at = position & self._capacity - 1
        memory, start = self._memory.bytes, self._ring + at
        before = min(len(data), self._capacity - at)
        if before == len(data):
            memory[start : start + before] = data
        else:
            memory[start : start + before] = data[:before]
            memory[self._ring : self._ring + len(data) - before] = data[before:]

    def _get(self, position: int, count: int) -> bytes:
        at = position & self._capacity - 1
        memory, start = self._memory.bytes, self._ring + at
        before = min(count, self._capacity - at)
        data = bytes(memory[start : start + before])
        return data if before == count else data + bytes(memory[self._ring : self._ring + count - before])

    def _broken(self, position: int, finding: str) -> Broken:
        return Broken(f"what is kept for slot {self._peer}, at {position}: {finding}")
