"""A slot's memory seen from outside, as a hostile peer would: the table of `slot.h` in Python."""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

from transport.frames import encode_frame
from transport.port import Frame

PAGE: Final = 4096
ENTRY: Final = 128
RINGS: Final = PAGE + 64 * ENTRY
WORD: Final = struct.Struct("<Q")
MAGIC, LAYOUT, IDENTITY, LANE_BYTES, GENERATION, ARMED = 0, 8, 16, 24, 64, 128


class SlotMemory:
    """`out` (up to its arena) or `in` of a slot, mapped writable."""

    def __init__(self, fd: int, lane_bytes: int) -> None:
        self.lane_bytes = lane_bytes
        self.map = mmap.mmap(fd, min(os.fstat(fd).st_size, RINGS + 64 * lane_bytes))

    def read(self, offset: int) -> int:
        return int(WORD.unpack_from(self.map, offset)[0])

    def write(self, offset: int, value: int) -> None:
        WORD.pack_into(self.map, offset, value)

    def tail_offset(self, peer: int) -> int:
        return PAGE + peer * ENTRY

    def tail(self, peer: int) -> int:
        return self.read(self.tail_offset(peer))

    def ring(self, peer: int) -> int:
        """Where the ring to a peer begins."""
        return RINGS + peer * self.lane_bytes

    def frame(self, peer: int, position: int) -> bytes:
        """The frame at a position of the ring to a peer."""
        at = self.ring(peer) + position
        (length,) = struct.unpack_from("<I", self.map, at)
        return self.map[at : at + length]

    def append(self, peer: int, frames: list[Frame]) -> None:
        """Publish frames as the slot's process would, in the first lap."""
        for frame in frames:
            self.append_bytes(peer, encode_frame(frame, self.tail(peer)))

    def append_bytes(self, peer: int, data: bytes) -> None:
        tail = self.tail(peer)
        at = self.ring(peer) + tail
        self.map[at : at + len(data)] = data
        self.write(self.tail_offset(peer), tail + (len(data) + 7 & ~7))

    def close(self) -> None:
        self.map.close()
