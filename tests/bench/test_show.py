"""The table of `enginehost bench` as it stands in a terminal."""

from __future__ import annotations

from pathlib import Path

import bench_figures
import msgspec

from bench.show import render_table

KEPT = Path(__file__).parents[2] / "docs" / "benchmarks" / "run.json"
NOTE = "not installed: pip install 'enginehost[peers]'"


def test_every_suite_fits_a_terminal_of_80_columns() -> None:
    """False if a table wrapped in a terminal of usual width; or if that of the README left out more than it must."""
    items = msgspec.json.decode(KEPT.read_bytes())["items"]
    shown = [item for item in items if item["suite"] in ("oneway", "pingpong")]
    for some, left_out in ((items, "MIN MAX, SINGLE TIMES"), (shown, "SINGLE TIMES")):
        lines = render_table(some, 80).splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) == len(some) + 2
        assert lines[-1] == f"left out in 80 columns: {left_out}"


def test_peers_that_are_not_installed_are_one_line() -> None:
    """False if what a newcomer has not installed took more lines than what was measured."""
    items = [bench_figures.item("oneway", "enginehost", 90.0, 100.0, 110.0)]
    items += [bench_figures.item("oneway", peer, note=NOTE) for peer in ("Ray", "xoscar", "Thespian")]
    assert render_table(items, 80).splitlines() == [
        "SUITE   PEER               MEDIAN    MIN MAX",
        "oneway  enginehost  100 records/s  -10% +10%",
        f"oneway: Ray, xoscar, Thespian: {NOTE}",
    ]


def test_one_round_has_no_spread_and_a_time_has_its_own_unit() -> None:
    """False if one round looked like one that repeats exactly, or 316 ms were called nanoseconds."""
    shown = render_table([bench_figures.item("startup", "enginehost", 316e6, unit="ns")], 80)
    assert shown.splitlines() == ["SUITE    PEER        MEDIAN", "startup  enginehost  316 ms"]


def test_a_busy_machine_is_said() -> None:
    """False if figures that others disturbed were shown as if they meant something."""
    quiet, busy = ({"run": {**bench_figures.RUN, "load": load, "cores": 2}} for load in (1.0, 4.25))
    item = bench_figures.item("oneway", "enginehost", 1.0)
    assert "busy" not in render_table([item | quiet], None)
    said = "the machine was busy (load 4.25 on 2 cores): figures and ratios are doubtful"
    assert render_table([item | busy], None).splitlines()[-1] == said
