"""The handshake of a lane: what holds with it, and that each of its orderings is needed."""

from __future__ import annotations

import pytest

from engines.protocols.lane_handshake import BUGS
from host.check.run import CheckReport, CheckRequest, check
from host.check.trace import trace_of


def checked(**params: object) -> CheckReport:
    """The report of a check of all that the system states."""
    texts = {name: str(value) for name, value in params.items()}
    return check(CheckRequest(subject="engines.protocols.lane_handshake:SYSTEM", params=texts))


@pytest.mark.parametrize(
    ("messages", "cells", "states", "transitions", "asleep"),
    [(2, 1, 5_760, 13_559, 13), pytest.param(3, 2, 17_858, 41_562, 19, marks=pytest.mark.storm)],
)
def test_no_message_is_lost_or_doubled_and_no_wake_up(
    messages: int, cells: int, states: int, transitions: int, asleep: int
) -> None:
    """False if in some order of stores a message is not taken once, or both ends sleep with work left."""
    report = checked(messages=messages, cells=cells)
    assert report.is_exhaustive
    assert {one.property: (one.decided, one.steps) for one in report.verdicts} == {
        "always each_once_in_order": ("holds", None),
        "always no_wake_up_is_lost": ("holds", None),
        "sometimes rings_a_sleeper": ("holds", 10),
        "sometimes waits_for_room": ("holds", asleep),
        "eventually all_arrived": ("holds", None),
    }
    assert (report.found.counts.states, report.found.counts.transitions) == (states, transitions)


WAYS = {
    "no-second-look": ("always no_wake_up_is_lost", 16),
    "no-fence-to-publish": ("always no_wake_up_is_lost", 18),
    "no-fence-to-sleep": ("always no_wake_up_is_lost", 18),
    "no-fence-to-release": ("always no_wake_up_is_lost", 24),
    "no-fence-to-wait": ("always no_wake_up_is_lost", 24),
    "relaxed-tail": ("always each_once_in_order", 5),
}
"""What each bug violates, and the length of the shortest way there, with one cell."""


@pytest.mark.parametrize("bug", BUGS)
def test_each_ordering_is_needed(bug: str) -> None:
    """False if a lane without it passed, or its failure were shown by a longer way than it needs."""
    report = checked(messages=2, cells=1, bug=bug)
    (violation,) = report.found.violations
    assert (violation.property, len(violation.path) - 1) == WAYS[bug]


def test_the_way_to_a_lost_wake_up_ends_with_both_asleep() -> None:
    """False if the way without the second look did not show the message that comes between look and sleep."""
    report = checked(messages=2, cells=1, bug="no-second-look")
    trace = trace_of(report.space, report.found.violations[0].path)
    labels = [step.label for step in trace.steps]
    assert labels.index("consumer looks") < labels.index("tail 1 reaches memory") < labels.index("consumer arms")
    last = trace.steps[-1].state
    assert (last.producer.at, last.consumer.at, last.bells, len(last.buffer)) == ("sleep", "sleep", (), 0)
