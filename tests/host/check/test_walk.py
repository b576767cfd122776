"""Random walks: what they find is there, and the same seed finds it again."""

from __future__ import annotations

import pytest

from engines.model.system_view import SystemView
from host.check.local import CheckError, Engines
from host.check.properties import Property
from host.check.run import CheckRequest, check
from host.check.search import UNBOUNDED, Bounds
from host.check.space import Space
from host.check.trace import trace_of
from host.check.walk import walk

from .exploring import explored
from .tables import random_system


def low(view: SystemView) -> bool:
    """Few phases are reached."""
    return sum(engine.state.phase for engine in view.engines()) < 4


def test_walks_find_what_is_there_and_nothing_else() -> None:
    """False if a walk made up a state, missed what most walks meet, or could not be followed again."""
    found_all = there = 0
    for seed in range(30):
        system = random_system(seed)
        whole = explored(system, Property("always", low))[1]
        space = Space(system, Engines())
        found = walk(space, [Property("always", low)], UNBOUNDED, 60, seed=1)
        assert found.ended
        assert len(found.violations) <= len(whole.violations)
        there += len(whole.violations)
        found_all += len(found.violations)
        for violation in found.violations:
            steps = trace_of(space, violation.path).steps
            assert not low(space.view(steps[-1].state if steps else space.initial))
    assert found_all > there / 2 > 2


def test_the_same_seed_walks_the_same_way() -> None:
    """False if a violation that walks found could not be found again."""
    system = random_system(3)
    one, same, other = (walk(Space(system, Engines()), [], Bounds(depth=5), 3, seed) for seed in (7, 7, 8))
    assert one.seen == same.seen
    assert one.seen != other.seen
    assert one.counts.depth <= 5


def test_walks_go_with_no_other_way_to_explore() -> None:
    """False if an option were silently without effect."""
    subject = "engines.protocols.two_phase_commit:SYSTEM"
    with pytest.raises(CheckError, match="random walks go with neither"):
        check(CheckRequest(subject=subject, walks=5, workers=2))
    report = check(CheckRequest(subject=subject, walks=200))
    assert report.verdicts[0].decided == "undecided"
    assert not report.is_exhaustive
