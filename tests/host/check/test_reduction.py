"""Partial-order reduction: the verdict is that without it, and states are saved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engines.model.system import System
from engines.model.system_view import SystemView
from host.check.local import CheckError, Engines
from host.check.properties import Property
from host.check.reduction import searched
from host.check.run import CheckRequest, check
from host.check.search import Exploration, Findings
from host.check.space import Space
from host.check.trace import trace_of

from .exploring import explored
from .tables import random_system


def reduced(system: System, *properties: Property) -> tuple[Space, Findings]:
    """A search with a choice of steps."""
    space = Space(system, Engines())
    return space, searched(space, lambda expand: Exploration(space, properties, expand=expand, keeps_states=True)).found


def about(engine: str, phase: int) -> Callable[[SystemView], bool]:
    """One engine is never in a phase with nothing left to send."""

    def never(view: SystemView) -> bool:
        state = view.state(engine)
        return (state.phase, state.left) != (phase, 0)

    return never


def conditional(view: SystemView) -> bool:
    """Reads a second engine in some states of the first one only."""
    return view.state("e0").phase != 2 or view.state("e1").left > 0


@pytest.mark.parametrize("network", ["unordered", "ordered", "duplicating"])
@pytest.mark.parametrize("seeds", [20, pytest.param(70, marks=pytest.mark.storm)])
def test_the_verdict_is_that_without_on_random_systems(network: str, seeds: int) -> None:
    """False if a step that concerned a property, or another engine, were left out."""
    verdicts, saved, states = set(), 0, 0
    for seed in range(seeds):
        system = random_system(seed, network)
        for predicate in (about("e0", 1), conditional):
            claim = Property("always", predicate)
            plain = explored(system, claim)[1]
            space, few = reduced(system, claim)
            assert bool(plain.violations) == bool(few.violations), (seed, predicate)
            for violation in few.violations:
                last = trace_of(space, violation.path).steps
                assert not predicate(space.view(last[-1].state if last else space.initial))
            verdicts.add(bool(plain.violations))
            if not plain.violations:
                saved += plain.counts.states - few.counts.states
                states += plain.counts.states
    assert verdicts == {True, False}
    assert saved > states / 50, "nothing was reduced"


def test_what_holds_sometimes_is_still_met() -> None:
    """False if the states that were left out were the only witnesses."""
    for seed in range(40):
        system = random_system(seed)
        predicate = about("e2", 2)

        def shows(view: SystemView, predicate: Callable[[SystemView], bool] = predicate) -> bool:
            return not predicate(view)

        claim = Property("sometimes", shows)
        assert bool(explored(system, claim)[1].violations) == bool(reduced(system, claim)[1].violations), seed


def test_a_property_of_what_is_in_transit_sees_every_step() -> None:
    """False if steps were left out although the property reads all messages."""

    def quiet(view: SystemView) -> bool:
        return len(view.in_transit) < 100

    system = random_system(5)
    assert reduced(system, Property("always", quiet))[1].counts.states == explored(system)[1].counts.states


def test_where_it_cannot_be_used_it_says_so() -> None:
    """False if a reduction that is not sound were made all the same."""
    subject = "engines.protocols.two_phase_commit:SYSTEM"
    with pytest.raises(CheckError, match="lossy"):
        check(CheckRequest(subject=subject, network="lossy", reduces=True))
    with pytest.raises(CheckError, match="one worker"):
        check(CheckRequest(subject=subject, workers=2, reduces=True))
    assert not check(CheckRequest(subject=subject, reduces=True)).found.violations
