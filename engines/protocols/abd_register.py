"""A register that several servers hold copies of; it works while a majority of them does.

After H. Attiya, A. Bar-Noy and D. Dolev, "Sharing Memory Robustly in Message-Passing Systems" (1995), with several
writers: each copy bears a stamp, a clock and the name of the server that wrote it. A server serves a call in two
phases:

* it *gathers* copies from a majority, its own among them, and takes the one with the latest stamp. A put makes a new
  copy with a later stamp from that;
* it *spreads* this copy, until a majority holds it, and answers. A get does so too (the write-back): else one get could
  find a value, and a later one the value before.

A server serves one call at a time. Another call is stored until it is free; or, when it `refuses`, taken and dropped.
The latter is for a comparison with Stateright's example. Under its actor semantics what changes nothing stays in
transit and comes again, and two clients and two servers have the 544 states of that example. Under our semantics a
dropped call is used up: there are 626 states, and in some of them a client waits for ever. With stored calls there are
574, and each client is answered.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec.structs import replace

from engines.model import (
    Arrived,
    Become,
    Box,
    Config,
    Consume,
    Effects,
    Family,
    Map,
    Message,
    Ref,
    Send,
    Sent,
    Value,
    rule,
)
from engines.model.history import CallHistory
from engines.model.system import Member, System
from engines.protocols.params import at_least, variant
from engines.protocols.register import (
    UNWRITTEN,
    Get,
    GetOk,
    Put,
    PutOk,
    Ticket,
    a_written_value_is_read,
    all_done,
    first_calls,
    linearizable,
    members,
    record,
    scripts,
)


class Stamp(Value, order=True):
    """When a copy was written: clock first, then the name of the server that wrote it."""

    clock: int = 0
    server: str = ""


class StampedCopy(Value):
    """A value with its stamp; equal stamps, equal values."""

    stamp: Stamp = Stamp()
    value: str = UNWRITTEN


class Query(Message):
    """From a server that gathers: which copy do you hold?"""

    reply: Ref[AckQuery | AckRecord]
    ticket: Ticket


class AckQuery(Message):
    """The copy that the sender holds."""

    ticket: Ticket
    copy: StampedCopy


class Record(Message):
    """From a server that spreads: hold this copy, unless yours is later."""

    reply: Ref[AckQuery | AckRecord]
    ticket: Ticket
    copy: StampedCopy


class AckRecord(Message):
    """The sender holds the copy, or a later one."""

    ticket: Ticket


Internal: TypeAlias = Query | AckQuery | Record | AckRecord


class Replicas(Config):
    """The other servers, and what a server does otherwise than it should, for comparisons and seeded bugs.

    `refuses`: a call that comes while another one is served is dropped. `asks`: a get gathers copies; else it finds
    the server's own. `writes_back`: a get spreads the copy that it found.
    """

    peers: tuple[Ref[Internal], ...]
    refuses: bool = False
    asks: bool = True
    writes_back: bool = True

    @property
    def majority(self) -> int:
        """The fewest servers of which any two sets have one in common."""
        return (len(self.peers) + 1) // 2 + 1


class Gathering(Value, tag=True):
    """First phase of a call: the copies so far by server, and what is to be put (None: it is a get)."""

    ticket: Ticket
    to_put: str | None
    copies: Map[str, StampedCopy]


class Spreading(Value, tag=True):
    """Second phase of a call: the servers that hold the copy, in order of names, and what was found (None: a put)."""

    ticket: Ticket
    found: str | None
    holders: tuple[str, ...]


class Replica(Value):
    """State of a server: its copy, and the call that it serves."""

    copy: StampedCopy = StampedCopy()
    phase: Gathering | Spreading | None = None


INBOX = Box(0, accepts=Put | Get | Internal)
Sends: TypeAlias = tuple[Sent[Internal | PutOk | GetOk], ...]
Called: TypeAlias = Arrived[Put | Get, Replicas, Replica]
Acked: TypeAlias = Arrived[AckQuery | AckRecord, Replicas, Replica]


def begun(message: Put | Get, replica: Replica, t: Called | Acked) -> tuple[Replica, Sends]:
    """A free server and what it sends once it serves a call."""
    if isinstance(message, Get) and not t.config.asks:
        return replica, (Send(message.ticket.client, GetOk(message.ticket.number, replica.copy.value)),)
    to_put = message.value if isinstance(message, Put) else None
    phase = Gathering(message.ticket, to_put, Map({t.me.name: replica.copy}))
    queries = tuple(Send(peer, Query(Ref(t.me.name), message.ticket)) for peer in t.config.peers)
    after, sends = gathered(replica, phase, t)
    return after, (*queries, *sends)


def gathered(replica: Replica, phase: Gathering, t: Called | Acked) -> tuple[Replica, Sends]:
    """A server and what it sends once it has these copies: of a majority, it spreads the one it makes of them."""
    if len(phase.copies) < t.config.majority:
        return replace(replica, phase=phase), ()
    copy = max(phase.copies.values(), key=lambda one: one.stamp)
    if phase.to_put is not None:
        copy = StampedCopy(Stamp(copy.stamp.clock + 1, t.me.name), phase.to_put)
    elif not t.config.writes_back:
        return spread(replica, Spreading(phase.ticket, copy.value, tuple(phase.copies.keys())), t)
    after = replace(replica, copy=max(replica.copy, copy, key=lambda one: one.stamp))
    found = copy.value if phase.to_put is None else None
    records = tuple(Send(peer, Record(Ref(t.me.name), phase.ticket, copy)) for peer in t.config.peers)
    after, sends = spread(after, Spreading(phase.ticket, found, (t.me.name,)), t)
    return after, (*records, *sends)


def spread(replica: Replica, phase: Spreading, t: Called | Acked) -> tuple[Replica, Sends]:
    """A server and what it sends once these servers hold the copy: of a majority, it answers."""
    if len(phase.holders) < t.config.majority:
        return replace(replica, phase=phase), ()
    client, number = phase.ticket.client, phase.ticket.number
    answer = Send(client, PutOk(number)) if phase.found is None else Send(client, GetOk(number, phase.found))
    return replace(replica, phase=None), (answer,)


def is_free(t: Called) -> Replica | None:
    """The server, if it serves no call."""
    return t.env.state if t.env.state.phase is None else None


@rule(when=is_free)
def begin(replica: Replica, t: Called) -> Effects[Replica, Internal | PutOk | GetOk]:
    """State: it gathers copies. Messages: a query to each other server; the answer, if none is needed.

    Timers, engines: none.
    """
    after, sends = begun(t.message, replica, t)
    return [Become(after), *sends]


def is_refused(t: Called) -> bool | None:
    """Whether a server that is not free drops the call; else no rule takes it, and it is stored."""
    return t.config.refuses or None


@rule(when=is_refused, priority=1)
def refuse(_refused: bool, _t: Called) -> Effects[Replica, Internal | PutOk | GetOk]:
    """Another call is served: taken and dropped. State, messages, timers, engines: none."""
    return []


@rule
def tell(query: Query, t: Arrived[Query, Replicas, Replica]) -> Effects[Replica, Internal | PutOk | GetOk]:
    """Messages: its copy. State, timers, engines: none."""
    return Send(query.reply, AckQuery(query.ticket, t.env.state.copy))


@rule
def hold(message: Record, t: Arrived[Record, Replicas, Replica]) -> Effects[Replica, Internal | PutOk | GetOk]:
    """State: the copy, if it is later than its own. Messages: that it is held. Timers, engines: none."""
    copy = max(t.env.state.copy, message.copy, key=lambda one: one.stamp)
    return [Become(replace(t.env.state, copy=copy)), Send(message.reply, AckRecord(message.ticket))]


def is_gathered(t: Acked) -> Gathering | None:
    """The first phase with the sender's copy, if the server is in it with this call."""
    phase, ack = t.env.state.phase, t.message
    if not (isinstance(phase, Gathering) and isinstance(ack, AckQuery) and phase.ticket == ack.ticket):
        return None
    return replace(phase, copies=phase.copies.set(t.sender, ack.copy))


