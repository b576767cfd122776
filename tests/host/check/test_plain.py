"""Plain transition systems: found in them is what is found in engines, and what is about engines is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from host.check import workers as workers_module
from host.check.again import StillViolated, follow, line_of
from host.check.local import CheckError
from host.check.plain import PlainSpace
from host.check.run import CheckReport, CheckRequest, check
from host.check.trace import lines, trace_of
from host.check.written import chart_of

from .exploring import NEEDS_SHARED

HERE = (str(Path(__file__).parent),)
"""The code root of `plain_tokens`."""


def checked(name: str, **options: Any) -> CheckReport:
    """The report of a check."""
    return check(CheckRequest(subject=f"plain_tokens:{name}", roots=HERE, **options))


def test_a_violation_has_the_shortest_way_in_words() -> None:
    """False if a state that violates a property were missed, or its way were longer or unreadable."""
    report = checked("DOUBLED")
    (violation,) = report.found.violations
    assert violation.property == "always one_token"
    trace = trace_of(report.space, violation.path)
    shown = [*lines(report.space, trace)]
    assert [line for line in shown if not line.startswith(" ")] == ["1  a to b", "2  b to a", "3  a doubles"]
    assert shown[-1].strip() == "passed: 2 -> 3"
    with pytest.raises(StillViolated):
        follow("plain_tokens:DOUBLED", [line_of(step) for step in trace.steps], "always one_token", roots=HERE)
    follow("plain_tokens:DOUBLED", ["step a to b"], "always one_token", roots=HERE)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=NEEDS_SHARED)])
def test_liveness_is_decided_on_the_graph(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a step that is owed again and again were never taken, or a choice that nobody owes were waited for."""
    monkeypatch.setattr(workers_module, "LEVEL_MIN", 2)
    report = checked("RIGHT", workers=workers)
    assert [verdict.decided for verdict in report.verdicts] == ["holds", "holds"]
    assert checked("FAIR", workers=workers).found.violations == []
    report = checked("FREE", workers=workers)
    (violation,) = report.found.violations
    assert violation.property == "eventually doubled"
    assert violation.loop is not None
    steps = trace_of(report.space, violation.path, violation.loop).steps
    assert steps[-1].state == steps[violation.loop - 1].state
    assert not any("doubles" in step.label for step in steps)


def test_workers_without_the_extension_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a check by several processes failed with a traceback where no compiler was at hand."""
    monkeypatch.setattr(workers_module, "LEVEL_MIN", 2)
    monkeypatch.setattr(workers_module, "IS_SHARED", False)
    with pytest.raises(CheckError, match="was not built: leave --workers out"):
        checked("RIGHT", workers=2)


@NEEDS_SHARED
def test_symmetry_and_workers_find_what_is_found_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a state were lost, or counted twice, by an exchange of names or on its way to another process."""
    monkeypatch.setattr(workers_module, "LEVEL_MIN", 2)
    sometimes = ("plain_tokens:thrice",)
    alone = checked("RIGHT", sometimes=sometimes).found.counts
    together = checked("RIGHT", sometimes=sometimes, workers=2).found.counts
    assert (alone.states, alone.transitions) == (together.states, together.transitions)
    reduced = checked("RIGHT", sometimes=sometimes, uses_declared_symmetry=True)
    space = reduced.space
    assert isinstance(space, PlainSpace)
    swap = {"a": "a", "b": "c", "c": "b"}
    classes = {
        frozenset({(tuple(sorted(s.holders.items())), s.passed), (_swapped(s, swap), s.passed)})
        for s in _all(space, space.initial)
    }
    assert reduced.found.counts.states == len(classes) < alone.states


def _swapped(state: Any, names: dict[str, str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((names[name], count) for name, count in state.holders.items()))


def _all(space: PlainSpace, first: Any) -> list[Any]:
    met = [first]
    for state in met:
        met += [step.state for step in dict.fromkeys(space.successors(state)) if step.state not in met]
    return met


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RAISES", "steps of raises raised ZeroDivisionError"),
        ("NO_STEPS", "which is no PlainStep, in Tokens("),
        ("NO_VALUE", "a state of no value is no value"),
    ],
)
def test_what_is_no_transition_system_is_said(name: str, message: str) -> None:
    """False if a mistake in a system ended in a traceback of the checker."""
    with pytest.raises(CheckError, match=message.replace("(", r"\(")):
        checked(name)


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"network": "lossy"}, "--network"),
        ({"faults": 1}, "--crashes"),
        ({"timers": "bounded"}, "--timers"),
        ({"reduces": True}, "--por"),
        ({"allows_failures": True}, "--allow-failures"),
    ],
)
def test_what_is_about_engines_is_refused(options: dict[str, Any], flag: str) -> None:
    """False if an option that does nothing here were taken without a word."""
    with pytest.raises(CheckError, match=f"{flag} is about engines, and tokens is a plain transition system"):
        checked("RIGHT", **options)


def test_there_is_no_chart_of_states_without_engines() -> None:
    """False if a chart without a participant were drawn."""
    report = checked("DOUBLED")
    with pytest.raises(CheckError, match="no chart: it shows engines"):
        chart_of(report, report.found.violations[0])


def test_names_that_differ_at_the_beginning_cannot_be_exchanged() -> None:
    """False if a reduction that is none were made, which misses states."""
    with pytest.raises(CheckError, match="a and b cannot be exchanged"):
        checked("RIGHT", symmetric=(("a", "b"),), sometimes=("plain_tokens:thrice",))
