"""Numbered frames between two slots over ZeroMQ: what is sent again, what is expected, what repeats. No sockets here.

A socket promises order while a connection lives and nothing beyond. What a lane gets from shared memory is made here
from positions: a frame's is the number of bytes its lane published before it, in the keep of its slot (`keep.py`), so
that it goes on over all processes of the slot. Each attachment of a link to a peer is a *life*; lives of a slot rise
with its generation. Three messages, each an envelope of 32 bytes, little endian:

  offset  size  type  meaning        data                 hello                      ack
       0     1  u8    tag            1                    2                          3
       1     3        0
       4     4  u32   slot           the writer of this message, always
       8     8  u64   identity       of the writer's keep, always
      16     8  u64   life           the sender's         the sender's               the acknowledged stream's
      24     8  u64   position       the frame's          the oldest frame kept      acknowledged up to here
      32     …                       u64 next position,   u64 your identity, your
                                     the frame            life, what I released

* The first message on each connection is a hello. A hello with a life not seen before makes its reader connect to that
  peer anew, send its own hello, and resend everything unacknowledged. So both ends learn of each other's death.
* A hello counts only when each end is the slot that the other was linked with, because a number may be reused.
* Data is taken only if it belongs to the life last announced and is at exactly the expected position. Otherwise it is a
  repeat, will come again, or comes from a process that has been replaced and does not know it: its life is lower.
* The receiver writes what it released to its own keep before it acknowledges it. A lost acknowledgement is repeated by
  the next hello.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final, NamedTuple

from transport.frames import encode_frame
from transport.keep import ReleasedMark
from transport.keep_arena import Arena
from transport.keep_memory import Header
from transport.kept_lane import KeptFrame, KeptLane
from transport.port import SLOTS_MAX, Broken
from transport.sending import Sealed

TAG_DATA: Final = 1
TAG_HELLO: Final = 2
TAG_ACK: Final = 3
ENVELOPE: Final = struct.Struct("<BxxxIQQQ")
HELLO_REST: Final = struct.Struct("<QQQ")
DATA_FRONT: Final = struct.Struct("<BxxxIQQQQ")
"""An envelope and the next position; the frame follows."""


class StreamEnvelope(NamedTuple):
    """The front of a message, as in the table above."""

    tag: int
    slot: int
    identity: int
    life: int
    position: int


def unpack_envelope(data: bytes) -> StreamEnvelope:
    """The envelope of a message. Raises Broken when it is too short or not one of the three."""
    if len(data) < ENVELOPE.size:
        raise Broken(f"a message of {len(data)} bytes is shorter than an envelope")
    envelope = StreamEnvelope(*ENVELOPE.unpack_from(data))
    if envelope.tag not in (TAG_DATA, TAG_HELLO, TAG_ACK) or envelope.slot >= SLOTS_MAX:
        raise Broken(f"tag {envelope.tag} from slot {envelope.slot} is not known")
    if envelope.tag == TAG_HELLO and len(data) != ENVELOPE.size + HELLO_REST.size:
        raise Broken(f"a hello of {len(data)} bytes")
    if envelope.tag == TAG_DATA and len(data) < DATA_FRONT.size:
        raise Broken(f"data of {len(data)} bytes")
    return envelope


class OutgoingStream:
    """The sender's end: frames that are not acknowledged, and which of them the socket does not have yet."""

    def __init__(self, life: int, lane: KeptLane, arena: Arena) -> None:
        """Begins with what the slot's earlier processes left. Raises Broken, see `KeptLane.records`."""
        self.life = life
        self.lane = lane
        self._arena = arena
        self.kept: deque[KeptFrame] = deque(lane.records())
        self.waiting: deque[KeptFrame] = deque()
        self.tail = lane.tail()

    def head(self) -> int:
        """The position of the oldest frame kept, or of the next one."""
        return self.kept[0].position if self.kept else self.tail

    def kept_bytes(self) -> int:
        """What all that is kept takes of the lane's capacity."""
        return sum(kept.size for kept in self.kept)

    def publish(self, frames: list[Sealed]) -> list[tuple[KeptFrame, bytes]]:
        """Write frames behind the last ones, then make them count: from now on they survive this process."""
        written = []
        for frame, size in frames:
            data = encode_frame(frame, self.tail)
            kept = self.lane.write(self.tail, size, data)
            self.tail = kept.end
            written.append((kept, data))
        self.lane.move_tail(self.tail)
        self.kept.extend(kept for kept, _ in written)
        return written

    def begin_again(self) -> None:
        """Start over on a new connection: everything kept waits again."""
        self.waiting = deque(self.kept)

    def acknowledge(self, life: int, position: int) -> int:
        """Forget frames up to `position`. Returns the capacity that is free again; 0 when the life is another.

        Raises Broken for a frame that was never sent.
        """
        if life != self.life:
            return 0
        if position > self.tail:
            raise Broken(f"{position} is acknowledged, {self.tail} bytes were sent")
        return self._forget(position)

    def forget_all(self) -> int:
        """Forget every frame: the peer is gone. Returns the capacity that is free again."""
        return self._forget(self.tail)

    def _forget(self, position: int) -> int:
        freed = 0
        gone: list[int] = []
        while self.kept and self.kept[0].end <= position:
            kept = self.kept.popleft()
            freed += kept.size
            gone += kept.chunks
        while self.waiting and self.waiting[0].end <= position:
            self.waiting.popleft()
        if freed:
            self.lane.move_head(self.head())
            self._arena.give_back(gone)
        return freed


class IncomingStream:
    """The receiver's end: the life it follows (0: none yet) and how far it is, in bytes of the peer's lane."""

    def __init__(self, header: Header, mark: ReleasedMark) -> None:
        self.identity = header.identity
        self._lane_bytes = header.lane_bytes
        self._mark = mark
        self.life = 0
        self.expected = self.drained = self.released = mark.position()

    def follow(self, life: int, first: int) -> None:
        """Follow a new life, whose oldest frame is at `first`. What lies between was forgotten by its sender."""
        self.life = life
        self.expected = max(self.expected, first)

    def take(self, life: int, position: int, end: int) -> bool:
        """Accept a frame if it is the expected one; the next is expected at `end`. Raises Broken for wrong bounds."""
        if life != self.life or position != self.expected:
            return False
        if not 0 < end - position <= self._lane_bytes:
            raise Broken(f"a record from {position} to {end} in a lane of {self._lane_bytes} bytes")
        self.expected = end
        return True

    def release(self) -> bool:
        """Record that everything drained was handled. False when there was nothing new."""
        if self.drained <= self.released:
            return False
        self._mark.move(self.drained)
        self.released = self.drained
        return True
