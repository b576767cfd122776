"""Validator, router, measurement and two agents under the checker, to the end; and that bugs in them are found."""

from __future__ import annotations

import pytest

from host.check.run import CheckReport, CheckRequest, check

WHOLE = "engines.agents.whole_system"


def checked(**params: str) -> CheckReport:
    """All that can be reached, with one crash at any point."""
    return check(CheckRequest(subject=f"{WHOLE}:SYSTEM", params=params, faults=1))


@pytest.mark.parametrize(
    ("also", "wakes", "measurement", "states", "transitions"),
    [
        ("none", "false", "silent", 1_268, 3_832),
        pytest.param("none", "true", "there", 134_884, 690_436, marks=pytest.mark.storm),
        pytest.param("send", "false", "none", 156_916, 660_596, marks=pytest.mark.storm),
        pytest.param("read", "false", "none", 197_216, 900_312, marks=pytest.mark.long),
        pytest.param("send", "false", "silent", 298_516, 1_397_332, marks=pytest.mark.long),
        pytest.param("send", "false", "there", 2_765_860, 16_095_192, marks=pytest.mark.long),
        pytest.param("send", "true", "none", 3_386_244, 16_850_704, marks=pytest.mark.long),
    ],
)
def test_the_principles_hold_in_the_whole(
    also: str, wakes: str, measurement: str, states: int, transitions: int
) -> None:
    """False if in some order, with a crash at some point, an answer is about what is not recorded, a request is done
    twice, a message goes past the engine or is lost, or a request waits for measurement."""
    report = checked(also=also, wakes=wakes, measurement=measurement)
    assert report.is_exhaustive
    assert {one.property: one.decided for one in report.verdicts if one.decided != "holds"} == {}
    assert (report.found.counts.states, report.found.counts.transitions) == (states, transitions)


@pytest.mark.parametrize(
    ("bug", "params", "shown_by"),
    [
        ("answer-first", {}, "answered_is_recorded"),
        ("volatile-validator", {}, "answered_is_recorded"),
        ("volatile-router", {"also": "send"}, "answered_is_recorded"),
        ("forgetful", {}, "a_request_is_done_once"),
        ("forgetful", {"wakes": "true"}, "answers_are_repeated"),
        ("direct", {}, "nothing_goes_past_the_engine"),
        ("doubled", {}, "messages_are_of_moves"),
        ("volatile-router", {}, "messages_arrive"),
        ("waiting", {}, "nobody_waits_for_measurement"),
    ],
)
def test_bugs_in_the_whole_are_found(bug: str, params: dict[str, str], shown_by: str) -> None:
    """False if a property holds whatever the families do."""
    [violation] = checked(**{"also": "none", "bug": bug, **params}).found.violations
    assert violation.property == f"always {shown_by}"


def test_a_wait_for_measurement_is_a_wait_for_ever() -> None:
    """False if `leads_to` holds although answers need a step of measurement, which takes none."""
    waits = (f"{WHOLE}:somebody_waits", f"{WHOLE}:nobody_waits")
    params = {"also": "none", "measurement": "silent", "bug": "waiting"}
    request = CheckRequest(subject=f"{WHOLE}:SYSTEM", params=params, faults=1, leads_to=(waits,))
    [violation] = check(request).found.violations
    assert violation.property == "somebody_waits leads to nobody_waits"
