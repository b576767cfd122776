"""Interleaved rounds: the method of measurement on a noisy machine.

Every contestant of a suite runs once per round, in turn, so a slow minute affects all of them alike. The first round is
a warm-up and is not counted. The result is the median with its extremes, never the best. Each round begins with another
contestant, so none always follows the same one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from bench.spread import LATENCY_QUANTILES, median, quantile

ROUNDS: Final = 5
"""Default number of counted rounds. It is odd, so the median is a measured figure."""


class Unavailable(Exception):
    """The contestant cannot run here; the text gives the reason."""


class Round(msgspec.Struct, frozen=True):
    """Result of one round: its value in the suite's unit, the number of handled things, single times, details."""

    value: float
    handled: int
    taken_ns: Sequence[int] = ()
    detail: dict[str, float] = {}


class Contestant(msgspec.Struct, frozen=True):
    """A participant of a suite: `run` makes one round. `wait` names how its receivers wait, for our own ones;
    `rounds` bounds the counted rounds of a slow one.
    """

    peer: str
    run: Callable[[], Round]
    close: Callable[[], None] = lambda: None
    wait: str = ""
    rounds: int | None = None


class Suite(msgspec.Struct, frozen=True):
    """A measurement with several contestants.

    Args:
        name: its name on the command line.
        title: one line about the measurement.
        unit: of all values: `records/s`, `hops/s`, `engines/s`, `ns`, `bytes`, `bytes/s`.
        size: amount of work in a round, in the things that the suite counts.
        contestants: makes the contestants for rounds of a given size.
        rounds: most counted rounds, for long ones.
        least: the smallest meaningful size, a lower bound for `--quick`.
    """

    name: str
    title: str
    unit: str
    size: int
    contestants: Callable[[int], list[Contestant]]
    rounds: int = ROUNDS
    least: int = 1

    @property
    def more_is_better(self) -> bool:
        """Rates should be high, times and sizes low."""
        return self.unit.endswith("/s")


class Figure(msgspec.Struct, frozen=True):
    """One contestant's results in one suite. `values` are in `unit`, one per counted round. `note` gives the reason if
    there are none; `failed`: the reason is an error. `taken_ns` has percentiles of single times over all rounds.
    """

    suite: str
    peer: str
    unit: str
    values: tuple[float, ...] = ()
    note: str = ""
    failed: bool = False
    wait: str = ""
    handled: int = 0
    taken_ns: dict[str, float] = {}
    detail: dict[str, float] = {}

    def as_item(self) -> dict[str, Any]:
        """The item of `bench --json`: these fields, and median, smallest and largest value if there are values."""
        item: dict[str, Any] = msgspec.to_builtins(self) | {"rounds": len(self.values)}
        if not self.values:
            return item
        return item | {"median": median(self.values), "min": min(self.values), "max": max(self.values)}


def figure_from(item: dict[str, Any]) -> Figure:
    """The figure in a stored item. Raises `msgspec.ValidationError`."""
    return msgspec.convert(item, Figure)


class Course(msgspec.Struct):
    """The results of one contestant so far."""

    contestant: Contestant
    rounds: list[Round] = []
    note: str = ""
    failed: bool = False

    def goes_on(self, number: int) -> bool:
        """Whether it takes part in this round."""
        return not self.note and (self.contestant.rounds is None or number <= self.contestant.rounds)


def interleave(
    suite: Suite, size: int, rounds: int, progress: Callable[[str], None] = lambda _line: None
) -> list[Figure]:
    """Run all contestants `rounds` times in turn after one warm-up. A figure notes why its contestant could not run."""
    courses = [Course(contestant, []) for contestant in suite.contestants(size)]
    began_s = time.monotonic()
    try:
        for number in range(rounds + 1):
            for course in _turned(courses, number):
                if course.goes_on(number):
                    name = f"{suite.name}: {course.contestant.peer}"
                    when = f"round {number} of {rounds}" if number else "warm-up"
                    progress(f"{name}, {when} ({time.monotonic() - began_s:.0f} s)")
                    _take(course, counted=number > 0)
    finally:
        _close(courses)
    return [_figure(suite, course) for course in courses]


def _turned(courses: list[Course], by: int) -> Iterable[Course]:
    first = by % len(courses)
    return [*courses[first:], *courses[:first]]


def _take(course: Course, counted: bool) -> None:
    """One round. An error of one contestant becomes its note, and the others continue."""
    try:
        taken = course.contestant.run()
    except Unavailable as reason:
        course.note = str(reason)
    except Exception as error:
        course.note, course.failed = f"failed: {type(error).__name__}: {error}", True
    else:
        if counted:
            course.rounds.append(taken)


def _close(courses: list[Course]) -> None:
    """Close all contestants, then raise the first error."""
    errors = []
    for course in courses:
        try:
            course.contestant.close()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _figure(suite: Suite, course: Course) -> Figure:
    rounds, contestant = course.rounds, course.contestant
    taken_ns = sorted(taken for each in rounds for taken in each.taken_ns)
    return Figure(
        suite.name,
        contestant.peer,
        suite.unit,
        tuple(each.value for each in rounds),
        course.note,
        course.failed,
        contestant.wait,
        sum(each.handled for each in rounds),
        {name: quantile(taken_ns, share) for name, share in LATENCY_QUANTILES.items()} if taken_ns else {},
        _middle([each.detail for each in rounds]),
    )


def _middle(details: list[dict[str, float]]) -> dict[str, float]:
    """The median over the rounds, name by name."""
    return {name: median([detail[name] for detail in details]) for name in (details[0] if details else ())}
