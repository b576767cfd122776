"""Paxos for a single decree: servers agree on one of the values that clients propose, however messages are delayed.

How it works. A server that gets a proposal closes all earlier ballots: a majority promises it to accept nothing from
them any more, and says what each has accepted so far. The proposer must carry on the value accepted under the highest
ballot, since that one may have been chosen; only if there is none may it propose its client's. A value that a majority
accepts under one ballot is chosen, and stays so. After L. Lamport, "The Part-Time Parliament" (1998).

What each server does is taken from Stateright's example `paxos.rs`, and so is what clients do: each proposes one value
to one server, then asks the next server for the decision. For two clients and three servers Stateright publishes 16,668
states. Under its semantics, in which a message stays in transit while its delivery would change nothing, as many are
found here (`--ignore-idle`); under the model's, in which such a message is used up, there are 301,099. Stateright's
states also have the history of the clients' calls. It adds none: one proposal is decided, so only one client ever gets
an answer, and its state says which.

A client's value gets one ballot, under one proposer. So there are at most as many ballots as clients, and a value is
decided once all messages are delivered. If a proposer that lost began a further ballot, none might ever be decided.
"""

from __future__ import annotations

from msgspec.structs import replace

from engines.model import Arrived, Become, Config, Effects, Family, Map, Message, Ref, Send, Value, rule
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView
from engines.protocols.params import at_least, variant


class Ballot(Value, order=True):
    """Who proposes, in which round; later rounds are higher, and in one round names decide."""

    round: int = 0
    proposer: str = ""


class Proposal(Value):
    """A client's value, and where the client awaits that it was decided."""

    request: int
    client: Ref[Carried]
    value: str


class Vote(Value):
    """The proposal that a server accepted last, and under which ballot."""

    ballot: Ballot
    proposal: Proposal


class Propose(Message):
    """From a client: decide for this value, if there is still a choice."""

    proposal: Proposal


class Carried(Message):
    """To the client whose proposal was decided."""

    request: int


class Inquire(Message):
    """From a client: which value is decided? A server that does not know yet gives no answer."""

    request: int
    client: Ref[Informed]


class Informed(Message):
    """To a client: the value that is decided."""

    request: int
    value: str


class PrepareBallot(Message):
    """From a proposer: accept nothing under a lower ballot any more."""

    ballot: Ballot


class Promise(Message):
    """To a proposer: the sender accepts nothing under a lower ballot, and has accepted this so far."""

    ballot: Ballot
    vote: Vote | None


class Accept(Message):
    """From a proposer: accept this proposal."""

    ballot: Ballot
    proposal: Proposal


class Accepted(Message):
    """To a proposer: the sender has accepted its proposal."""

    ballot: Ballot


class Decided(Message):
    """From a proposer: a majority has accepted this proposal."""

    ballot: Ballot
    proposal: Proposal


class Cluster(Config):
    """The other servers; there is at least one."""

    peers: tuple[Ref[PrepareBallot | Accept | Decided], ...]

    @property
    def majority(self) -> int:
        """How many servers are more than half of all."""
        return (len(self.peers) + 1) // 2 + 1


class Balloting(Value):
    """State of a server: the highest ballot it knows; what it proposes, and who has promised or accepted that; what it
    has accepted; whether that is decided."""

    ballot: Ballot = Ballot()
    proposal: Proposal | None = None
    promises: Map[str, Vote | None] = Map()
    accepts: tuple[str, ...] = ()
    vote: Vote | None = None
    is_decided: bool = False


Emitted = PrepareBallot | Promise | Accept | Accepted | Decided | Carried | Informed
"""All that a server sends."""


def is_open(t: Arrived[Propose, Cluster, Balloting]) -> Balloting | None:
    """The state under a ballot of its own, if the server neither knows a decision nor has a proposal yet."""
    server, me = t.env.state, t.me.name
    if server.is_decided or server.proposal is not None:
        return None
    ballot = Ballot(server.ballot.round + 1, me)
    promises = Map({me: server.vote})  # its own promise
    return replace(server, ballot=ballot, proposal=t.message.proposal, promises=promises, accepts=())


