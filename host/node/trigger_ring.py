"""The last triggers of a process's volatile engines, in memory only: what a rehearsal of a reload runs again.

Triggers are kept as they came: the bytes of a frame, payloads that waited, objects of neighbours. No output is kept.
Rules are pure, so `ring_past` makes the outputs again, in a child process and only when somebody reloads.

The ring has two halves. An engine's first trigger in a half also keeps the environment that it met, its *base*, which
takes one reference: environments never change. When the newer half is full, the older one is dropped. So the ring has
the last `count_max` triggers of the process, unless their bytes fill it before, and at most twice as many.

An engine is *silent* in a half in which a trigger of it cannot be kept, since that is large. Engines whose messages
hold blobs are always silent: their values may lie in another process's memory.

The cycle in C appends frames by itself (`host/live/cycle/remembered.h`). They lie in a buffer, whose pages are written
over and over: fresh memory for each frame took longer than the copy. A process that has slept finds little of this in
its caches; so what a frame needs lies together, in the buffer, and no object of Python is made for it:

    head      words of 64 bits: `POSITION` and those that follow it here
    halves    each a row of records: the time, 64 bits; the engine's number in the half and a count of times, 32 bits
              each; as many times of 64 bits, one a message, if that is not 0; a frame; filled up to eight bytes.
              Of a neighbour's message, for which the count is `NEIGHBOUR`: the mailbox, the bytes of the sender's name
              and those of the message, 32 bits each, and 32 bits of filling; name and message

What Python appends are entries of a list, each with the position in the buffer at which it comes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

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

HEAD_BYTES: Final = 64

POSITION: Final = 0
"""Where in the buffer the next record goes."""

END: Final = 1
"""Where the newer half ends."""

COUNT_LEFT: Final = 2
"""Triggers that the newer half still takes; it is full at 0 or below, by this or by `BYTES_LEFT`."""

BYTES_LEFT: Final = 3

GENERATION: Final = 4
"""Changes when an engine may have to begin anew."""

SILENT: Final = -1
"""Instead of an engine's number."""

NEIGHBOUR: Final = (1 << 32) - 1
"""Instead of a count of times: the record has a neighbour's message."""


class PastTrigger(NamedTuple):
    """A message as it is encoded, or the names of timers."""

    sender: str
    mailbox: int
    message: bytes | None
    timers: tuple[str, ...]


class WaitedMail(msgspec.Struct, frozen=True, gc=False):
    """Mail of one stream that waited, or came from a neighbour: payloads, encoded or not."""

    sender: str
    mailbox: int
    payloads: Sequence[Any]


class AnsweredTrigger(NamedTuple):
    """A trigger with the answers that its transition took."""

    cause: Delivery[Any] | Due
    answers: tuple[Any, ...]


What = memoryview | WaitedMail | AnsweredTrigger
"""Of an entry: a raw frame, where it lies in the buffer; mail, or a trigger."""

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


_RECORD: Final = struct.Struct("=qII")
_LENGTH: Final = struct.Struct("<I")
_MAIL: Final = struct.Struct("=4I")


class Base(NamedTuple):
    """An engine before its first trigger in a half, and its number there."""

    number: int
    family: Family[Any, Any, Any, Any]
    configuration: Configuration[Any]
    env: Environment[Any]


class Half:
    """Mutable. Bases by name, None where an engine is silent, in the order of their numbers; entries of Python in
    order: number, what, when, position, number, …; the bytes of the buffer from `start` to `until`, which is the ring's
    position while this half is newer.
    """

    __slots__ = ("bases", "entries", "start", "until")

    def __init__(self, start: int) -> None:
        self.bases: dict[str, Base | None] = {}
        self.entries: list[Any] = []
        self.start = start
        self.until: int | None = None


class RingEntry(NamedTuple):
    """Triggers of the engine with this number."""

    number: int
    what: What
    when: When


class RingPlace(NamedTuple):
    """How far a half was read: a place in its list, and one in the buffer."""

    at: int
    position: int


