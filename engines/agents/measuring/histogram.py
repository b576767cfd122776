"""A histogram that merges: buckets whose bounds grow by a constant factor, so that every value in one is within 5 % of
its middle.

Value v > 0 is in bucket `ceil(log(v) / log(GROWTH))`. Two histograms are added bucket by bucket, so an hour's is the
sum of its minutes', and its quantiles are those of all values, within the same error. (Averages and quantiles do not
merge.) The idea is DDSketch (Masson, Rim and Lee, VLDB 2019); `LEAST` and `MOST` bound the number of buckets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from engines.model import Map, Value

ERROR: Final = 0.05
GROWTH: Final = (1 + ERROR) / (1 - ERROR)
LEAST: Final = 1e-6
"""Smaller values count as zero."""

MOST: Final = 1e18
_LOG: Final = math.log(GROWTH)


class Histogram(Value):
    """Counts by bucket; `below` counts values of 0 and less."""

    buckets: Map[int, int] = Map()
    below: int = 0

    def add_all(self, values: Iterable[float]) -> Histogram:
        """With more values."""
        counts: dict[int, int] = {}
        below = self.below
        for value in values:
            if value < LEAST:
                below += 1
                continue
            bucket = math.ceil(math.log(min(value, MOST)) / _LOG)
            counts[bucket] = counts.get(bucket, 0) + 1
        return Histogram(self._with(counts), below)

    def merge(self, other: Histogram) -> Histogram:
        """With all values of another one."""
        return Histogram(self._with(other.buckets), self.below + other.below)

    def _with(self, counts: Mapping[int, int] | Map[int, int]) -> Map[int, int]:
        more = [(bucket, self.buckets.get(bucket, 0) + count) for bucket, count in counts.items()]
        return self.buckets.updated(more) if more else self.buckets

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.below + sum(self.buckets.values())

    def quantile(self, share: float) -> float | None:
        """The value below which this share of all values is, within `ERROR`; None without values."""
        count = self.count
        if not count:
            return None
        rank = max(1, math.ceil(share * count))
        if rank <= self.below:
            return 0.0
        seen = self.below
        for bucket, times in self.buckets.items():
            seen += times
            if seen >= rank:
                return 2 * GROWTH**bucket / (GROWTH + 1)
        raise AssertionError("the counts do not add up")
