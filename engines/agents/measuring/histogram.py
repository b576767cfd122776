"""A histogram that merges: buckets whose bounds grow by a constant factor, so that every value in one is within 5 % of
its middle.

Value v > 0 is in bucket `ceil(log(v) / log(GROWTH))`. Two histograms are added bucket by bucket, so an hour's is the
sum of its minutes', and its quantiles are those of all values, within the same error. (Averages and quantiles do not
merge.) The idea is DDSketch (Masson, Rim and Lee, VLDB 2019); `LEAST` and `MOST` bound the number of buckets.
"""

from __future__ import annotations

import math
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

    def add(self, value: float, times: int = 1) -> Histogram:
        """With a value more."""
        if value < LEAST:
            return Histogram(self.buckets, self.below + times)
        bucket = math.ceil(math.log(min(value, MOST)) / _LOG)
        return Histogram(self.buckets.set(bucket, self.buckets.get(bucket, 0) + times), self.below)

    def merge(self, other: Histogram) -> Histogram:
        """With all values of another one."""
        counts = {bucket: self.buckets.get(bucket, 0) + count for bucket, count in other.buckets.items()}
        return Histogram(self.buckets.updated(counts), self.below + other.below)

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