@rule(when=is_gathered)
def gather(phase: Gathering, t: Acked) -> Effects[Replica, Internal | PutOk | GetOk]:
    """State: one copy more; of a majority, the one it spreads. Messages: this one, to all. Timers, engines: none."""
    return freed(*gathered(t.env.state, phase, t), t)


def is_spread(t: Acked) -> Spreading | None:
    """The second phase with the sender as a holder, if the server is in it with this call."""
    phase, ack = t.env.state.phase, t.message
    if not (isinstance(phase, Spreading) and isinstance(ack, AckRecord) and phase.ticket == ack.ticket):
        return None
    return replace(phase, holders=tuple(sorted({*phase.holders, t.sender})))


@rule(when=is_spread)
def confirm(phase: Spreading, t: Acked) -> Effects[Replica, Internal | PutOk | GetOk]:
    """State: one holder more; with a majority it is free, or serves the call stored first, which is consumed.

    Messages: the answer to the client, and what `begin` sends. Timers, engines: none.
    """
    return freed(*spread(t.env.state, phase, t), t)


@rule(priority=1)
def leave(
    _ack: AckQuery | AckRecord, _t: Arrived[AckQuery | AckRecord, Replicas, Replica]
) -> Effects[Replica, Internal | PutOk | GetOk]:
    """There was a majority without it. State, messages, timers, engines: none."""
    return []


