"""The register with a single copy: the published states, and the shortest way in which two copies fail."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from searched import searched

from engines.model.system import BadSystemError, NetworkKind
from engines.protocols.register import linearizable, sequentially_consistent
from engines.protocols.single_copy_register import SYSTEM


@pytest.mark.parametrize("ignores_idle", [True, False])
def test_the_states_are_those_published(ignores_idle: bool) -> None:
    """False if two clients and one server had other states than the published 93, or one that is not linearizable.

    Nothing is ever delivered without effect here, so the semantics of Stateright's actors and ours agree.
    """
    found = searched(SYSTEM(), ignores_idle=ignores_idle)
    assert found.counts() == (93, 120)
    assert (found.witness("a_written_value_is_read"), found.witness("all_done")) == (4, 8)


@pytest.mark.parametrize(
    ("clients", "states"),
    [(1, 5), pytest.param(3, 4_243, marks=pytest.mark.storm)],
)
def test_states_with_more_clients(clients: int, states: int) -> None:
    """False if more clients met other states than when this was written, or one that is not linearizable."""
    assert searched(SYSTEM(clients)).counts()[0] == states


@pytest.mark.parametrize(("network", "states"), [("ordered", 93), ("lossy", 168)])
def test_states_over_other_networks(network: NetworkKind, states: int) -> None:
    """False if order or loss of messages made a difference that it did not when this was written."""
    assert searched(replace(SYSTEM(), network=network)).counts()[0] == states


def test_two_servers_are_no_register() -> None:
    """False if the published shortest way to a read that misses its own client's write, four steps, were not found."""
    claim, way = searched(SYSTEM(servers=2)).violation()
    assert claim == "always linearizable"
    put_to, got_from = ("server0", "server1") if way[0].startswith("client0") else ("server1", "server0")
    client = way[0].split()[0]
    assert way == [
        f"{client} Put {put_to}",
        f"{put_to} PutOk {client}",
        f"{client} Get {got_from}",
        f"{got_from} GetOk {client}",
    ]


def test_two_servers_are_not_even_sequentially_consistent() -> None:
    """False if the tester let a client miss its own write."""
    claim, way = searched(replace(SYSTEM(servers=2), always=[sequentially_consistent])).violation()
    assert (claim, len(way)) == ("always sequentially_consistent", 4)


def test_a_put_that_comes_twice_is_found() -> None:
    """False if a second delivery of a put, after another value was read, were taken for the first one."""
    system = replace(SYSTEM(), network="duplicating", always=[linearizable])
    claim, way = searched(system).violation()
    assert (claim, len(way)) == ("always linearizable", 9)
    puts = [line for line in way if " Put " in line]
    assert len(puts) > len(set(puts))


def test_no_servers_are_refused() -> None:
    """False if a system without servers were made, or refused without saying why."""
    with pytest.raises(BadSystemError, match="servers is 0; it must be at least 1"):
        SYSTEM(servers=0)