@rule(when=is_open)
def propose(server: Balloting, t: Arrived[Propose, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """State: a ballot of its own. Messages: to the others, to prepare for it. Timers, engines: none."""
    return [Become(server), *(Send(peer, PrepareBallot(server.ballot)) for peer in t.config.peers)]


def is_higher(t: Arrived[PrepareBallot, Cluster, Balloting]) -> Balloting | None:
    """The state under the proposer's ballot, if that is higher than any before."""
    server, ballot = t.env.state, t.message.ballot
    return None if server.is_decided or ballot <= server.ballot else replace(server, ballot=ballot)


@rule(when=is_higher)
def promise(server: Balloting, _t: Arrived[PrepareBallot, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """State: under the new ballot. Messages: the promise, with what was accepted. Timers, engines: none."""
    return [Become(server), Send(Ref(server.ballot.proposer), Promise(server.ballot, server.vote))]


def is_promised(t: Arrived[Promise, Cluster, Balloting]) -> Balloting | None:
    """The state with one promise more, if it is for the ballot at hand and no copy."""
    server = t.env.state
    if server.is_decided or t.message.ballot != server.ballot or t.sender in server.promises:
        return None
    return replace(server, promises=server.promises.set(t.sender, t.message.vote))


@rule(when=is_promised)
def gather(server: Balloting, t: Arrived[Promise, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """State: one promise more. Messages: once a majority has promised, to accept the value that may have been chosen,
    else its own. Timers, engines: none."""
    votes = [vote for vote in server.promises.values() if vote is not None]
    carried = max(votes, key=lambda vote: vote.ballot).proposal if votes else server.proposal
    return canvass(server, carried, t)


def canvass(
    server: Balloting, proposal: Proposal | None, t: Arrived[Promise, Cluster, Balloting]
) -> Effects[Balloting, Emitted]:
    """The effects of a promise: with just a majority, the proposer accepts the proposal and asks the others to."""
    if len(server.promises) != t.config.majority:
        return server
    assert proposal is not None, "a promise is for a ballot that this server has begun with a proposal"
    vote = Vote(server.ballot, proposal)
    after = replace(server, proposal=proposal, vote=vote, accepts=(t.me.name,))
    return [Become(after), *(Send(peer, Accept(server.ballot, proposal)) for peer in t.config.peers)]


def is_allowed(t: Arrived[Accept, Cluster, Balloting]) -> Balloting | None:
    """The state with the proposal accepted, unless a higher ballot was promised."""
    server, asked = t.env.state, t.message
    if server.is_decided or asked.ballot < server.ballot:
        return None
    return replace(server, ballot=asked.ballot, vote=Vote(asked.ballot, asked.proposal))


@rule(when=is_allowed)
def accept(server: Balloting, _t: Arrived[Accept, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """State: the proposal is accepted. Messages: that it is. Timers, engines: none."""
    return [Become(server), Send(Ref(server.ballot.proposer), Accepted(server.ballot))]


def is_accepted(t: Arrived[Accepted, Cluster, Balloting]) -> Balloting | None:
    """The state with one server more that has accepted, if it did so under the ballot at hand."""
    server = t.env.state
    if server.is_decided or t.message.ballot != server.ballot:
        return None
    accepts = tuple(sorted({*server.accepts, t.sender}))
    return replace(server, accepts=accepts, is_decided=len(accepts) == t.config.majority)


@rule(when=is_accepted)
def conclude(server: Balloting, t: Arrived[Accepted, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """State: one server more has accepted. Messages: once a majority has, that it is decided: to the others, and to the
    client. Timers, engines: none."""
    if not server.is_decided:
        return server
    assert server.proposal is not None, "only what was proposed is accepted"
    decided = Decided(server.ballot, server.proposal)
    done = Send(server.proposal.client, Carried(server.proposal.request))
    return [Become(server), *(Send(peer, decided) for peer in t.config.peers), done]


def is_news(t: Arrived[Decided, Cluster, Balloting]) -> Balloting | None:
    """The state with the decision, if it was not known."""
    server, said = t.env.state, t.message
    if server.is_decided:
        return None
    return replace(server, ballot=said.ballot, vote=Vote(said.ballot, said.proposal), is_decided=True)


@rule(when=is_news)
def learn(server: Balloting, _t: Arrived[Decided, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """State: the decision is known. Messages, timers, engines: none."""
    return server


def is_known(t: Arrived[Inquire, Cluster, Balloting]) -> Proposal | None:
    """What is decided, if the server knows."""
    vote = t.env.state.vote
    return vote.proposal if t.env.state.is_decided and vote is not None else None


@rule(when=is_known)
def inform(decided: Proposal, t: Arrived[Inquire, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """State: none. Messages: the value that is decided. Timers, engines: none."""
    return Send(t.message.client, Informed(t.message.request, decided.value))


Late = Propose | Inquire | PrepareBallot | Promise | Accept | Accepted | Decided
"""All that a server takes, when it comes too late or too early."""


@rule(priority=1)
def leave(_message: Late, _t: Arrived[Late, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """It changes nothing any more, or yet. State, messages, timers, engines: none."""
    return []


SERVER = Family("paxos-server", config=Cluster, state=Balloting(), accepts=Late, emits=Emitted).rules(
    propose, promise, gather, accept, conclude, learn, inform, leave
)


@rule(when=is_promised)
def gather_blindly(server: Balloting, t: Arrived[Promise, Cluster, Balloting]) -> Effects[Balloting, Emitted]:
    """The seeded bug: as `gather`, and the proposer asks to accept its own value whatever was accepted before."""
    return canvass(server, server.proposal, t)


BLIND_SERVER = Family("paxos-server", config=Cluster, state=Balloting(), accepts=Late, emits=Emitted).rules(
    propose, promise, gather_blindly, accept, conclude, learn, inform, leave
)


class Errand(Config):
    """What a client asks for once its proposal was decided: the number of that request, and the server that gets it."""

    server: Ref[Inquire]
    inquiry: int


class Awaiting(Value):
    """State of a client: the number of the request whose answer it awaits, if any."""

    request: int | None = None


def is_carried(t: Arrived[Carried, Errand, Awaiting]) -> Awaiting | None:
    """The state that awaits the next answer, if this one was awaited."""
    return Awaiting(t.config.inquiry) if t.message.request == t.env.state.request else None


@rule(when=is_carried)
def inquire(awaiting: Awaiting, t: Arrived[Carried, Errand, Awaiting]) -> Effects[Awaiting, Inquire]:
    """State: it awaits the next answer. Messages: to the next server, for what is decided. Timers, engines: none."""
    return [Become(awaiting), Send(t.config.server, Inquire(t.config.inquiry, Ref(t.me.name)))]


def is_answer(t: Arrived[Informed, Errand, Awaiting]) -> Awaiting | None:
    """The state that awaits nothing, if this answer was awaited."""
    return Awaiting() if t.message.request == t.env.state.request else None


@rule(when=is_answer)
def finish(awaiting: Awaiting, _t: Arrived[Informed, Errand, Awaiting]) -> Effects[Awaiting, Inquire]:
    """State: it awaits nothing. Messages, timers, engines: none."""
    return awaiting


@rule(priority=1)
def ignore(
    _answer: Carried | Informed, _t: Arrived[Carried | Informed, Errand, Awaiting]
) -> Effects[Awaiting, Inquire]:
    """It was not awaited. State, messages, timers, engines: none."""
    return []


CLIENT = Family("paxos-client", config=Errand, state=Awaiting(), accepts=Carried | Informed, emits=Inquire).rules(
    inquire, finish, ignore
)


def decided(view: SystemView) -> list[str]:
    """The values that servers know to be decided."""
    states = [engine.state for engine in view.engines(SERVER.name)]
    return [state.vote.proposal.value for state in states if state.is_decided]


def agreement(view: SystemView) -> bool:
    """All values decided, or told to a client, are one."""
    told = {one.message.value for one in view.in_transit if isinstance(one.message, Informed)}
    return len(told.union(decided(view))) <= 1


def validity(view: SystemView) -> bool:
    """What is decided was proposed by a client."""
    return set(decided(view)) <= {value_of(number) for number in range(len(view.engines(CLIENT.name)))}


def value_chosen(view: SystemView) -> bool:
    """A client is about to learn the value that is decided."""
    return any(isinstance(one.message, Informed) for one in view.in_transit)


def decided_somewhere(view: SystemView) -> bool:
    """A server knows the decision."""
    return bool(decided(view))


def decided_everywhere(view: SystemView) -> bool:
    """All servers know the decision."""
    return len(decided(view)) == len(view.engines(SERVER.name))


def value_of(client: int) -> str:
    """The value that a client proposes."""
    return chr(ord("A") + client)


def SYSTEM(servers: int = 3, clients: int = 2, bug: str = "", is_durable: bool = True) -> System:
    """So many servers and clients. With `bug` "blind", proposers ignore what was accepted before.

    Servers are durable. Otherwise one that forgets a promise in a node fault lets two values be decided.
    """
    at_least(2, servers=servers)
    at_least(1, clients=clients)
    family = variant(SERVER, {"blind": BLIND_SERVER}, bug)
    names = [f"server{number}" for number in range(servers)]
    members, messages = list[Member](), list[Envelope]()
    for name in names:
        peers = Cluster(tuple(SERVER.at(peer) for peer in names if peer != name))
        members.append(Member(name, family, peers, is_durable=is_durable))
    for number in range(clients):
        name, index = f"client{number}", servers + number
        errand = Errand(SERVER.at(names[(index + 1) % servers]), 2 * index)
        members.append(Member(name, CLIENT, errand, Awaiting(index)))
        proposal = Proposal(index, CLIENT.at(name), value_of(number))
        messages.append(Envelope(names[index % servers], Propose(proposal), name))
    return System(
        name="paxos",
        members=members,
        messages=messages,
        always=[agreement, validity],
        sometimes=[value_chosen],
        eventually=[decided_somewhere],
        leads_to=[(decided_somewhere, decided_everywhere)],
    )