def freed(replica: Replica, sends: Sends, t: Acked) -> Effects[Replica, Internal | PutOk | GetOk]:
    """What is done after a phase: a server that is free serves the calls stored, in their order."""
    taken = []
    for stored in t.env[INBOX].stored:
        if replica.phase is None and isinstance(stored.message, Put | Get):
            replica, more = begun(stored.message, replica, t)
            sends = (*sends, *more)
            taken.append(Consume(stored))
    return [Become(replica), *taken, *sends]


REPLICA = Family(
    "abd-register",
    config=Replicas,
    state=Replica(),
    accepts=Put | Get | Internal,
    emits=Internal | PutOk | GetOk,
    boxes=[INBOX],
).rules(begin, refuse, tell, hold, gather, confirm, leave)


BUGS: Final = {"reads-alone": {"asks": False}, "no-write-back": {"writes_back": False}}
"""What a server does otherwise than it should, by the name of the bug."""


def SYSTEM(clients: int = 2, servers: int = 2, readers: int = 0, refuses: bool = True, bug: str = "") -> System:
    """So many clients that put and get, and readers that get twice.

    With `bug` "reads-alone", a get finds the server's own copy; with "no-write-back", it spreads no copy. Two servers
    do not show either, as a majority of two is both.
    """
    at_least(1, clients=clients, servers=servers)
    at_least(0, readers=readers)
    wrong = variant({}, BUGS, bug)
    names = [f"server{n}" for n in range(servers)]
    callers = scripts([REPLICA.at(name) for name in names], clients, readers)
    replicas = []
    for name in names:
        peers = tuple(REPLICA.at(peer) for peer in names if peer != name)
        # Each begins with a stamp of its own, as in the published model.
        state = Replica(StampedCopy(Stamp(0, name)))
        replicas.append(Member(name, REPLICA, Replicas(peers, refuses, **wrong), state))
    return System(
        name="abd-register",
        members=[*replicas, *members(callers)],
        messages=first_calls(callers),
        history=CallHistory(),
        record=record,
        always=[linearizable],
        sometimes=[a_written_value_is_read, all_done],
    )
