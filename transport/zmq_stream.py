"""Numbered frames between two slots over ZeroMQ: what is kept, what is expected, what is repeated. No sockets here.

A socket promises order while a connection lives and nothing beyond. What a lane gets from shared memory is made here
from numbers. Each attachment of a link to a peer is a *life*; lives of a slot rise. A sender numbers its frames from 1
in each life and keeps them until they are acknowledged. Three messages, each an envelope of 24 bytes, little endian:

  offset  size  type  meaning        data                 hello                      ack
       0     1  u8    tag            1                    2                          3
       1     3        0
       4     4  u32   slot           the writer of this message, always
       8     8  u64   life           the sender's         the sender's               the acknowledged stream's
      16     8  u64   number         the frame's          the next frame's to come   acknowledged up to here
      24     …                       the frame            u64 your life, u64 the number released of it

* The first message on each connection is a hello. Who reads a hello of a life it has not seen makes a new connection to
  that peer, says hello itself, and sends again all that was not acknowledged: so both ends learn of each other's death.
* Only data of the life last announced, with exactly the expected number, is taken. All else is a repeat, or will come
  again.
* What was released is written into `Marks`, a file beside the socket, so that a process killed right after `release`
  does not leave its successor with frames it has handled. An acknowledgement may get lost; the next hello repeats it.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import deque
from typing import Final, NamedTuple

from transport.port import SLOTS_MAX, Broken

TAG_DATA: Final = 1
TAG_HELLO: Final = 2
TAG_ACK: Final = 3
ENVELOPE: Final = struct.Struct("<BxxxIQQ")
HELLO_REST: Final = struct.Struct("<QQ")


class Envelope(NamedTuple):
    """The front of a message, as in the table above."""

    tag: int
    slot: int
    life: int
    number: int


def unpack_envelope(data: bytes) -> Envelope:
    """The envelope of a message. Raises Broken when it is too short or not one of the three."""
    if len(data) < ENVELOPE.size:
        raise Broken(f"a message of {len(data)} bytes is shorter than an envelope")
    envelope = Envelope(*ENVELOPE.unpack_from(data))
    if envelope.tag not in (TAG_DATA, TAG_HELLO, TAG_ACK) or envelope.slot >= SLOTS_MAX:
        raise Broken(f"tag {envelope.tag} from slot {envelope.slot} is not known")
    if envelope.tag == TAG_HELLO and len(data) != ENVELOPE.size + HELLO_REST.size:
        raise Broken(f"a hello of {len(data)} bytes")
    return envelope


class Kept(NamedTuple):
    """A frame as bytes that is not acknowledged, and what it takes of the lane's capacity."""

    number: int
    size: int
    data: bytes


class Outgoing:
    """The sender's end: frames of this life that are not acknowledged, and how many of them the socket has."""

    def __init__(self, life: int) -> None:
        self.life = life
        self.next_number = 1
        self.kept: deque[Kept] = deque()
        self.passed = 0

    def first_number(self) -> int:
        """The number of the oldest frame kept, or of the next one."""
        return self.kept[0].number if self.kept else self.next_number

    def keep(self, data: bytes, size: int) -> None:
        """Append an encoded frame with the number `next_number`."""
        self.kept.append(Kept(self.next_number, size, data))
        self.next_number += 1

    def acknowledge(self, life: int, number: int) -> int:
        """Forget frames up to `number`. Returns the capacity that is free again. An ack of another life means nothing.

        Raises Broken for a frame that was never sent.
        """
        if life != self.life:
            return 0
        if number >= self.next_number:
            raise Broken(f"frame {number} is acknowledged, {self.next_number} is the next to be sent")
        freed = 0
        while self.kept and self.kept[0].number <= number:
            freed += self.kept.popleft().size
            self.passed = max(self.passed - 1, 0)
        return freed


class Incoming:
    """The receiver's end: the life it follows (0: none yet) and how far it is."""

    def __init__(self) -> None:
        self.life = 0
        self.expected = 1
        self.drained = 0
        self.released = 0

    def follow(self, life: int, first: int, released: int) -> None:
        """Follow a new life, whose next frame is `first`, of which `released` frames were handled before."""
        self.life = life
        self.expected = max(first, released + 1)
        self.drained = self.released = self.expected - 1

    def expects(self, life: int, number: int) -> bool:
        """Whether a frame is the next one."""
        return life == self.life and number == self.expected

    def drain(self, life: int, number: int) -> None:
        """A frame is handed out; one of an earlier life has nobody left to acknowledge it to."""
        if life == self.life:
            self.drained = number


class Marks:
    """What this slot's processes released: for each peer a life and a number, in a small mapped file, one writer."""

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(fd, SLOTS_MAX * 16)
            self._map = mmap.mmap(fd, SLOTS_MAX * 16)
        finally:
            os.close(fd)
        self._words = memoryview(self._map).cast("Q")

    def read(self, peer: int, life: int) -> int:
        """How many frames of that life were released; 0 for a life that is not known."""
        return self._words[2 * peer + 1] if self._words[2 * peer] == life else 0

    def write(self, peer: int, life: int, number: int) -> None:
        """Remember. A death between the stores leaves a life that is over with 0, or the new one with 0 or `number`."""
        if self._words[2 * peer] != life:
            self._words[2 * peer + 1] = 0
            self._words[2 * peer] = life
        self._words[2 * peer + 1] = number

    def close(self) -> None:
        """Unmap; the file stays for the slot's next process."""
        self._words.release()
        self._map.close()
