"""The producer's end of a lane in Python, shared by the links that are not native: ZeroMQ and the in-process twin.

The same rules as in `lane.h`: messages of one outlet gather in an open frame; another outlet, a full frame or a flush
seals it; a flush publishes what is sealed, and so do a soft limit and a refusal. What was published is kept until the
consumer releases it, and all of it together stays below `capacity` bytes, counted as the frames' bytes; a large message
counts as an eighth of the capacity, however large, so that the next is not sent before most are released. A refused
message is remembered, so that its sender is woken once half the capacity is free.

A link that keeps large frames in an arena (`keep_arena.py`) pledges its chunks when a large message is taken, since a
flush may not fail for want of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from transport.frames import NAME_BYTES_MAX, head_bytes, message_bytes
from transport.keep_arena import Arena, chunk_count
from transport.port import (
    FRAME_MESSAGES_MAX,
    KIND_MESSAGES,
    LARGE_SHARE,
    MESSAGE_SHARE,
    Closed,
    Frame,
    Payload,
    TooLarge,
)

FRAME_SOFT_BYTES_MAX: Final = 32768
"""An open frame is sealed beyond this, as in `lane.h`."""


class Sealed(NamedTuple):
    """A complete frame and what it takes of the lane's capacity."""

    frame: Frame
    size: int


class OpenFrame:
    """Messages that gather: whose they are, and what the frame takes so far."""

    __slots__ = ("first_n", "outlet", "payloads", "size")

    def __init__(self, outlet: PythonOutlet, first_n: int, size: int) -> None:
        self.outlet = outlet
        self.first_n = first_n
        self.size = size
        self.payloads: list[Payload] = []


