"""Paxos for a single decree: the published states, what holds in them, and the way to the seeded bug."""

from __future__ import annotations

from typing import Any

import pytest
from exploring import all_hold, checked, counted, counts, violation

from engines.model.system import BadSystemError
from engines.protocols.paxos import SYSTEM


def test_the_states_are_those_published() -> None:
    """False if two clients and three servers had another number of states than Stateright's `paxos.rs`: 16,668.

    Its test pins the shortest way to a chosen value too, which has eight steps.
    """
    found = counted("paxos", ignores_idle=True)
    assert counts(found)[0] == 16_668
    assert len(found.witnesses["sometimes value_chosen"]) - 1 == 8


@pytest.mark.parametrize(
    ("servers", "clients", "states"),
    [
        (2, 2, 111),
        (3, 1, 265),
        pytest.param(5, 1, 39_649, marks=pytest.mark.storm),
        pytest.param(3, 2, 16_668, marks=pytest.mark.storm),
    ],
)
def test_one_value_is_decided_in_the_end_and_all_learn_it(servers: int, clients: int, states: int) -> None:
    """False if two values could be decided, or one that nobody proposed, or on some fair run none."""
    report = checked("paxos", servers=servers, clients=clients, ignores_idle=True)
    assert all_hold(report)
    assert report.found.counts.states == states


@pytest.mark.storm
def test_the_states_when_useless_messages_are_used_up() -> None:
    """False if under the model's own semantics there were another number of states, or one with two decisions."""
    assert counts(counted("paxos")) == (301_099, 1_372_702)


@pytest.mark.parametrize(("clients", "states"), [(1, 265), pytest.param(2, 16_355, marks=pytest.mark.storm)])
def test_copies_and_old_messages_decide_nothing_else(clients: int, states: int) -> None:
    """False if a message that comes again, however late, could lead to a second decision or to other states."""
    assert counts(counted("paxos", network="duplicating", clients=clients))[0] == states


def test_the_blind_proposer_decides_a_second_value() -> None:
    """False if the seeded bug were not found, or by a longer way than it needs."""
    assert violation(checked("paxos", bug="blind")) == (
        "always agreement",
        [
            "server0: propose",
            "server1: propose",
            "server2: promise",
            "server0: gather_blindly",
            "server2: accept",
            "server0: conclude",
            "server2: promise",
            "server1: gather_blindly",
            "server2: accept",
            "server1: conclude",
        ],
    )


def test_durable_servers_keep_their_promises() -> None:
    """False if a node fault cost a durable server its state."""
    assert all_hold(checked("paxos", clients=1, faults=1, ignores_idle=True))


@pytest.mark.storm
def test_servers_that_forget_a_promise_decide_a_second_value() -> None:
    """False if a node fault cost a volatile server nothing, or what comes of that were not found."""
    name, way = violation(checked("paxos", is_durable=False, faults=1, ignores_idle=True))
    assert (name, len(way)) == ("always agreement", 11)
    assert [step for step in way if "node fault" in step] == ["server2: node fault"]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"servers": 1}, "servers is 1; it must be at least 2"),
        ({"clients": 0}, "clients is 0; it must be at least 1"),
        ({"bug": "deaf"}, "bug is 'deaf'; it must be one of blind"),
    ],
)
def test_parameters_that_make_no_system(params: dict[str, Any], complaint: str) -> None:
    """False if a parameter that makes no sense gave some other system, or an error from deep inside."""
    with pytest.raises(BadSystemError) as raised:
        SYSTEM(**params)
    assert str(raised.value) == complaint
