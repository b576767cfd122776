"""Statistics of few values on a noisy machine: medians, quantiles, and an interval for the ratio of two medians.

The interval is a percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13): both sides
are drawn again with replacement, RESAMPLES times, and the ratio of the medians is taken each time; the interval holds
the middle 95 % of these. With five rounds a side it is a rough one, and honest only about noise *within* a run: what
changed between two runs besides the program (temperature, neighbours) it cannot know. The draws are seeded, so that the
same figures give the same interval.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from typing import Final

import msgspec

RESAMPLES: Final = 4000
CONFIDENCE: Final = 0.95
SEED: Final = 20_000

LATENCY_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}


class Ratio(msgspec.Struct, frozen=True):
    """A ratio of medians, and the bounds of its interval."""

    value: float
    low: float
    high: float

    @property
    def is_one(self) -> bool:
        """Whether the interval holds 1: no difference that these rounds could show."""
        return self.low <= 1.0 <= self.high


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle. Raises `statistics.StatisticsError` for none."""
    return statistics.median(values)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` values that at least `share` of them do not exceed: one that was measured, always."""
    rank = math.ceil(share * len(ordered) - 1e-9)
    return ordered[max(rank, 1) - 1]


def ratio_of_medians(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """The ratio of two medians with its bootstrap interval; all values must be positive, and there must be some."""
    chance = random.Random(SEED)
    drawn = sorted(_drawn(chance, above) / _drawn(chance, below) for _ in range(RESAMPLES))
    value = median(above) / median(below)
    tail = (1 - CONFIDENCE) / 2
    return Ratio(value, min(value, quantile(drawn, tail)), max(value, quantile(drawn, 1 - tail)))


def _drawn(chance: random.Random, values: Sequence[float]) -> float:
    return median(chance.choices(values, k=len(values)))
