"""Two-phase commit: the published states, and what holds in them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from searched import searched

from engines.model import Map
from engines.protocols.two_phase_commit import SYSTEM, Commit, Decide, Transaction


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
