"""Gates: which figure missed, and by how much."""

from __future__ import annotations

from pathlib import Path

import bench_figures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gate import Gate, judge, load_gates
from bench.suites import NAMES
from host.live.control.protocol import ControlError

RATES = st.floats(1.0, 1e9)
RUN = [
    bench_figures.item("oneway", "enginehost", 70.0, 80.0, 90.0),
    bench_figures.item("oneway", "limit", 100.0),
    bench_figures.item("oneway", "Ray", note="not installed"),
    bench_figures.item("fanin", "enginehost", 60.0),
    bench_figures.item(
        "pingpong", "enginehost", 5000.0, unit="ns", taken_ns={"p50": 5e3, "p99": 9e3}, detail={"idle": 7.0}
    ),
]


@given(RATES, RATES)
def test_a_gate_holds_exactly_up_to_its_bound(found: float, bound: float) -> None:
    """If false, a regression passes, or a good run fails."""
    run = [bench_figures.item("s", "enginehost", found)]
    least, most = judge([Gate("s", at_least=bound), Gate("s", at_most=bound)], run)
    assert least.held == (found >= bound)
    assert most.held == (found <= bound)
    assert least.sentence().startswith("held" if least.held else "missed")


@given(RATES, RATES, RATES)
def test_a_ratio_does_not_depend_on_the_machine(ours: float, theirs: float, factor: float) -> None:
    """If false, a faster machine opens the gate."""
    gate = Gate("s", at_least=0.75, of="limit")
    run = [bench_figures.item("s", "enginehost", ours), bench_figures.item("s", "limit", theirs)]
    [judged] = judge([gate], run)
    assert judged.found == ours / theirs


def test_a_miss_says_what_by_how_much() -> None:
    """If false, a failed run has to be looked at by hand."""
    gates = [
        Gate("oneway", at_least=100.0),
        Gate("oneway", at_least=1.0, of="limit"),
        Gate("fanin", at_least=0.8, of="oneway/enginehost"),
        Gate("pingpong", at_most=4500.0, figure="p99"),
        Gate("pingpong", at_most=7.0, figure="idle"),
        Gate("oneway", peer="Ray", at_least=1.0),
        Gate("ring", at_least=1.0),
    ]
    assert [judged.sentence() for judged in judge(gates, RUN)] == [
        "missed: oneway enginehost: 80, at least 100 wanted, by 20%",
        "missed: oneway enginehost / limit: 0.8, at least 1 wanted, by 20%",
        "missed: fanin enginehost / oneway/enginehost: 0.75, at least 0.8 wanted, by 6%",
        "missed: pingpong enginehost p99: 9,000, at most 4,500 wanted, by 100%",
        "held: pingpong enginehost idle: 7, at most 7 wanted",
        "missed: oneway Ray: not measured, at least 1 wanted",
        "missed: ring enginehost: not measured, at least 1 wanted",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "- {suite: oneway}",
        "- {suite: oneway, at_least: 1, at_most: 2}",
        "- {suite: x, at_least: 1, pear: y}",
        "[]",
        "{",
    ],
)
def test_a_file_that_holds_no_gates_is_refused(tmp_path: Path, text: str) -> None:
    """If false, a misspelt gate is one that always holds."""
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    with pytest.raises(ControlError) as refused:
        load_gates(str(path))
    assert refused.value.error == "usage"


def test_the_gates_we_keep_are_of_suites_there_are() -> None:
    """If false, a gate is never held against anything."""
    gates = load_gates(str(Path(__file__).parents[2] / "bench" / "gates.yaml"))
    assert {gate.suite for gate in gates} <= set(NAMES)
