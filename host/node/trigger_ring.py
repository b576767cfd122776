"""The last triggers of a process's volatile engines, in memory only: what a rehearsal of a reload runs again.

Triggers are kept as they came: the bytes of a frame, payloads that waited, objects of neighbours. No output is kept.
Rules are pure, so `ring_past` makes the outputs again, in a child process and only when somebody reloads.

The ring has two halves. An engine's first trigger in a half also keeps the environment that it met, its *base*, which
takes one reference: environments never change. When the newer half is full, the older one is dropped. So the ring has
the last `count_max` triggers of the process, unless their bytes fill it before, and at most twice as many.

An engine is *silent* in a half in which a trigger of it cannot be kept, since that is large. Engines whose messages
hold blobs are always silent: their values may lie in another process's memory.

The cycle in C appends frames by itself (`host/live/cycle/remembered.h`). Their bytes are copied into a buffer with room
for both halves, whose pages are written over and over: fresh memory for each frame took longer than the copy.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from engines.model import Configuration, Delivery, Due, Environment, Family, encode
from host.node.cell import Cell
from host.node.mailbox import Batch

BYTES_MAX: Final = 2 << 20
"""Of a half. Ten thousand messages of a hundred bytes take about as much."""

MESSAGE_BYTES_MAX: Final = 16 << 10
"""Of a message, or on average of those in a frame. A longer one is not worth a copy on the hot path."""

ENTRY_BYTES: Final = 128
"""What an entry takes beside its messages."""

BASE_BYTES: Final = 512
"""What a base takes, if its environment shares most with the present one."""


class PastTrigger(NamedTuple):
    """A message as it is encoded, or the names of timers."""

    sender: str
    mailbox: int
    message: bytes | None
    timers: tuple[str, ...]


class WaitedMail(NamedTuple):
    """Mail of one stream that waited, or came from a neighbour: payloads, encoded or not."""

    sender: str
    mailbox: int
    payloads: Sequence[Any]


class AnsweredTrigger(NamedTuple):
    """A trigger with the answers that its transition took."""

    cause: Delivery[Any] | Due
    answers: tuple[Any, ...]


What = int | WaitedMail | AnsweredTrigger
"""Of an entry: a raw frame, by its place in the buffer; mail, or a trigger."""

When = int | bytes
"""Of an entry: the time of all its turns, or as many 64-bit numbers."""


def past_trigger(cause: Delivery[Any] | Due) -> PastTrigger:
    """A trigger as plain data."""
    if isinstance(cause, Delivery):
        return PastTrigger(cause.sender, cause.mailbox, encode(cause.message), ())
    return PastTrigger("", 0, None, tuple(one.name for one in cause.handles))


def times_of(when: When, count: int) -> Sequence[int]:
    """The times of `count` turns."""
    return [when] * count if isinstance(when, int) else struct.unpack(f"={count}q", when)


_LENGTH: Final = struct.Struct("<I").unpack_from


class Base(NamedTuple):
    """An engine before its first trigger in a half."""

    family: Family[Any, Any, Any, Any]
    configuration: Configuration[Any]
    env: Environment[Any]


class Half(NamedTuple):
    """Bases by name, None where an engine is silent; and entries in order: name, what, when, name, …"""

    bases: dict[str, Base | None]
    entries: list[Any]


class TriggerRing:
    """Mutable, one a process. `generation` changes when an engine may have to begin anew.

    `position` is where the next frame goes in the buffer, and `end` that of the half.
    """

    __slots__ = (
        *("bases", "buffer", "bytes", "bytes_max", "count", "count_max", "end", "entries", "generation", "older"),
        "position",
    )

    def __init__(self, count_max: int, buffer: memoryview) -> None:
        """`buffer` has as many bytes as both halves may take."""
        self.count_max = count_max
        self.buffer = buffer
        self.bytes_max = self.end = len(buffer) // 2
        self.position = 0
        self.bases: dict[str, Base | None] = {}
        self.entries: list[Any] = []
        self.older = Half({}, [])
        self.count = 0
        self.bytes = 0
        self.generation = 1

    def begin(self, cell: Cell, env: Environment[Any]) -> bool:
        """Whether the next trigger of the engine, which meets `env`, is to be kept."""
        known = self.bases.get(cell.name, self)
        if known is self:
            is_kept = isinstance(cell.family, Family) and not cell.family.holds_blobs
            known = self.bases[cell.name] = Base(cell.family, cell.configuration, env) if is_kept else None
            self.bytes += BASE_BYTES
        return known is not None

    def mail(
        self, cell: Cell, env: Environment[Any], mailbox: int, batch: Batch, until: int, times: Sequence[int]
    ) -> None:
        """Keep mail that waited and has run at these times, up to the message number `until`; the first met `env`."""
        if not self.begin(cell, env):
            return
        count, end = len(times), until - batch.first_n
        payloads = batch.payloads[end - count : end]
        if isinstance(payloads[0], memoryview):
            self.silence(cell.name)
            return
        # A neighbour's messages are alike.
        size = sum(map(len, payloads)) if batch.is_encoded else len(encode(payloads[0])) * count
        when = times[0] if times[0] == times[-1] else struct.pack(f"={count}q", *times)
        self._add(cell.name, WaitedMail(batch.sender, mailbox, payloads), when, count, size)

    def trigger(self, cell: Cell, cause: Delivery[Any] | Due, at_ns: int, answers: Sequence[Any]) -> None:
        """Keep a trigger whose outcome is about to be applied."""
        if self.begin(cell, cell.env):
            size = len(encode(cause.message)) if isinstance(cause, Delivery) else 0
            self._add(cell.name, AnsweredTrigger(cause, tuple(answers)), at_ns, 1, size)

    def silence(self, name: str) -> None:
        """A trigger of this engine is not kept."""
        self.bases[name] = None
        self.generation += 1

    def turn_over(self) -> None:
        """The newer half is full."""
        self.older = Half(self.bases, self.entries)
        self.bases, self.entries = {}, []
        self.count = self.bytes = 0
        self.position = self.end % (2 * self.bytes_max)
        self.end = self.position + self.bytes_max
        self.generation += 1

    def frame_at(self, place: int) -> memoryview:
        """A frame in the buffer; its first field is its length."""
        (length,) = _LENGTH(self.buffer, place)
        return self.buffer[place : place + length]

    def halves_of(self, name: str) -> list[Half]:
        """The halves in which all of the engine's triggers were kept, up to now, the older one first."""
        newer = Half(self.bases, self.entries)
        if name in newer.bases and newer.bases[name] is None:
            return []
        return [half for half in (self.older, newer) if half.bases.get(name) is not None]

    def _add(self, name: str, what: What, when: When, count: int, size: int) -> None:
        if size > count * MESSAGE_BYTES_MAX:
            self.silence(name)
            return
        self.entries += (name, what, when)
        self.count += count
        self.bytes += size + ENTRY_BYTES
        if self.count >= self.count_max or self.bytes >= self.bytes_max:
            self.turn_over()
