"""The waiting side of a mailbox: mail that has arrived and was not triggered yet, bounded.

Mail waits in the batches it arrived in, each of one stream, so that a batch can be run straight through. The messages a
mailbox *stores* are part of the environment and not here. Bounds act when mail is parked, that is when its engine
cannot or did not run, not while a batch passes through an engine that keeps up:

    wait         at three quarters of the capacity senders are sent stop, at one half go; all mail is taken
    reject       beyond the capacity the newest is refused
    drop-oldest  beyond the capacity the oldest is dropped; only for a box declared lossy, else it is `wait`

Large messages lie in their sender's memory, which has room for few. With `wait`, a few of them cause a stop as many
small ones do. Where the engine cannot run, they are copied, which frees that memory for its neighbours' messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from engines.model import Box
from engines.model.large import LARGE_BYTES
from host.config.spec import MailboxSpec

LARGE_MAX: Final = 16
"""Large messages waiting at which a mailbox sends stop: a quarter of those a sender may have under way."""

LARGE_BYTES_MAX: Final = 1 << 26
"""Bytes of large messages at which a mailbox sends stop: one message of the largest size."""


class Mail(NamedTuple):
    """A frame: `payloads[i]` has number `first_n + i`."""

    sender: str
    target: str
    mailbox: int
    epoch: int
    first_n: int
    payloads: list[Any]


class Batch(msgspec.Struct, eq=False):
    """Messages of one stream that wait together; `position` moves over them. `payloads[i]` has number `first_n + i`.

    Encoded payloads are bytes from a link; others are message objects from a neighbour in the same process.
    """

    arrival: int
    sender: str
    epoch: int
    first_n: int
    payloads: list[Any]
    is_encoded: bool
    position: int = 0

    @property
    def next_n(self) -> int:
        """The number of the message that would continue the batch."""
        return self.first_n + len(self.payloads)

    @property
    def left(self) -> int:
        """Messages ahead of the cursor."""
        return len(self.payloads) - self.position


NOTHING: Final[deque[Batch]] = deque(maxlen=0)
"""The batches of every mailbox where none wait: an empty deque of its own takes 600 bytes."""


class Dropped(NamedTuple):
    """A message lost to a bound, number `n` of its stream."""

    sender: str
    epoch: int
    n: int
    item: Any
    is_encoded: bool


class Inbox:
    """Mail waiting for one mailbox. `depth` is the number of messages in `batches`.

    `stored_max` is the node file's bound, None if it has none; the family's boxes hold the bound in force.
    """

    __slots__ = (
        "batches",
        "box",
        "capacity",
        "decode",
        "depth",
        "go_at",
        "has_views",
        "number",
        "policy",
        "stop_at",
        "stored_max",
    )

    def __init__(self, box: Box[Any, Any], spec: MailboxSpec) -> None:
        self.box = box
        self.decode: Callable[[bytes], Any] | None = None
        self.number: int = box.number
        self.capacity = spec.capacity
        self.policy = "wait" if spec.policy == "drop-oldest" and not box.lossy else spec.policy
        self.stored_max = spec.stored_max
        self.set_bounds()
        self.batches: deque[Batch] = NOTHING
        self.depth = 0
        self.has_views = False

    def set_bounds(self) -> None:
        """Derive the depths for stop and go from the capacity."""
        self.stop_at = self.capacity * 3 // 4 or 1
        self.go_at = self.capacity // 2

    def find_decode(self) -> Callable[[bytes], Any]:
        """The box's decoder, kept as `decode`; made with the first message, since many mailboxes never get one."""
        self.decode = self.box.decode
        return self.decode

    @property
    def says_stop(self) -> bool:
        """Whether senders should stop."""
        return self.policy == "wait" and (self.depth >= self.stop_at or self.is_heavy())

    def is_heavy(self, share: int = 1) -> bool:
        """Whether the large messages waiting reach their bounds, or 1/`share` of these."""
        sizes = [len(batch.payloads[0]) for batch in self.batches if batch.is_encoded and len(batch.payloads) == 1]
        large = [size for size in sizes if size >= LARGE_BYTES]
        return len(large) * share >= LARGE_MAX or sum(large) * share >= LARGE_BYTES_MAX

    def copy_large(self) -> None:
        """Release the senders' memory that large messages lie in (`has_views`)."""
        self.has_views = False
        for batch in self.batches:
            if batch.payloads[0].__class__ is memoryview:
                batch.payloads[0] = bytes(batch.payloads[0])

    def add(self, batch: Batch) -> None:
        """Append a batch; a bound that it breaks is left to `over_bound`."""
        self._filling().append(batch)
        self.depth += len(batch.payloads)

    def add_message(self, arrival: int, sender: str, epoch: int, n: int, message: Any) -> None:
        """Append a neighbour's message object, to the last batch if that is of the same stream."""
        self.depth += 1
        last = self.batches[-1] if self.batches else None
        if last is not None and last.sender == sender and last.next_n == n and not last.is_encoded:
            last.payloads.append(message)
        else:
            self._filling().append(Batch(arrival, sender, epoch, n, [message], False))

    def advance(self, count: int) -> None:
        """`count` messages of the first batch are taken."""
        batch = self.batches[0]
        position = batch.position = batch.position + count
        self.depth -= count
        if position == len(batch.payloads):
            self.batches.popleft()
            if not self.depth:
                self.batches = NOTHING

    def seek(self, sender: str, epoch: int, n: int) -> bool:
        """Move message `n` of a stream, with those behind it in its batch, to the front. False: it does not wait.

        It is the first one nearly always, and one of the newest where a bound refused it.
        """
        for place in chain((0,), range(len(self.batches) - 1, 0, -1)) if self.batches else ():
            batch = self.batches[place]
            at = n - batch.first_n
            if batch.epoch == epoch and batch.sender == sender and batch.position <= at < len(batch.payloads):
                if at > batch.position:
                    self.batches[place] = msgspec.structs.replace(batch, payloads=batch.payloads[:at])
                    self.batches.appendleft(msgspec.structs.replace(batch, position=at))
                elif place:
                    del self.batches[place]
                    self.batches.appendleft(batch)
                return True
        return False

    def take_batches(self) -> list[Batch]:
        """Empty the inbox."""
        batches, self.batches, self.depth = [*self.batches], NOTHING, 0
        return batches

    def put_first(self, sender: str) -> bool:
        """Move a sender's waiting mail before all other mail of the engine; returns whether there is any."""
        of_sender = [batch for batch in self.batches if batch.sender == sender]
        if of_sender:
            for place, batch in enumerate(of_sender):
                batch.arrival = place - len(of_sender)  # also before mail in other mailboxes of the engine
            self.batches = deque([*of_sender, *(batch for batch in self.batches if batch.sender != sender)])
        return bool(of_sender)

    def _filling(self) -> deque[Batch]:
        """The batches, for appending."""
        if self.batches is NOTHING:
            self.batches = deque()
        return self.batches

    def over_bound(self) -> list[Dropped]:
        """Take out the messages that the policy does not let wait, in order of arrival."""
        if self.depth <= self.capacity or self.policy == "wait":
            return []
        return self._drop(self.depth - self.capacity, oldest=self.policy == "drop-oldest")

    def take_all(self) -> list[Dropped]:
        """Empty the inbox."""
        return self._drop(self.depth, oldest=True)

    def _drop(self, count: int, *, oldest: bool) -> list[Dropped]:
        """Take out the `count` oldest or newest messages, in order."""
        dropped: list[Dropped] = []
        while len(dropped) < count:
            batch = self.batches[0 if oldest else -1]
            more, end = min(batch.left, count - len(dropped)), len(batch.payloads)
            if oldest:
                dropped += _dropped(batch, batch.position, batch.position + more)
                batch.position += more
            else:
                dropped[:0] = _dropped(batch, end - more, end)
                batch.payloads = batch.payloads[: end - more]
            if not batch.left:
                (self.batches.popleft if oldest else self.batches.pop)()
        self.depth -= len(dropped)
        return dropped


def _dropped(batch: Batch, begin: int, end: int) -> list[Dropped]:
    return [
        Dropped(batch.sender, batch.epoch, batch.first_n + at, batch.payloads[at], batch.is_encoded)
        for at in range(begin, end)
    ]
