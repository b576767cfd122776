"""The seam between a process and its neighbours: what every link offers, whatever carries the bytes.

A *slot* is a numbered place that a process occupies; a `Link` is one process's end of everything that enters and leaves
its slot. Three implementations pass one conformance list: shared-memory lanes (`transport.lanes`), ZeroMQ
(`transport.zmq_link`), and an in-process twin (`transport.local`). Ownership and order:

* One ordered, loss-free lane for each ordered pair of slots. Messages leave through an `Outlet`, one for each
  (sender, target, mailbox); what is sent between two flushes to one target travels as one frame (smart batching).
* `drain` hands out frames; the space they occupy, and the duty of the sender to keep them, end with `release`, which
  covers everything drained so far. A process that dies between the two leaves its frames to the slot's next process.
* Nothing here blocks except `wait` and `settle`. A lane without room answers False, and the caller keeps the message.
* What counts as a message's size is its payload, as handed to an outlet: the encoded message, without names or frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

SLOTS_MAX: Final = 64
"""Slots of one node; slot 0 is the supervisor's. One lane region for each is laid out, sparsely, in a slot's memory."""

LANE_BYTES: Final = 1 << 20
"""Default capacity of a lane's ring, a power of two. Large enough for 10,000 records of 100 bytes."""
LANE_BYTES_MIN: Final = 1 << 14
"""The largest frame fits, or a reference to it what an eighth of a lane counts."""
LANE_BYTES_MAX: Final = 1 << 30

MESSAGE_BYTES_MAX: Final = 1 << 26
"""The largest message, 64 MiB: the address space of one block of an arena."""

LARGE_SHARE: Final = 8
"""A message over 1/8 of a lane does not lie in it, so that one does not shut out the others."""

ARENA_BYTES: Final = 1 << 28
"""Default bound of what the large messages of a slot's engines take, until their receivers have handled them."""

MESSAGE_SHARE: Final = 4
"""A message takes at most 1/4 of a lane, so that a frame that wraps around always finds room."""

FRAME_MESSAGES_MAX: Final = 256
"""Messages in one frame; beyond it a further frame is opened. Bounds what one `drain` unit can hold."""

KIND_MESSAGES: Final = 0
"""Payloads are messages from `sender` to `target`."""
KIND_STOP: Final = 1
"""`target` is an engine of the sending slot whose mailbox is filling: send it nothing more. No payload."""
KIND_GO: Final = 2
"""`target` takes messages again. No payload."""
EVERYONE: Final = ""
"""`target` of a go for all engines of the sending slot."""


class TransportError(Exception):
    """Base of what a link reports."""


class Broken(TransportError):
    """A frame or header is not what the peer should have written; names the lane, the position and the finding."""


class TooLarge(TransportError):
    """A message exceeds `message_bytes_max`; nothing was sent."""


class Closed(TransportError):
    """The link was closed, or the peer is not attached."""


Payload = bytes | memoryview
"""An encoded message. A large one is a read-only memoryview of the sender's memory where the link has some to show: it
stays as it is while a view of it lives, and the sender has that much less room for large messages until then."""


class Frame(NamedTuple):
    """What arrived together: `payloads[i]` has number `first_n + i` in the stream (sender, target) of `epoch`."""

    peer: int
    kind: int
    sender: str
    target: str
    mailbox: int
    epoch: int
    first_n: int
    payloads: list[Payload]


class Outlet(Protocol):
    """The way from one engine to one mailbox. Made by `Link.outlet`; valid until the link or the peer is closed."""

    @property
    def next_n(self) -> int:
        """The number the next message gets."""

    def send(self, payload: bytes, /) -> bool:
        """Append a message to the open frame. False: no room, nothing was sent, number unchanged. Never blocks.

        Raises `TooLarge`, `Closed`.
        """

    def send_parts(self, parts: Sequence[Payload], /) -> bool:
        """`send` for a message in parts, at most 64; a large one is copied once, to where its receiver reads it."""


class Link(Protocol):
    """One process's end of its slot. Used from one thread.

    Its process comes back to `wait`, `drain` or `arm` all the time: over ZeroMQ acknowledgements are read there.
    """

    @property
    def slot(self) -> int:
        """The slot whose end this is."""

    @property
    def message_bytes_max(self) -> int:
        """The largest message an outlet takes."""

    def outlet(self, peer: int, sender: str, target: str, mailbox: int, epoch: int, next_n: int) -> Outlet:
        """The outlet for a stream, to an attached peer. Names are UTF-8, at most 1,024 bytes each."""

    def signal(self, peer: int, kind: int, target: str, /) -> bool:
        """Send an empty frame of `kind` (stop or go) about `target`; False when there is no room."""

    def flush(self) -> None:
        """Publish all open frames and ring the doorbells of receivers that sleep."""

    def drain(self, messages_max: int, /) -> list[Frame]:
        """Frames that have arrived, in order for each peer, about `messages_max` messages in all. Never blocks.

        Raises `Broken` once for each finding; the lane that broke is then detached, the others go on.
        """

    def release(self) -> None:
        """All drained frames are handled: their space is free and they will not come again."""

    def wait(self, timeout_ns: int | None, /) -> list[int]:
        """Sleep until mail, a watched descriptor or the time-out (None: for ever); returns watched descriptors ready.

        Returns at once when mail is waiting, or when there is room for a message that was refused; room is reported
        once, and `has_room` answers it again. While mail keeps coming, watched descriptors are looked at every few
        milliseconds, with a time-out of 0 always. Gives up the interpreter lock.
        """

    def watch(self, fd: int, /) -> None:
        """Let `wait` also return when `fd` is readable."""

    def unwatch(self, fd: int, /) -> None:
        """Undo `watch`."""

    def arm(self) -> bool:
        """For callers with an event loop of their own: ask for a ring at `fileno`.

        False: mail is there, or room for a refused message; handle that first.
        """

    def fileno(self) -> int:
        """The descriptor that becomes readable when the armed doorbell is rung."""

    def hush(self) -> None:
        """Clear the ring at `fileno`, after the event loop reported it."""

    def has_room(self, peer: int, /) -> bool:
        """Whether a lane that answered False has at least half its capacity free again, and room for a large message
        if it refused one. Another False counts as a refusal, so `wait` reports when that has changed."""

    def published(self, peer: int, /) -> int:
        """How far the lane to a peer is published: a position that rises with what a flush publishes. Raises `Closed`.

        Positions count from an attachment on; a slot's next process goes on counting, or begins anew.
        """

    def released(self, peer: int, /) -> int:
        """Everything published below this position was released by the peer. Raises `Closed`."""

    def detach(self, peer: int, /) -> None:
        """Forget a peer that will not come back; its outlets raise `Closed`, and large messages lent to it are free."""

    def settle(self, timeout_ns: int | None, /) -> bool:
        """Flush, and sleep until what was published arrives even if its slot gets no next process; False: time ran out.

        A lane's frames always do. Over ZeroMQ the receivers must have released them, or the slot's next process sends
        them; what arrives meanwhile is kept for `drain`. For a process that gives up its slot without a successor.
        """

    def counters(self) -> dict[str, int]:
        """Since the link was made: frames_in, messages_in, frames_out, messages_out, rings, yields, blocks."""

    def close(self) -> None:
        """Unmap, close every descriptor. Idempotent."""
