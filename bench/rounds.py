"""Interleaved rounds: how a figure is taken on a noisy machine.

Every contestant of a suite runs once a round, in turn, so that a slow minute hurts all of them alike; the first round
warms up and is thrown away. What is reported is the median with its extremes, never the best.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

ROUNDS: Final = 5
"""Counted rounds, unless the command says otherwise. Odd, so that the median is a figure that was measured."""


class Figure(msgspec.Struct, frozen=True):
    """One contestant's results in one suite. `values` are in `unit`; `note` says why there are none."""

    suite: str
    peer: str
    unit: str
    values: tuple[float, ...] = ()
    note: str = ""
    detail: dict[str, float] = {}

    def as_item(self) -> dict[str, object]:
        """The item of `bench --json`: suite, peer, unit, median, min, max, rounds, and what else is known."""
        item: dict[str, object] = {"suite": self.suite, "peer": self.peer, "unit": self.unit}
        if self.values:
            item |= {"median": statistics.median(self.values), "min": min(self.values), "max": max(self.values)}
        return item | {"rounds": len(self.values), "note": self.note, "detail": self.detail}


class Unavailable(Exception):
    """This contestant cannot run here; the text says why."""


class Contestant(msgspec.Struct, frozen=True):
    """Something that can be measured: `run` makes one round and returns its value, with details by name."""

    suite: str
    peer: str
    unit: str
    run: Callable[[], tuple[float, dict[str, float]]]
    close: Callable[[], None] = lambda: None


def interleave(
    contestants: Iterable[Contestant], rounds: int, progress: Callable[[str], None] = lambda _line: None
) -> list[Figure]:
    """Run all contestants `rounds` times in turn after one warm-up; those that cannot run say so in their figure."""
    running = list(contestants)
    values: dict[str, list[float]] = {c.peer: [] for c in running}
    details: dict[str, dict[str, float]] = {}
    notes: dict[str, str] = {}
    try:
        for number in range(rounds + 1):
            for contestant in running:
                if contestant.peer in notes:
                    continue
                progress(f"{contestant.suite} {contestant.peer}: " + (f"round {number}" if number else "warm-up"))
                try:
                    value, detail = contestant.run()
                except Unavailable as reason:
                    notes[contestant.peer] = str(reason)
                    continue
                if number:
                    values[contestant.peer].append(value)
                    details[contestant.peer] = detail
    finally:
        for contestant in running:
            contestant.close()
    return [
        Figure(c.suite, c.peer, c.unit, tuple(values[c.peer]), notes.get(c.peer, ""), details.get(c.peer, {}))
        for c in running
    ]
