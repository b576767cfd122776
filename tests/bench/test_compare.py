"""A run beside an earlier one."""

from __future__ import annotations

import bench_figures

from bench.compare import compared, verdict
from bench.spread import Ratio


def test_figures_of_both_runs_get_a_ratio_with_its_interval() -> None:
    """If false, `--compare` shows something else than now by before."""
    now = [bench_figures.item("oneway", "enginehost", 9.0, 10.0, 11.0), bench_figures.item("oneway", "limit", 4.0)]
    before = [bench_figures.item("oneway", "enginehost", 5.0, 5.0, 5.0), bench_figures.item("ring", "limit", 4.0)]
    ours, limit = compared(now, before)
    assert ours["compared"] == {"ratio": 2.0, "low": 1.8, "high": 2.2}
    assert "compared" not in limit


def test_figures_that_are_not_of_a_kind_are_not_compared() -> None:
    """If false, nanoseconds are divided by records, or nothing by something."""
    now = [bench_figures.item("s", "a", 1.0, unit="ns"), bench_figures.item("s", "b", note="not installed")]
    before = [bench_figures.item("s", "a", 1.0), bench_figures.item("s", "b", 1.0)]
    assert compared(now, before) == now


def test_better_is_more_or_less_by_unit() -> None:
    """If false, a slower round trip is called better."""
    assert verdict(Ratio(2.0, 1.9, 2.1), more_is_better=True) == "better"
    assert verdict(Ratio(2.0, 1.9, 2.1), more_is_better=False) == "worse"
    assert verdict(Ratio(0.5, 0.4, 0.6), more_is_better=False) == "better"
    assert verdict(Ratio(1.2, 0.9, 1.5), more_is_better=True) == "same"
