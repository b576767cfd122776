"""The triggers that a process's ring gets from a moment on: how the candidate of a reload follows volatile engines.

The old process begins a *tail* of its ring when it forks for the rehearsal, and writes it in parts while its engines
run. The candidate, whose rehearsal ended where the tail begins, runs these triggers with its own code. Outputs go
nowhere: the old process sent them. At the cut the old process hands out what else an engine has (mail, marks, ways,
held outputs, its question, counters), and no state that the candidate has. If migration and transitions commute, which
the rehearsal looked at, the candidate's state is the migrated one.

| what happens                                    | what follows                                                   |
|-------------------------------------------------|----------------------------------------------------------------|
| a trigger of an engine is not kept (it is large)| the engine is *lost*: its state crosses as without a tail      |
| the ring drops triggers before they were read   | `Overrun`: the tail is over, and every state crosses           |
| the engine ends, another one gets its name      | `keeps` is False, and its state crosses                        |
| the candidate fails, or answers otherwise       | a refusal; the old process never waited for it                 |
| old dies before the cut                         | as any crash: its engines begin anew, the candidate is killed  |
| old dies once its snapshot is out               | the tail is complete then, and in the candidate's hands        |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from engines.model import encode
from host.node.cell import Cell
from host.node.trigger_ring import GENERATION, RingEntry, RingPlace, TriggerRing, WaitedMail, When, past_trigger


class TailBegin(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The triggers of this engine follow. `failed`: its transitions that had failed."""

    engine: str
    failed: int


class TailLost(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Not all triggers of this engine follow."""

    engine: str


class TailFrame(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A raw frame, and when its messages were handled."""

    engine: str
    when: When
    frame: bytes


class TailMail(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Messages of one stream as they are encoded, and when they were handled."""

    engine: str
    when: When
    sender: str
    mailbox: int
    payloads: list[bytes]


class TailTrigger(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """As `PastTrigger`, with its time and answers."""

    engine: str
    now_ns: int
    sender: str
    mailbox: int
    message: bytes | None
    timers: tuple[str, ...]
    answers: tuple[Any, ...]


Tailed = TailBegin | TailLost | TailFrame | TailMail | TailTrigger

encode_tail: Final = msgspec.msgpack.Encoder().encode


class Overrun(Exception):
    """Triggers were dropped before they were read."""


class TriggerTail:
    """The triggers of some engines from now on. Mutable, one a reload."""

    def __init__(self, ring: TriggerRing, cells: Iterable[Cell]) -> None:
        """An engine with a bound of the node file on what it stores is left out: a rehearsal does not know it."""
        self._ring = ring
        self._half = ring.newer
        self._place: RingPlace | None = ring.end_of(ring.newer)
        self._generation = ring.head[GENERATION]
        self._cells: dict[str, Cell] = {
            cell.name: cell for cell in cells if ring.halves_of(cell.name) and not _is_bounded(cell)
        }

    def begin(self) -> list[Tailed]:
        """The first part."""
        return [TailBegin(name, cell.failed) for name, cell in self._cells.items()]

    def keeps(self, cell: Cell | None) -> bool:
        """Whether all triggers of this engine are in the tail."""
        return cell is not None and self._cells.get(cell.name) is cell

    def take(self) -> list[Tailed]:
        """The next part: what the ring got since the last one. Raises `Overrun`."""
        ring, found = self._ring, list[Tailed]()
        if self._half is not ring.newer:
            if self._half is not ring.older:
                raise Overrun
            self._read(found)
            self._half, self._place = ring.newer, None
        self._read(found)
        self._generation = ring.head[GENERATION]
        return found

    def _read(self, found: list[Tailed]) -> None:
        """The rest of a half."""
        ring, half, cells = self._ring, self._half, self._cells
        if ring.head[GENERATION] != self._generation:
            for name, base in half.bases.items():
                if base is None and cells.pop(name, None) is not None:
                    found.append(TailLost(name))
        end = ring.end_of(half)
        if self._place == end:
            return
        names = [*half.bases]
        for entry in ring.entries(half, self._place):
            name = names[entry.number]
            if name in cells:
                found.append(_tailed(name, entry))
        self._place = end


def _tailed(name: str, entry: RingEntry) -> Tailed:
    _, what, when = entry
    if isinstance(what, memoryview):
        return TailFrame(name, when, bytes(what))
    if isinstance(what, WaitedMail):
        encoded = [one if isinstance(one, bytes) else encode(one) for one in what.payloads]
        return TailMail(name, when, what.sender, what.mailbox, encoded)
    assert isinstance(when, int)
    return TailTrigger(name, when, *past_trigger(what.cause), what.answers)


def _is_bounded(cell: Cell) -> bool:
    return any(inbox.stored_max is not None for inbox in cell.inboxes.values())
