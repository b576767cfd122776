"""The ABD register: the published states, those under our own semantics, and the ways to the seeded bugs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from searched import searched

from engines.model.system import BadSystemError, NetworkKind
from engines.model.system_view import SystemView
from engines.protocols.abd_register import SYSTEM
from engines.protocols.register import all_done
from host.check.search import Bounds


def test_the_states_are_those_published() -> None:
    """False if with Stateright's actor semantics there were other states than the published 544, or a bad one."""
    found = searched(SYSTEM(clients=2, servers=2), ignores_idle=True)
    assert found.counts() == (544, 874)
    assert found.witness("a_written_value_is_read") == 12  # it pins 11 for the answer in transit
    assert found.witness("all_done") == 24


@pytest.mark.parametrize(("refuses", "states"), [(True, 626), (False, 574)])
def test_states_under_our_own_semantics(refuses: bool, states: int) -> None:
    """False if a call to a busy server, dropped or stored, led to other states, or to one that is not linearizable."""
    assert searched(SYSTEM(refuses=refuses)).counts()[0] == states


def test_a_stored_call_is_served() -> None:
    """False if a server forgot the calls that it stored while it was busy: a state with nothing in transit would have
    a client that waits."""
    found = searched(replace(SYSTEM(refuses=False), always=[no_one_waits_for_nothing]))
    assert found.counts()[0] == 574
    claim, _ = searched(replace(SYSTEM(refuses=True), always=[no_one_waits_for_nothing])).violation()
    assert claim == "always no_one_waits_for_nothing"


def no_one_waits_for_nothing(view: SystemView) -> bool:
    """Once nothing is in transit, each client has all its answers."""
    return bool(view.in_transit) or all_done(view)


@pytest.mark.parametrize(("network", "states"), [("ordered", 620), ("lossy", 1_183)])
def test_states_over_other_networks(network: NetworkKind, states: int) -> None:
    """False if with order or loss of messages there were other states than when this was written, or a bad one."""
    assert searched(replace(SYSTEM(), network=network)).counts()[0] == states


@pytest.mark.storm
@pytest.mark.parametrize(("refuses", "states"), [(True, 47_177), (False, 41_397)])
def test_states_with_three_clients(refuses: bool, states: int) -> None:
    """False if three clients met other states than when this was written, or one that is not linearizable."""
    assert searched(SYSTEM(clients=3, refuses=refuses)).counts()[0] == states


@pytest.mark.parametrize(("ignores_idle", "states"), [(True, 1_449), (False, 3_007)])
def test_states_when_one_of_three_servers_may_be_late(ignores_idle: bool, states: int) -> None:
    """False if what comes after there was a majority led to other states than when this was written, or a bad one."""
    assert searched(SYSTEM(clients=1, servers=3), ignores_idle=ignores_idle).counts()[0] == states


def test_one_server_is_a_single_copy() -> None:
    """False if a server that is its own majority did more than answer: the states are those of a single copy."""
    assert searched(SYSTEM(servers=1)).counts() == (93, 120)


def test_a_get_that_asks_nobody_is_found() -> None:
    """False if a get answered from one copy, which no majority vouches for, were not found on the shortest way."""
    claim, way = searched(SYSTEM(servers=3, bug="reads-alone")).violation()
    assert claim == "always linearizable"
    assert [line.split()[1] for line in way] == [
        "Put", "Query", "AckQuery", "Record", "AckRecord", "PutOk", "Get", "GetOk",
    ]  # fmt: skip


def test_a_get_without_write_back_is_found() -> None:
    """False if the second of two gets could miss what the first one found while it is being put, and this were not
    found on the shortest way: the put has reached its own server only. Without the bug there is none as short."""
    right, wrong = (SYSTEM(clients=1, readers=1, servers=3, bug=bug) for bug in ("", "no-write-back"))
    assert searched(right, bounds=Bounds(depth=11)).found.violations == []
    claim, way = searched(wrong).violation()
    assert claim == "always linearizable"
    assert len(way) == 11
    kinds = [line.split()[1] for line in way]
    assert (kinds.count("Put"), kinds.count("PutOk"), kinds.count("Get"), kinds.count("GetOk")) == (1, 0, 2, 2)


@pytest.mark.parametrize("bug", ["reads-alone", "no-write-back"])
def test_two_servers_hide_the_bugs(bug: str) -> None:
    """False if the docstring of SYSTEM were wrong: each majority of two is both, and two clients get once each."""
    assert searched(SYSTEM(bug=bug)).found.violations == []


def test_wrong_parameters_are_refused() -> None:
    """False if a system were made that its author did not mean, or refused without saying why."""
    with pytest.raises(BadSystemError, match="bug is 'lazy'; it must be one of reads-alone, no-write-back"):
        SYSTEM(bug="lazy")
    with pytest.raises(BadSystemError, match="clients is 0; it must be at least 1"):
        SYSTEM(clients=0)
