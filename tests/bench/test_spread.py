"""Laws of the statistics: they are asserted for any values, since nobody would notice a wrong one in a report."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spread import LATENCY_QUANTILES, Ratio, median, quantile, ratio_of_medians

VALUES = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=12)
SHARES = st.floats(0.0, 1.0)


@given(VALUES, SHARES)
def test_a_quantile_was_measured_and_holds_its_share(values: list[float], share: float) -> None:
    """If false, a percentile is a number nobody measured, or says less than it claims."""
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) <= max(share * len(values), 0)


@given(VALUES)
def test_quantiles_rise_to_the_largest(values: list[float]) -> None:
    """If false, p99 may lie below p50."""
    found = [quantile(sorted(values), share) for share in LATENCY_QUANTILES.values()]
    assert found == sorted(found)
    assert found[-1] == max(values)


def test_known_quantiles() -> None:
    """If false, ranks are off by one."""
    ordered = list(range(1, 1001))
    assert [quantile(ordered, share) for share in (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)] == [1, 500, 900, 990, 999, 1000]


@pytest.mark.storm
@given(VALUES, VALUES)
def test_the_interval_holds_the_ratio_of_the_medians(above: list[float], below: list[float]) -> None:
    """If false, an interval lies beside what it is the interval of."""
    found = ratio_of_medians(above, below)
    assert found.low <= found.value <= found.high
    assert math.isclose(found.value, statistics.median(above) / statistics.median(below))
    assert min(above) / max(below) * 0.999 <= found.low
    assert found.high <= max(above) / min(below) * 1.001


@pytest.mark.storm
@given(VALUES)
def test_a_run_beside_itself_shows_no_difference(values: list[float]) -> None:
    """If false, two equal runs are called different."""
    found = ratio_of_medians(values, values)
    assert found.value == 1.0
    assert found.is_one


@pytest.mark.storm
@given(VALUES, VALUES, st.sampled_from([0.5, 2.0, 1024.0]))
def test_the_unit_does_not_matter(above: list[float], below: list[float], factor: float) -> None:
    """If false, the same figures in another unit compare differently."""
    found, scaled = ratio_of_medians(above, below), ratio_of_medians([v * factor for v in above], below)
    assert all(math.isclose(one * factor, other) for one, other in zip(_parts(found), _parts(scaled), strict=True))


def test_rounds_without_noise_have_no_width_and_noisy_ones_do() -> None:
    """If false, the interval says nothing about noise."""
    assert ratio_of_medians([2.0] * 5, [1.0] * 5) == Ratio(2.0, 2.0, 2.0)
    noisy = ratio_of_medians([1.8, 1.9, 2.0, 2.1, 2.2], [0.9, 0.95, 1.0, 1.05, 1.1])
    assert 1.6 < noisy.low < 1.95 < 2.05 < noisy.high < 2.4


def test_equal_figures_give_equal_intervals() -> None:
    """If false, a gate or a comparison depends on chance."""
    above, below = [3.0, 5.0, 4.0], [2.0, 1.0, 3.0]
    assert ratio_of_medians(above, below) == ratio_of_medians(above, below)


@given(VALUES)
def test_the_median_lies_between(values: list[float]) -> None:
    """If false, a report shows a median outside of its own spread."""
    assert min(values) <= median(values) <= max(values)


def _parts(ratio: Ratio) -> tuple[float, float, float]:
    return ratio.value, ratio.low, ratio.high
