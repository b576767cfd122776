"""The search meets exactly the states there are, over every kind of network."""

from __future__ import annotations

import re
from typing import Any

import pytest

from engines.model.system import NETWORKS, BadSystemError, System
from engines.model.system_view import SystemView
from host.check.properties import Property
from host.check.search import Bounds, Findings

from .exploring import explored
from .tables import plainly, random_system


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("seeds", [15, pytest.param(50, marks=pytest.mark.storm)])
def test_as_many_states_and_steps_as_there_are(network: str, seeds: int) -> None:
    """False if a way to keep states, messages or networks as numbers loses or doubles one."""
    sizes = set()
    for seed in range(seeds):
        system = random_system(seed, network)
        states, steps = plainly(system)
        space, found = explored(system)
        sizes.add(len(states))
        assert (found.counts.states, found.counts.transitions) == (len(states), steps), (network, seed)
        assert not found.ended
        views = [space.view(state) for state in found.states]
        assert {tuple((e.name, e.state) for e in view.engines()) for view in views} == {
            engines for engines, _ in states
        }
    assert len(sizes) > seeds / 3, "the systems are all alike"


def test_a_fingerprint_made_step_by_step_is_that_of_the_state() -> None:
    """False if the difference of a move were not that of its parts: states would be lost or doubled at random."""
    for seed in range(20):
        space, found = explored(random_system(seed, "ordered"))
        prints = {space.print_of(state) for state in found.states}
        assert len(prints) == len(found.seen)
        assert all(one in found.seen for one in prints)


def test_a_bound_is_said() -> None:
    """False if a search that ended early could be taken for a whole one."""
    system = random_system(1)
    whole = explored(system)[1]
    assert whole.counts.depth > 2
    by_depth = explored(system, bounds=Bounds(depth=2))[1]
    assert (by_depth.counts.depth, by_depth.ended) == (2, "the bound of 2 steps was reached")
    assert by_depth.counts.states < whole.counts.states
    exact = explored(system, bounds=Bounds(depth=whole.counts.depth + 1))[1]
    assert (exact.counts.states, exact.ended) == (whole.counts.states, "")
    by_states = explored(system, bounds=Bounds(states=1))[1]
    assert by_states.ended == "the bound of 1 states was reached"
    by_time = explored(system, bounds=Bounds(seconds=0.0))[1]
    assert by_time.ended == "the bound of 0 s was reached"


def test_the_first_violation_is_one_of_the_nearest() -> None:
    """False if a counterexample were longer than need be."""

    def low(view: SystemView) -> bool:
        return sum(engine.state.phase for engine in view.engines()) < 4

    met = 0
    for seed in range(30):
        system = random_system(seed)
        space, whole = explored(system)
        depths = [len(_way(whole, space.print_of(s))) - 1 for s in whole.states if not low(space.view(s))]
        _, found = explored(system, Property("always", low))
        assert bool(found.violations) == bool(depths)
        if depths:
            met += 1
            assert len(found.violations[0].path) - 1 == min(depths)
            assert found.ended == "it ended at the first violation"
    assert met > 5


def _way(found: Findings, print_: int) -> list[int]:
    """From the state back to the first one."""
    way = [print_]
    while parent := found.seen.parent(way[-1]):
        way.append(parent)
    return way


def test_what_holds_sometimes_has_a_witness_or_is_a_violation() -> None:
    """False if a claim that something can happen passed without a state in which it does."""

    def far(view: SystemView) -> bool:
        return all(engine.state.left == 0 for engine in view.engines())

    def nowhere(view: SystemView) -> bool:
        return not view.engines()

    decided = set()
    for seed in range(20):
        system = random_system(seed)
        space, whole = explored(system)
        is_met = any(far(space.view(state)) for state in whole.states)
        _, found = explored(system, Property("sometimes", far), Property("sometimes", nowhere))
        assert ("sometimes far" in found.witnesses) == is_met
        assert "sometimes nowhere" in [violation.property for violation in found.violations]
        decided.add(is_met)
    assert decided == {True, False}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": "pigeon"}, "there is no network 'pigeon'; there are unordered, ordered, lossy, duplicating"),
        ({"timers": "sundial"}, "timers are untimed or bounded, not 'sundial'"),
        ({"ticks_ns": [5, 0]}, "a clock only goes forward: 0 ns is no tick"),
        ({"members": random_system(1).members * 2}, "two engines are called 'e0'"),
    ],
)
def test_a_system_that_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    """False if a slip in a system were explored as another system."""
    given: dict[str, Any] = {"name": "wrong", "members": random_system(1).members, **wrong}
    with pytest.raises(BadSystemError, match=re.escape(message)):
        System(**given)
