"""Raft's election of a leader: at most one in each term, whatever is lost, doubled or delayed.

How it works. A server that hears of no leader for a while begins the next term and asks all others for their votes. A
server votes once a term, for the first that asks; the votes of a majority make a leader. Any two majorities share a
server, so a term has at most one leader. A leader sends heartbeats, which keep the others from beginning elections. A
server that hears of a later term enters it as a follower. After D. Ongaro and J. Ousterhout, "In Search of an
Understandable Consensus Algorithm" (2014), without the log: every candidate is as good as any other.

Terms have a bound, `term_max`: in the last term a server begins no election and goes on waiting. Without it the states
would have no end. Live, the bound is far away.

The network is a set in which messages stay for ever. That covers loss, delay and doubling; repeated heartbeats add
nothing to it; and it shows who led any term so far. That there will be a leader does not hold, since the votes of each
term may be split. But once the last term has a leader, all others follow it sooner or later.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from msgspec.structs import replace

from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Message,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    rule,
)
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView
from engines.protocols.params import at_least, variant

MILLISECOND_NS: Final = 1_000_000
TERM_MAX: Final = 1_000_000_000
"""A term a second for thirty years."""


class TakePart(Message):
    """From outside, once: take part in elections."""


class RequestVote(Message):
    """From a candidate: vote for it in this term."""

    term: int
    candidate: Ref[VoteGranted]


class VoteGranted(Message):
    """To a candidate: the sender votes for it in this term."""

    term: int


class Heartbeat(Message):
    """From the leader of this term."""

    term: int


class Role(Enum):
    """Of a server in its term."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Electorate(Config):
    """All servers, two or more; the last term; how long a server waits for a leader, and a leader between heartbeats.

    Live, each server should wait for another time, so that votes are rarely split.
    """

    servers: Map[Ref[RequestVote | Heartbeat], None]
    term_max: int = TERM_MAX
    patience_ns: int = 300 * MILLISECOND_NS
    heartbeat_ns: int = 50 * MILLISECOND_NS

    def others(self, me: str) -> list[Ref[RequestVote | Heartbeat]]:
        """All servers but this one."""
        return [server for server in self.servers if server != Ref(me)]


class Standing(Value):
    """State of a server: its role and term, for whom it has voted in it ("": nobody), and who has voted for it."""

    role: Role = Role.FOLLOWER
    term: int = 0
    voted_for: str = ""
    votes: Map[str, None] = Map()


ELECTION = Timer("election")
HEARTBEAT = Timer("heartbeat")
Emitted = RequestVote | VoteGranted | Heartbeat
Begun = Arrived[TakePart, Electorate, Standing]
Waited = Elapsed[Electorate, Standing]
Requested = Arrived[RequestVote, Electorate, Standing]
Granted = Arrived[VoteGranted, Electorate, Standing]
Led = Arrived[Heartbeat, Electorate, Standing]


def waits_for_leader(t: Begun) -> Role | None:
    """Its role, unless it leads: a leader that waited for one would stand against itself."""
    role = t.env.state.role
    return None if role is Role.LEADER else role


@rule(when=waits_for_leader)
def take_part(_role: Role, t: Begun) -> Effects[Standing, Emitted]:
    """Timers: `election`. State, messages, engines: none."""
    return SetTimer(ELECTION, after_ns=t.config.patience_ns)


def is_before_the_last_term(t: Waited) -> Standing | None:
    """The state as a candidate of the next term, unless this one is the last."""
    term, me = t.env.state.term + 1, t.me.name
    return Standing(Role.CANDIDATE, term, me, Map({me: None})) if term <= t.config.term_max else None


@rule(timer=ELECTION, when=is_before_the_last_term)
def stand(standing: Standing, t: Waited) -> Effects[Standing, Emitted]:
    """State: candidate of the next term, with its own vote. Messages: to all others, for theirs. Timers: `election`.
    Engines: none."""
    request = RequestVote(standing.term, Ref(t.me.name))
    return [
        Become(standing),
        *(Send(server, request) for server in t.config.others(t.me.name)),
        SetTimer(ELECTION, after_ns=t.config.patience_ns),
    ]


@rule(timer=ELECTION, priority=1)
def wait_on(_timer: Handle, t: Waited) -> Effects[Standing, Emitted]:
    """In the last term. Timers: `election`. State, messages, engines: none."""
    return SetTimer(ELECTION, after_ns=t.config.patience_ns)


def may_vote(t: Requested) -> Standing | None:
    """The state with the vote, if the term is later or the vote in this one is free (or the candidate's already)."""
    standing, asked = t.env.state, t.message
    if asked.term < standing.term or (asked.term == standing.term and standing.voted_for not in ("", t.sender)):
        return None
    return Standing(Role.FOLLOWER, asked.term, t.sender)


@rule(when=may_vote)
def vote(standing: Standing, t: Requested) -> Effects[Standing, Emitted]:
    """State: the vote is given. Messages: that it is. Timers: `election`, none for heartbeats. Engines: none."""
    return [Become(standing), Send(t.message.candidate, VoteGranted(standing.term)), *follow_on(t.config)]


def follow_on(config: Electorate) -> list[SetTimer | CancelTimer]:
    """The timers of a follower."""
    return [SetTimer(ELECTION, after_ns=config.patience_ns), CancelTimer(HEARTBEAT)]


def is_for_me(t: Granted) -> Standing | None:
    """The state with one vote more, if it is for the election at hand; as leader once these are a majority."""
    standing = t.env.state
    if standing.role is not Role.CANDIDATE or t.message.term != standing.term:
        return None
    votes = standing.votes.set(t.sender, None)
    if len(votes) > len(t.config.servers) // 2:
        return replace(standing, role=Role.LEADER, votes=Map())
    return replace(standing, votes=votes)


