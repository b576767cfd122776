"""Agents and validator under the checker; and that it finds the bugs that break the principles."""

from __future__ import annotations

import pytest

from host.check.run import CheckReport, CheckRequest, check


def checked(faults: int = 0, **params: str) -> CheckReport:
    return check(CheckRequest(subject="engines.agents.system:SYSTEM", params=params, faults=faults))


@pytest.mark.parametrize(("faults", "states"), [(0, 48), (1, 242), (2, 626)])
def test_what_is_answered_is_recorded_once(faults: int, states: int) -> None:
    """False if in some order of messages, repeats and deaths of agents a principle is broken."""
    found = checked(faults).found
    assert not found.ended
    assert found.violations == []
    assert found.counts.states == states


@pytest.mark.parametrize(
    ("bug", "shown_by"),
    [
        ("answer-first", "always answered_is_recorded"),
        ("forgetful", "always a_request_is_done_once"),
        ("direct", "always nothing_goes_past_the_engine"),
    ],
)
def test_bugs_against_the_principles_are_found(bug: str, shown_by: str) -> None:
    """False if the checker passes an answer before its record, a request done twice, or mail past the engine."""
    [violation] = checked(bug=bug).found.violations
    assert violation.property == shown_by
