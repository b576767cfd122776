"""Rollups: what was measured, by minute, hour and day, in a form that adds up.

A rollup is of one measure of one agent, in one state, under one version of a protocol, in one bucket of time. It has no
average, since averages do not merge. Sums are whole numbers and millionths, so the order in which values come does not
matter: the sum of the minutes is that of the hour, and what a recount of the events gives. An event is *late* if the
minute it belongs to ended more than `REOPEN_NS` ago: it is in a counter of its own then, and in no bucket.

An event changes its minute only. A minute that is closed is added to its hour and its day, so these cost nothing for
each event; what is asked for an hour that is not over has the open minutes added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from engines.model import Map, Value

from .histogram import Histogram

MINUTE_NS: Final = 60 * 10**9
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
REOPEN_NS: Final = 10 * MINUTE_NS
MILLION: Final = 1_000_000

KEPT_NS: Final = {MINUTE_NS: 14 * DAY_NS, HOUR_NS: 180 * DAY_NS, DAY_NS: 5 * 365 * DAY_NS}
"""How long rollups of each length are kept."""


class Series(Value):
    """What a rollup is of, but for its time."""

    agent: str
    measure: str
    state: str
    protocol: str
    version: str


class Period(Value):
    """The place of a rollup: what it is of, the length of its bucket, and when that begins."""

    length_ns: int
    begin_ns: int
    series: Series


class Sum(Value):
    """An exact sum: whole ones, and millionths from 0 to 999,999."""

    whole: int = 0
    millionths: int = 0

    def add(self, other: Sum) -> Sum:
        """Both."""
        carry, millionths = divmod(self.millionths + other.millionths, MILLION)
        return Sum(self.whole + other.whole + carry, millionths)

    def __float__(self) -> float:
        return self.whole + self.millionths / MILLION


class Rollup(Value):
    """What was measured: how often, the sum, the least, the greatest, the last value and its time, and how spread."""

    count: int = 0
    sum: Sum = Sum()
    least: float = 0.0
    greatest: float = 0.0
    last: float = 0.0
    last_ns: int = 0
    spread: Histogram = Histogram()

    def with_values(self, values: Sequence[tuple[float, int]]) -> Rollup:
        """With more values, one at least, each with its time."""
        numbers = [value for value, _ in values]
        least, greatest = min(numbers), max(numbers)
        last_ns, last = max([(time_ns, value) for value, time_ns in values])
        if self.count:
            least, greatest = min(least, self.least), max(greatest, self.greatest)
            last_ns, last = max((last_ns, last), (self.last_ns, self.last))
        spread = self.spread.add_all(numbers)
        total = self.sum.add(sum_of(numbers))
        return Rollup(self.count + len(numbers), total, float(least), float(greatest), float(last), last_ns, spread)

    def merge(self, other: Rollup) -> Rollup:
        """Both together."""
        if not self.count or not other.count:
            return other if not self.count else self
        latest = other if (other.last_ns, other.last) >= (self.last_ns, self.last) else self
        return Rollup(
            self.count + other.count,
            self.sum.add(other.sum),
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            latest.last,
            latest.last_ns,
            self.spread.merge(other.spread),
        )


def sum_of(values: Iterable[float]) -> Sum:
    """Values as an exact sum, each rounded to millionths."""
    total = millionths = 0
    for value in values:
        whole = int(value // 1)
        total += whole
        millionths += round((value - whole) * MILLION)
    carry, millionths = divmod(millionths, MILLION)
    return Sum(total + carry, millionths)


def rollup_of(values: Sequence[tuple[float, int]]) -> Rollup:
    """A rollup of values, each with its time."""
    return NOTHING.with_values(values)


NOTHING: Final = Rollup()


class Rollups(Value):
    """What can still change: minutes by their begin, and what the closed minutes of hours and days come to, by length
    and begin; and what came too late, by measure.
    """

    minutes: Map[int, Map[Series, Rollup]] = Map()
    longer: Map[tuple[int, int], Map[Series, Rollup]] = Map()
    late: Map[str, Rollup] = Map()

    def add(self, values: Iterable[tuple[Series, float, int]], now_ns: int) -> Rollups:
        """With more values, each with its time. A time to come counts as now."""
        late: dict[str, list[tuple[float, int]]] = {}
        by_minute: dict[int, dict[Series, list[tuple[float, int]]]] = {}
        for series, value, time_ns in values:
            time_ns = min(time_ns, now_ns)
            begin_ns = time_ns - time_ns % MINUTE_NS
            if is_closed(begin_ns, MINUTE_NS, now_ns):
                late.setdefault(series.measure, []).append((value, time_ns))
            else:
                by_minute.setdefault(begin_ns, {}).setdefault(series, []).append((value, time_ns))
        minutes = self.minutes
        for begin_ns, found in by_minute.items():
            minutes = minutes.set(begin_ns, _with(minutes.get(begin_ns) or Map(), found))
        after = _with(self.late, late) if late else self.late
        return replace(self, minutes=minutes, late=after)

    def close(self, now_ns: int) -> tuple[Rollups, list[tuple[Period, Rollup]]]:
        """Without those that cannot change any more, and these."""
        found: list[tuple[Period, Rollup]] = []
        minutes, longer = self.minutes, self.longer
        for begin_ns, minute in self.minutes.items():
            if not is_closed(begin_ns, MINUTE_NS, now_ns):
                continue
            minutes = minutes.without(begin_ns)
            found += [(Period(MINUTE_NS, begin_ns, series), one) for series, one in minute.items()]
            for length_ns in LONGER_NS:
                key = (length_ns, begin_ns - begin_ns % length_ns)
                longer = longer.set(key, merged(longer.get(key) or Map(), minute))
        for (length_ns, begin_ns), many in longer.items():
            if is_closed(begin_ns, length_ns, now_ns):
                longer = longer.without((length_ns, begin_ns))
                found += [(Period(length_ns, begin_ns, series), one) for series, one in many.items()]
        return replace(self, minutes=minutes, longer=longer), found

    def now(self, length_ns: int, now_ns: int) -> Map[Series, Rollup]:
        """The hour or day that is not over, up to now."""
        begin_ns = now_ns - now_ns % length_ns
        found = self.longer.get((length_ns, begin_ns)) or Map()
        for minute_ns, minute in self.minutes.items():
            if minute_ns >= begin_ns:
                found = merged(found, minute)
        return found


LONGER_NS: Final = (HOUR_NS, DAY_NS)
K = TypeVar("K", str, Series)


def _with(known: Map[K, Rollup], values: Mapping[K, Sequence[tuple[float, int]]]) -> Map[K, Rollup]:
    """With more values of each key."""
    return known.updated([(key, known.get(key, NOTHING).with_values(every)) for key, every in values.items()])


def merged(one: Map[Series, Rollup], other: Map[Series, Rollup]) -> Map[Series, Rollup]:
    """Both, series by series."""
    return one.updated((series, one.get(series, NOTHING).merge(rollup)) for series, rollup in other.items())


def is_closed(begin_ns: int, length_ns: int, now_ns: int) -> bool:
    """Whether a bucket cannot change any more."""
    return now_ns - (begin_ns + length_ns) > REOPEN_NS
