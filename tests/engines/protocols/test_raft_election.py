"""Raft's election: as many states as the most obvious model has, what holds in them, and the way to the seeded bug."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from exploring import all_hold, checked, counted, counts, violation

from engines.model.system import BadSystemError
from engines.protocols.raft_election import SYSTEM

SERVERS = 3


class Plain(NamedTuple):
    """A server of the plain model."""

    role: str = "follower"
    term: int = 0
    voted_for: int | None = None
    votes: frozenset[int] = frozenset()
    timer: str = ""


Mail = tuple[str, int, int, int]
"""What it is, of which term, from whom, to whom."""

System = tuple[tuple[Plain, ...], frozenset[Mail]]


def heartbeats(term: int, me: int) -> list[Mail]:
    return [("heartbeat", term, me, other) for other in range(SERVERS) if other != me]


def moves(me: int, server: Plain, mail: frozenset[Mail], term_max: int) -> Iterator[tuple[Plain, list[Mail]]]:
    """What a server can do, as the paper says it, in one place."""
    role, term, voted_for, votes, timer = server
    if role != "leader":
        yield server._replace(timer="election"), []
    if timer == "election" and term < term_max:
        asked = [("request", term + 1, me, other) for other in range(SERVERS) if other != me]
        yield Plain("candidate", term + 1, me, frozenset({me}), timer), asked
    for what, of, sender, to in mail:
        if to != me:
            continue
        if what == "request" and (of > term or (of == term and voted_for in (None, sender))):
            yield Plain("follower", of, sender, timer="election"), [("vote", of, me, sender)]
        if what == "vote" and role == "candidate" and of == term:
            after = votes | {sender}
            if len(after) > SERVERS // 2:
                yield Plain("leader", term, voted_for, timer="heartbeat"), heartbeats(term, me)
            else:
                yield server._replace(votes=after), []
        if what == "heartbeat" and (of > term or (of == term and role != "leader")):
            yield Plain("follower", of, voted_for if of == term else None, timer="election"), []


def plainly(term_max: int) -> int:
    """How many states the plain model has; a message stays in transit for ever."""
    first: System = ((Plain(),) * SERVERS, frozenset())
    seen, todo = {first}, [first]
    while todo:
        servers, mail = todo.pop()
        for me, server in enumerate(servers):
            for after, sent in moves(me, server, mail, term_max):
                state = ((*servers[:me], after, *servers[me + 1 :]), mail.union(sent))
                if state not in seen:
                    seen.add(state)
                    todo.append(state)
    return len(seen)


@pytest.mark.parametrize(
    ("term_max", "states"),
    [(1, 81), pytest.param(2, 1_336, marks=pytest.mark.storm), pytest.param(3, 27_413, marks=pytest.mark.storm)],
)
def test_the_states_are_those_of_the_plain_model(term_max: int, states: int) -> None:
    """False if the families could do anything that the paper does not say, or could not do what it says."""
    assert counted("raft_election", term_max=term_max).counts.states == states == plainly(term_max)


def test_a_term_has_at_most_one_leader() -> None:
    """False if a term could have two leaders, or no leader could be elected, or replaced."""
    assert counts(counted("raft_election", is_symmetric=True))[0] == 238


@pytest.mark.storm
def test_all_follow_a_leader_of_the_last_term_in_the_end() -> None:
    """False if on some fair run a server would never follow that leader, whichever server it is."""
    assert all_hold(checked("raft_election"))


def test_the_forgetful_server_makes_two_leaders() -> None:
    """False if the seeded bug were not found, or by a longer way than it needs."""
    name, way = violation(checked("raft_election", term_max=1, bug="forgetful"))
    assert name == "always one_leader_a_term"
    assert way == [
        "server0: take_part",
        "server0: election: stand",
        "server1: take_part",
        "server1: election: stand",
        "server2: vote_again",
        "server0: count_vote",
        "server2: vote_again",
        "server1: count_vote",
    ]


def test_durable_servers_keep_their_votes() -> None:
    """False if a node fault cost a durable server its state."""
    assert all_hold(checked("raft_election", term_max=1, faults=1))


def test_a_server_that_forgets_its_vote_makes_two_leaders() -> None:
    """False if a node fault cost a volatile server nothing, or what comes of that were not found."""
    name, way = violation(checked("raft_election", term_max=1, is_durable=False, faults=1))
    assert (name, len(way)) == ("always one_leader_a_term", 9)
    assert [step for step in way if "node fault" in step] == ["server0: node fault"]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"servers": 1}, "servers is 1; it must be at least 2"),
        ({"term_max": 0}, "term_max is 0; it must be at least 1"),
        ({"bug": "deaf"}, "bug is 'deaf'; it must be one of forgetful"),
    ],
)
def test_parameters_that_make_no_system(params: dict[str, Any], complaint: str) -> None:
    """False if a parameter that makes no sense gave some other system, or an error from deep inside."""
    with pytest.raises(BadSystemError) as raised:
        SYSTEM(**params)
    assert str(raised.value) == complaint