class TriggerRing:
    """Mutable, one a process."""

    __slots__ = ("buffer", "bytes_max", "count_max", "head", "newer", "older")

    def __init__(self, count_max: int, buffer: memoryview) -> None:
        """`buffer` has `HEAD_BYTES`, and as many bytes as both halves may take."""
        self.count_max = count_max
        self.bytes_max = (len(buffer) - HEAD_BYTES) // 2
        self.buffer = buffer
        self.head = buffer[:HEAD_BYTES].cast("q")
        self.newer = Half(HEAD_BYTES + self.bytes_max)
        self.turn_over()

    def begin(self, cell: Cell, env: Environment[Any]) -> int:
        """The engine's number, if its next trigger, which meets `env`, is to be kept; else `SILENT`."""
        bases = self.newer.bases
        base = bases.get(cell.name)
        if base is not None:
            return base.number
        if cell.name in bases:
            return SILENT
        self.head[BYTES_LEFT] -= BASE_BYTES
        if not isinstance(cell.family, Family) or cell.family.holds_blobs:
            bases[cell.name] = None
            return SILENT
        bases[cell.name] = Base(len(bases), cell.family, cell.configuration, env)
        return len(bases) - 1

    def mail(
        self, cell: Cell, env: Environment[Any], mailbox: int, batch: Batch, until: int, times: Sequence[int]
    ) -> None:
        """Keep mail that waited and has run at these times, up to the message number `until`; the first met `env`."""
        number = self.begin(cell, env)
        if number == SILENT:
            return
        count, end = len(times), until - batch.first_n
        payloads = batch.payloads[end - count : end]
        if payloads[0].__class__ is memoryview:
            self.silence(cell.name)
            return
        # A neighbour's messages are alike.
        size = sum(map(len, payloads)) if batch.is_encoded else len(encode(payloads[0])) * count
        when = times[0] if times[0] == times[-1] else struct.pack(f"={count}q", *times)
        self._add(cell.name, number, WaitedMail(batch.sender, mailbox, payloads), when, count, size)

    def trigger(self, cell: Cell, cause: Delivery[Any] | Due, at_ns: int, answers: Sequence[Any]) -> None:
        """Keep a trigger whose outcome is about to be applied."""
        number = self.begin(cell, cell.env)
        if number != SILENT:
            size = len(encode(cause.message)) if isinstance(cause, Delivery) else 0
            self._add(cell.name, number, AnsweredTrigger(cause, tuple(answers)), at_ns, 1, size)

    def silence(self, name: str) -> None:
        """A trigger of this engine is not kept."""
        self.newer.bases[name] = None
        self.head[GENERATION] += 1

    def turn_over(self) -> None:
        """The newer half is full."""
        head, older = self.head, self.newer
        older.until = head[POSITION]
        start = HEAD_BYTES + self.bytes_max if older.start == HEAD_BYTES else HEAD_BYTES
        self.older, self.newer = older, Half(start)
        head[POSITION], head[END] = start, start + self.bytes_max
        head[COUNT_LEFT], head[BYTES_LEFT] = self.count_max, self.bytes_max
        head[GENERATION] += 1

    def halves_of(self, name: str) -> list[Half]:
        """The halves in which all of the engine's triggers were kept, up to now, the older one first."""
        if name in self.newer.bases and self.newer.bases[name] is None:
            return []
        return [half for half in (self.older, self.newer) if half.bases.get(name) is not None]

    def end_of(self, half: Half) -> RingPlace:
        """Where the entries of a half end."""
        return RingPlace(len(half.entries), self.head[POSITION] if half.until is None else half.until)

    def entries(self, half: Half, since: RingPlace | None = None) -> Iterator[RingEntry]:
        """The entries of a half in order. Frames hold until the ring turns over twice."""
        at, position = since or RingPlace(0, half.start)
        end = self.end_of(half)
        while at < end.at or position < end.position:
            if at < end.at:
                number, what, when, comes_at = half.entries[at : at + 4]
                if comes_at <= position:
                    at += 4
                    yield RingEntry(number, what, when)
                    continue
            entry, position = self._record_at(position)
            yield entry

    def _record_at(self, position: int) -> tuple[RingEntry, int]:
        """The record at a position, and where the next one lies."""
        buffer = self.buffer
        when, number, count = _RECORD.unpack_from(buffer, position)
        position += _RECORD.size
        if count == NEIGHBOUR:
            mailbox, name_bytes, message_bytes, _ = _MAIL.unpack_from(buffer, position)
            position += _MAIL.size
            at, end = position + name_bytes, position + name_bytes + message_bytes
            mail = WaitedMail(str(buffer[position:at], "utf-8"), mailbox, [bytes(buffer[at:end])])
            return RingEntry(number, mail, when), (end + 7) & ~7
        times = bytes(buffer[position : position + 8 * count])
        position += len(times)
        (length,) = _LENGTH.unpack_from(buffer, position)
        return RingEntry(number, buffer[position : position + length], times or when), (position + length + 7) & ~7

    def _add(self, name: str, number: int, what: What, when: When, count: int, size: int) -> None:
        if size > count * MESSAGE_BYTES_MAX:
            self.silence(name)
            return
        head = self.head
        self.newer.entries += (number, what, when, head[POSITION])
        head[COUNT_LEFT] = count_left = head[COUNT_LEFT] - count
        head[BYTES_LEFT] = bytes_left = head[BYTES_LEFT] - size - ENTRY_BYTES
        if count_left <= 0 or bytes_left <= 0:
            self.turn_over()
