"""States that differ only by an exchange of names are one, exactly."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from engines.model.system import Envelope, System
from engines.model.system_view import SystemView
from engines.protocols.two_phase_commit import SYSTEM
from host.check.local import CheckError
from host.check.properties import Property

from .exploring import explored
from .tables import Signal, plainly, symmetric_system

SEEDS = pytest.mark.parametrize("seeds", [4, pytest.param(8, marks=pytest.mark.storm)])


def orbits(system: System, states: set[Any]) -> int:
    """How many classes of states there are, by trying all exchanges on all states."""
    names = list(system.symmetric[0])
    exchanges = [dict(zip(names, order, strict=True)) for order in permutations(names)]

    def least(state: Any) -> Any:
        engines, transit = state
        return min(
            (
                tuple(sorted((to.get(name, name), repr(phase)) for name, phase in engines)),
                tuple(sorted((to.get(a, a), to.get(b, b), kind) for a, b, kind in transit)),
            )
            for to in exchanges
        )

    return len({least(state) for state in states})


@SEEDS
def test_one_state_is_kept_of_each_class(seeds: int) -> None:
    """False if a state of a class were kept beside another one of it, or a class were missed."""
    sizes = set()
    for seed in range(seeds):
        system = symmetric_system(seed)
        states, _ = plainly(system)
        found = explored(system, symmetric=system.symmetric)[1]
        assert found.counts.states == orbits(system, states), seed
        sizes.add(found.counts.states)
    assert len(sizes) > seeds / 2 - 1


@SEEDS
def test_the_verdict_is_that_without_symmetry(seeds: int) -> None:
    """False if the reduction hid a violation, or made one up, or its trace were longer."""

    def few(view: SystemView) -> bool:
        return [engine.state.phase for engine in view.engines()].count(2) < 2

    verdicts = set()
    for seed in range(2 * seeds):
        system = symmetric_system(seed)
        plain = explored(system, Property("always", few))[1]
        reduced = explored(system, Property("always", few), symmetric=system.symmetric)[1]
        assert [len(v.path) for v in plain.violations] == [len(v.path) for v in reduced.violations], seed
        verdicts.add(bool(plain.violations))
    assert verdicts == {True, False}


@pytest.mark.parametrize(("managers", "states"), [(3, 80), (5, 314)])
def test_two_phase_commit_has_the_published_number_of_classes(managers: int, states: int) -> None:
    """False if the canonical form of two equal states differed."""
    system = SYSTEM(managers)
    assert explored(system, symmetric=system.symmetric)[1].counts.states == states


def test_what_is_not_symmetric_is_refused() -> None:
    """False if a declared symmetry that the first state already breaks were believed."""
    system = symmetric_system(1)
    with pytest.raises(CheckError, match="e2 and hub cannot be exchanged"):
        explored(system, symmetric=[["e2", "hub"]])
    with pytest.raises(CheckError, match="nobody is said to be symmetric"):
        explored(system, symmetric=[["e2", "nobody"]])
    lopsided = System(name="lopsided", members=system.members, messages=[Envelope("e0", Signal(0))])
    with pytest.raises(CheckError, match="e0 and e1 cannot be exchanged"):
        explored(lopsided, symmetric=system.symmetric)
