"""Deadlines of an engine, many of them: a wheel with one timer of the engine behind it.

A deadline is in the slot of its time, rounded up to `TICK_NS`; so it is due late by less than that, and never early.
Adding and cancelling one costs two changes of a map, whatever their number. `next_ns` is when to look again: the first
slot that is not empty among the next `HORIZON`, or else the end of the horizon.

The awkward case: a slot whose deadlines were all cancelled looks full; the look at it finds nothing, and costs nothing.

The idea is that of Varghese and Lauck (hashed timing wheels, 1987), with a persistent map for the slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from engines.model import Map, Value

TICK_NS: Final = 100_000_000
HORIZON: Final = 600
"""Slots to look ahead: a minute."""


class Deadline(Value):
    """What is due: its kind, whose it is, and its number there."""

    kind: str
    owner: str
    number: int


class Slot(Value):
    """Where a deadline is, so that it can be cancelled."""

    tick: int
    place: int


class Wheel(Value):
    """The deadlines. `taken` counts those ever put in a slot; slots up to `done` were looked at."""

    deadlines: Map[tuple[int, int], Deadline] = Map()
    taken: Map[int, int] = Map()
    done: int = 0

    def add(self, at_ns: int, deadlines: Sequence[Deadline], now_ns: int) -> tuple[Wheel, list[Slot]]:
        """With more for the same time; what was due already is due at the next look."""
        wheel = self if self.deadlines else Wheel(done=max(self.done, now_ns // TICK_NS))
        tick = max(-(-at_ns // TICK_NS), wheel.done + 1)
        first = wheel.taken.get(tick, 0)
        last = first + len(deadlines)
        slots = [Slot(tick, place) for place in range(first, last)]
        after = wheel.deadlines.updated([((tick, place), one) for place, one in enumerate(deadlines, first)])
        return Wheel(after, wheel.taken.set(tick, last), wheel.done), slots

    def cancel(self, slots: Iterable[Slot | None]) -> Wheel:
        """Without the deadlines in these slots."""
        left = self.deadlines.without(*[(one.tick, one.place) for one in slots if one is not None])
        return self if left is self.deadlines else Wheel(left, self.taken, self.done)

    def due(self, now_ns: int, most: int) -> tuple[Wheel, list[Deadline]]:
        """Without at most `most` deadlines that are due, and these, in the order of their slots."""
        found: list[Deadline] = []
        deadlines, taken, done = self.deadlines, self.taken, self.done
        for tick in self._slots(now_ns // TICK_NS):
            for place in range(taken[tick]):
                if (deadline := deadlines.get((tick, place))) is None:
                    continue
                if len(found) == most:
                    return Wheel(deadlines, taken, done), found
                found.append(deadline)
                deadlines = deadlines.without((tick, place))
            taken, done = taken.without(tick), tick
        return Wheel(deadlines, taken, max(done, now_ns // TICK_NS)), found

    def _slots(self, last: int) -> list[int]:
        """Slots that are not empty, up to `last`, in order."""
        if last - self.done > len(self.taken):
            return [tick for tick in self.taken if tick <= last]
        return [tick for tick in range(self.done + 1, last + 1) if tick in self.taken]

    def next_ns(self, now_ns: int) -> int | None:
        """When to look again; None without deadlines."""
        if not self.deadlines:
            return None
        first = self.done + 1
        last = max(first, now_ns // TICK_NS) + HORIZON
        return next((tick for tick in range(first, last) if tick in self.taken), last) * TICK_NS
