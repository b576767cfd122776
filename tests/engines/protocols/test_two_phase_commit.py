"""Two-phase commit: the published states, and what holds in them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from searched import searched

from engines.model import Map
from engines.model.transition_system import PlainStep
from engines.protocols import two_phase_commit_plain
from engines.protocols.two_phase_commit import SYSTEM, Commit, Decide, Stage, Transaction
from host.check.plain import PlainSpace
from host.check.properties import properties_of
from host.check.run import CheckRequest, check
from host.check.search import Exploration


@pytest.mark.parametrize(
    ("managers", "states", "transitions"),
    [(3, 288, 761), (5, 8_832, 37_345), pytest.param(7, 296_448, 1_735_809, marks=pytest.mark.storm)],
)
def test_the_states_are_those_published(managers: int, states: int, transitions: int) -> None:
    """False if another number of states were met than in the published model, or in one of them the managers differ."""
    found = searched(SYSTEM(managers))
    assert found.counts() == (states, transitions)
    assert found.witness("all_abort") == managers
    assert found.witness("all_commit") == 3 * managers + 1


def test_a_decision_that_does_not_wait_for_all_is_found() -> None:
    """False if a transaction that commits before all are prepared were not found, or by a longer way than it needs."""
    system = SYSTEM(3)
    transaction, *managers = system.members
    hasty = replace(transaction, params=Transaction(Map(transaction.params.managers.items()[:2])))
    claim, way = searched(replace(system, members=[hasty, *managers])).violation()
    assert claim == "always consistent"
    assert len(way) == 7
    assert {line.split()[1] for line in way} == {"Prepare", "Prepared", "Decide", "Commit", "ChooseToAbort"}


def test_no_decision_without_the_transaction() -> None:
    """False if a manager could commit though nobody decides: then the decision would mean nothing."""
    system = SYSTEM(3)
    undecided = [one for one in system.standing if not isinstance(one.message, Decide)]
    found = searched(replace(system, standing=undecided, sometimes=[]))
    assert found.counts()[0] < 288
    assert not any(isinstance(one.message, Commit) for one in found.space.parts.messages)


@pytest.mark.parametrize(
    ("managers", "symmetry", "states"),
    [
        (3, False, 288),
        (5, True, 314),
        pytest.param(5, False, 8_832, marks=pytest.mark.storm),
        pytest.param(7, False, 296_448, marks=pytest.mark.storm),
    ],
)
def test_plain_transitions_have_the_same_states(managers: int, symmetry: bool, states: int) -> None:
    """False if the same protocol, without engines, had another number of states, or an exchange of names mixed two."""
    report = check(
        CheckRequest(
            subject="engines.protocols.two_phase_commit_plain:SYSTEM",
            params={"resource_managers": str(managers)},
            uses_declared_symmetry=symmetry,
        )
    )
    assert report.is_exhaustive
    assert report.found.counts.states == states
    assert [verdict.steps for verdict in report.verdicts] == [None, 3 * managers + 1, managers]


def test_plain_transitions_that_do_not_wait_for_all_are_found() -> None:
    """False if a commit before all are prepared were not found, or by a longer way than it needs."""
    right = two_phase_commit_plain.SYSTEM(3)

    def hasty(state: Any) -> Any:
        yield from right.steps(state)
        if state.transaction is Stage.WORKING and len(state.known) == 2:
            yield PlainStep("commit too early", replace(state, transaction=Stage.COMMITTED), False)

    space = PlainSpace(replace(right, steps=hasty))
    found = Exploration(space, properties_of(right)).run()
    (violation,) = found.violations
    assert (violation.property, len(violation.path) - 1) == ("always consistent", 7)
