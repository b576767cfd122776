"""Statistics of few values on a noisy machine: medians, quantiles, and an interval for the ratio of two medians.

The interval is a percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13). Both sides
are resampled with replacement RESAMPLES times, and the interval contains the middle 95 % of the ratios of medians. With
five rounds per side it is rough, and covers only the noise *within* a run. It does not cover other changes between two
runs (temperature, neighbours). The draws are seeded, so the same figures give the same interval.
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
        """Whether the interval contains 1: these rounds show no difference."""
        return self.low <= 1.0 <= self.high


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle values. Raises `statistics.StatisticsError` for none."""
    return statistics.median(values)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` values that at least `share` of them do not exceed: always a measured value."""
    rank = math.ceil(share * len(ordered) - 1e-9)
    return ordered[max(rank, 1) - 1]


def ratio_of_medians(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """The ratio of two medians with its bootstrap interval. All values must be positive; at least one per side."""
    chance = random.Random(SEED)
    drawn = sorted(_drawn(chance, above) / _drawn(chance, below) for _ in range(RESAMPLES))
    value = median(above) / median(below)
    tail = (1 - CONFIDENCE) / 2
    return Ratio(value, min(value, quantile(drawn, tail)), max(value, quantile(drawn, 1 - tail)))


def _drawn(chance: random.Random, values: Sequence[float]) -> float:
    return median(chance.choices(values, k=len(values)))