class SendingLane:
    """From one slot to one peer. `kept_bytes` (published, not released) is the link's to count."""

    def __init__(
        self,
        slot: int,
        capacity: int,
        publish: Callable[[], None],
        kept_bytes: int = 0,
        message_bytes_max: int | None = None,
        arena: Arena | None = None,
        publish_all: Callable[[], None] | None = None,
    ) -> None:
        """`publish_all`: of all lanes that share the arena."""
        self.slot = slot
        self.capacity = capacity
        self.message_bytes_max = message_bytes_max or capacity // MESSAGE_SHARE
        self.publish = publish
        self.publish_all = publish_all or publish
        self.soft_bytes = min(FRAME_SOFT_BYTES_MAX, capacity // 8)
        self.kept_bytes = kept_bytes
        self.sealed_bytes = 0
        self.sealed: list[Sealed] = []
        self.open: OpenFrame | None = None
        self.attached = True
        self.wanted = 0
        self.wanted_large = 0
        self.arena = arena
        self.pledged = 0

    def free_bytes(self) -> int:
        """What more the lane takes."""
        return self.capacity - self.kept_bytes - self.sealed_bytes - (self.open.size if self.open else 0)

    def claim(self, size: int) -> bool:
        """Whether `size` bytes more fit; a refusal is remembered until there is room."""
        if size <= self.free_bytes():
            return True
        self.wanted = size
        self.publish()
        return False

    def claim_large(self, frame_bytes: int, size: int) -> bool:
        """Whether the arena takes a frame that counts as `size`; a refusal is remembered until it does."""
        if self.arena is None or self.arena.has(frame_bytes):
            return True
        self.wanted, self.wanted_large = size, frame_bytes
        self.publish_all()
        return False

    def pledge(self, frame_bytes: int) -> None:
        """Set aside what a large frame will take."""
        if self.arena is not None:
            self.pledged += chunk_count(frame_bytes)
            self.arena.pledged += chunk_count(frame_bytes)

    def redeem(self) -> None:
        """What was set aside is now for what leaves this lane, or for others."""
        if self.arena is not None:
            self.arena.pledged -= self.pledged
            self.pledged = 0

    def room(self) -> bool:
        """Whether half the capacity is free, and what the last refused message needs. A no is a refusal itself."""
        is_short = self.free_bytes() < max(self.capacity // 2, self.wanted)
        if is_short or (self.wanted_large and self.arena is not None and not self.arena.has(self.wanted_large)):
            self.wanted = self.wanted or 1
            return False
        self.wanted = self.wanted_large = 0
        return True

    def seal(self) -> None:
        """Complete the open frame, if any."""
        gathered = self.open
        if gathered is None:
            return
        self.open = None
        out = gathered.outlet
        stream = (out.sender, out.target, out.mailbox, out.epoch)
        self.append(
            Sealed(Frame(self.slot, KIND_MESSAGES, *stream, gathered.first_n, gathered.payloads), gathered.size)
        )

    def append(self, sealed: Sealed) -> None:
        """Queue a complete frame for the next flush."""
        self.sealed.append(sealed)
        self.sealed_bytes += sealed.size

    def signal(self, kind: int, target: str) -> bool:
        """Queue an empty frame; False for want of room."""
        size = head_bytes(b"", check_name(target))
        self.seal()
        if not self.claim(size):
            return False
        self.append(Sealed(Frame(self.slot, kind, "", target, 0, 0, 0, []), size))
        return True

    def take(self) -> list[Sealed]:
        """All sealed frames, the open one among them; from now on they are kept."""
        self.seal()
        self.redeem()
        taken, self.sealed = self.sealed, []
        self.kept_bytes += self.sealed_bytes
        self.sealed_bytes = 0
        return taken


class PythonOutlet:
    """An outlet over a `SendingLane`."""

    __slots__ = (
        "_head_bytes",
        "_lane",
        "_large_bytes",
        "_payload_bytes_max",
        "epoch",
        "mailbox",
        "next_n",
        "sender",
        "target",
    )

    def __init__(self, lane: SendingLane, sender: str, target: str, mailbox: int, epoch: int, next_n: int) -> None:
        self._lane = lane
        self._head_bytes = head_bytes(check_name(sender), check_name(target))
        self._payload_bytes_max = lane.message_bytes_max
        self._large_bytes = min(lane.capacity // LARGE_SHARE, lane.message_bytes_max)
        self.sender = sender
        self.target = target
        self.mailbox = mailbox
        self.epoch = epoch
        self.next_n = next_n

    def send(self, payload: bytes) -> bool:
        """See `transport.port.Outlet`."""
        lane = self._lane
        if not isinstance(payload, bytes):
            raise TypeError(f"a payload is bytes, not {type(payload).__name__}")
        if not lane.attached:
            raise Closed("the peer is not attached any more")
        if len(payload) > self._large_bytes:
            return self._send_large(payload)
        return self._append(payload, message_bytes(len(payload)))

    def _send_large(self, payload: bytes) -> bool:
        if len(payload) > self._payload_bytes_max:
            raise TooLarge(f"a message of {len(payload)} bytes, the most is {self._payload_bytes_max}")
        size, frame_bytes = message_bytes(self._large_bytes), self._head_bytes + message_bytes(len(payload))
        if not self._lane.claim_large(frame_bytes, size) or not self._append(payload, size):
            return False
        self._lane.pledge(frame_bytes)
        return True

    def _append(self, payload: bytes, size: int) -> bool:
        lane = self._lane
        gathered = lane.open
        if gathered is None or not self._takes(gathered, size):
            gathered = self._open(size)
        if gathered is None or not lane.claim(size):
            return False
        gathered.payloads.append(payload)
        gathered.size += size
        self.next_n += 1
        return True

    def send_parts(self, parts: Sequence[Payload]) -> bool:
        """See `transport.port.Outlet`."""
        return self.send(b"".join(parts))

    def _takes(self, gathered: OpenFrame, size: int) -> bool:
        roomy = gathered.size + size <= self._lane.soft_bytes and len(gathered.payloads) < FRAME_MESSAGES_MAX
        return gathered.outlet is self and roomy

    def _open(self, size: int) -> OpenFrame | None:
        lane = self._lane
        lane.seal()
        if lane.sealed_bytes >= lane.soft_bytes:
            lane.publish()
        if not lane.claim(self._head_bytes + size):
            return None
        lane.open = OpenFrame(self, self.next_n, self._head_bytes)
        return lane.open


def check_name(name: str) -> bytes:
    """The name's bytes. Raises ValueError beyond the most a frame takes."""
    encoded = name.encode()
    if len(encoded) > NAME_BYTES_MAX:
        raise ValueError(f"names have at most {NAME_BYTES_MAX} bytes")
    return encoded
