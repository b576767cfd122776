"""A lane in plain Python, as slow and as plain as `lane.h` reads: an oracle for the one in C.

The writer says what bytes must stand in the ring, and where; the reader reads what the C core wrote there. Both know
only the tables of `slot.h` and `frame.h`. Small messages only: what lies in a block has a place in the arena instead.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from slot_memory import ENTRY, PAGE, SlotMemory

from transport.crc32c import crc32c
from transport.frames import CHECKED_FROM, CHECKSUM_CRC32C, HEADER, decode_frame, head_bytes, message_bytes
from transport.port import FRAME_MESSAGES_MAX, KIND_MESSAGES, Frame

FRAME_SOFT_BYTES_MAX: Final = 32768
PADDING: Final = 1 << 31
MASK: Final = (1 << 32) - 1


def align8(bytes_: int) -> int:
    return bytes_ + 7 & ~7


@dataclass
class Stream:
    """Who sends, to whom; equal only to itself."""

    sender: str
    target: str
    mailbox: int
    epoch: int
    next_n: int
    kind: int = KIND_MESSAGES

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass
class Open:
    """The frame that grows: `bytes_` of at most `limit`."""

    stream: Stream
    first_n: int
    limit: int
    bytes_: int
    payloads: list[bytes] = field(default_factory=list)


@dataclass
class ReferenceWriter:
    """The producer's end. `head` is what the consumer's word says now; it is looked at only when room is short."""

    capacity: int
    write: int = 0
    published: int = 0
    head: int = 0
    head_seen: int = 0
    open: Open | None = None
    written: list[tuple[int, bytes]] = field(default_factory=list)
    """Index in the ring, and the bytes that must stand there; up to `published` once that has passed."""

    def restart(self) -> None:
        """The slot's next process: what was not published is forgotten."""
        self.write, self.open, self.written = self.published, None, []
        self.head_seen = self.head

    def send(self, stream: Stream, payload: bytes) -> bool:
        frame, bytes_ = self.open, message_bytes(len(payload))
        if frame is None or frame.stream != stream or not self._fits(frame, bytes_):
            if (frame is not None and frame.stream == stream) or self.write - self.published >= FRAME_SOFT_BYTES_MAX:
                self.publish()
            frame = self._begin(stream, bytes_)
        if frame is None:
            return False
        frame.payloads.append(payload)
        frame.bytes_ += bytes_
        stream.next_n += 1
        return True

    def signal(self, kind: int, target: str) -> bool:
        if self._begin(Stream("", target, 0, 0, 0, kind), 0) is None:
            return False
        self._seal()
        return True

    def publish(self) -> None:
        self._seal()
        self.published = self.write

    def _fits(self, frame: Open, bytes_: int) -> bool:
        return len(frame.payloads) < FRAME_MESSAGES_MAX and frame.bytes_ + bytes_ <= frame.limit

    def _free(self) -> int:
        return self.capacity - (self.write - self.head_seen)

    def _begin(self, stream: Stream, bytes_: int) -> Open | None:
        self._seal()
        head = head_bytes(stream.sender.encode(), stream.target.encode())
        needed = head + bytes_
        to_end = self.capacity - self.write % self.capacity
        padding = to_end if needed > to_end else 0
        if self._free() < padding + align8(needed):
            self.head_seen = self.head
        if self._free() < padding + align8(needed):
            self.publish()
            return None
        if padding:
            said = PADDING | padding
            self.written.append((self.write % self.capacity, struct.pack("<II", said, ~said & MASK)))
            self.write += padding
            to_end = self.capacity
        soft = max(min(self.capacity // 8, FRAME_SOFT_BYTES_MAX), needed)
        self.open = Open(stream, stream.next_n, min(soft, self._free(), to_end), head)
        return self.open

    def _seal(self) -> None:
        if self.open is None:
            return
        data = frame_bytes(self.open, self.write)
        self.written.append((self.write % self.capacity, data))
        self.write += align8(len(data))
        self.open = None


def frame_bytes(frame: Open, position: int) -> bytes:
    """A complete frame as the native core writes it."""
    stream = frame.stream
    names = stream.sender.encode() + stream.target.encode()
    body = names + bytes(-len(names) % 8)
    for payload in frame.payloads:
        body += struct.pack("<I", len(payload)) + payload + bytes(-len(payload) % 4)
    fields = (
        CHECKSUM_CRC32C,
        stream.kind,
        0,
        len(frame.payloads),
        position,
        frame.first_n,
        stream.epoch,
        stream.mailbox,
    )
    sizes = (len(stream.sender.encode()), len(stream.target.encode()))
    data = bytearray(HEADER.pack(HEADER.size + len(body), 0, *fields, *sizes) + body)
    struct.pack_into("<I", data, 4, crc32c(memoryview(data)[CHECKED_FROM:]))
    return bytes(data)


class ReferenceReader:
    """The consumer's end: reads the ring from `producer` to `consumer`, without a word of its own."""

    def __init__(self, memory: SlotMemory, producer: int, consumer: int) -> None:
        self.memory, self.producer, self.consumer = memory, producer, consumer
        self.read = 0

    def drain(self) -> list[tuple[int, Frame]]:
        """All frames published since the last time, each with the position behind it."""
        frames = []
        while self.read < self.memory.tail(self.consumer):
            index = self.read % self.memory.lane_bytes
            (length,) = struct.unpack_from("<I", self.memory.map, self.memory.ring(self.consumer) + index)
            if length & PADDING:
                self.read += length & ~PADDING
                continue
            data = self.memory.frame(self.consumer, index)
            frame = decode_frame(data, self.producer, self.read)
            self.read += align8(length)
            frames.append((self.read, frame))
        assert self.read == self.memory.tail(self.consumer)
        return frames


def head_of(memory: SlotMemory, producer: int) -> int:
    """The head in a consumer's `in`."""
    return memory.read(PAGE + producer * ENTRY)