@rule(when=is_for_me)
def count_vote(standing: Standing, t: Granted) -> Effects[Standing, Emitted]:
    """State: one vote more, or leader. Messages: a leader's first heartbeats. Timers: a leader's are `heartbeat` alone.
    Engines: none."""
    if standing.role is not Role.LEADER:
        return standing
    return [Become(standing), CancelTimer(ELECTION), *heartbeats(standing.term, t)]


def heartbeats(term: int, t: Granted | Waited) -> list[Any]:
    """The effects that tell all others who leads, and do so again later."""
    others = t.config.others(t.me.name)
    return [*(Send(server, Heartbeat(term)) for server in others), SetTimer(HEARTBEAT, after_ns=t.config.heartbeat_ns)]


@rule(timer=HEARTBEAT)
def beat(_timer: Handle, t: Waited) -> Effects[Standing, Emitted]:
    """Messages: heartbeats. Timers: `heartbeat`. State, engines: none."""
    return heartbeats(t.env.state.term, t)


def is_led(t: Led) -> Standing | None:
    """The state as a follower in the leader's term, unless the server's is later, or it leads."""
    standing, term = t.env.state, t.message.term
    if term < standing.term or (term == standing.term and standing.role is Role.LEADER):
        return None
    return Standing(Role.FOLLOWER, term, standing.voted_for if term == standing.term else "")


@rule(when=is_led)
def follow(standing: Standing, t: Led) -> Effects[Standing, Emitted]:
    """State: follower in the leader's term. Timers: `election`, none for heartbeats. Messages, engines: none."""
    return [Become(standing), *follow_on(t.config)]


@rule(priority=1)
def leave(
    _message: TakePart | RequestVote | VoteGranted | Heartbeat,
    _t: Arrived[TakePart | RequestVote | VoteGranted | Heartbeat, Electorate, Standing],
) -> Effects[Standing, Emitted]:
    """Of an earlier term, too late, or known. State, messages, timers, engines: none."""
    return []


SERVER = Family(
    "raft-server",
    config=Electorate,
    state=Standing(),
    accepts=TakePart | RequestVote | VoteGranted | Heartbeat,
    emits=Emitted,
    timers=[ELECTION, HEARTBEAT],
).rules(take_part, stand, wait_on, vote, count_vote, beat, follow, leave)


def may_vote_again(t: Requested) -> Standing | None:
    """The seeded bug: as `may_vote`, and a follower does not look whether it has voted."""
    standing, asked = t.env.state, t.message
    if asked.term < standing.term or (asked.term == standing.term and standing.role is not Role.FOLLOWER):
        return None
    return Standing(Role.FOLLOWER, asked.term, t.sender)


@rule(when=may_vote_again)
def vote_again(standing: Standing, t: Requested) -> Effects[Standing, Emitted]:
    """As `vote`."""
    return [Become(standing), Send(t.message.candidate, VoteGranted(standing.term)), *follow_on(t.config)]


FORGETFUL_SERVER = Family(
    "raft-server",
    config=Electorate,
    state=Standing(),
    accepts=TakePart | RequestVote | VoteGranted | Heartbeat,
    emits=Emitted,
    timers=[ELECTION, HEARTBEAT],
).rules(take_part, stand, wait_on, vote_again, count_vote, beat, follow, leave)


def leaders(view: SystemView) -> set[tuple[int, str]]:
    """Who leads in which term, or ever led."""
    leading = {(one.state.term, one.name) for one in view.engines(SERVER.name) if one.state.role is Role.LEADER}
    return leading | {(one.message.term, one.sender) for one in view.in_transit if isinstance(one.message, Heartbeat)}


def one_leader_a_term(view: SystemView) -> bool:
    """No term has, or had, two leaders."""
    found = leaders(view)
    return len(found) == len({term for term, _ in found})


def a_leader(view: SystemView) -> bool:
    """There is a leader, whom all others follow."""
    roles = sorted((one.state.term, one.state.role.value) for one in view.engines(SERVER.name))
    (last, _), others = roles[-1], roles[:-1]
    return roles[-1] == (last, "leader") and all(one == (last, "follower") for one in others)


def a_leader_is_replaced(view: SystemView) -> bool:
    """A leader was followed by another one, of a later term."""
    return len({name for _, name in leaders(view)}) > 1


def led_in_the_last_term(view: SystemView) -> bool:
    """There is a leader of the last term."""
    servers = view.engines(SERVER.name)
    return any(one.state.role is Role.LEADER and one.state.term == one.config.term_max for one in servers)


def SYSTEM(servers: int = 3, term_max: int = 2, bug: str = "", is_durable: bool = True) -> System:
    """So many servers and terms. With `bug` "forgetful", servers vote for each candidate that asks.

    Servers are durable. Otherwise one that forgets its vote in a node fault votes again.
    """
    at_least(2, servers=servers)
    at_least(1, term_max=term_max)
    family = variant(SERVER, {"forgetful": FORGETFUL_SERVER}, bug)
    names = [f"server{number}" for number in range(servers)]
    electorate = Electorate(Map((SERVER.at(name), None) for name in names), term_max)
    return System(
        name="raft-election",
        members=[Member(name, family, electorate, is_durable=is_durable) for name in names],
        messages=[Envelope(name, TakePart()) for name in names],
        network="duplicating",
        always=[one_leader_a_term],
        sometimes=[a_leader, a_leader_is_replaced] if term_max > 1 else [a_leader],
        leads_to=[(led_in_the_last_term, a_leader)],
        symmetric=[names],
    )
