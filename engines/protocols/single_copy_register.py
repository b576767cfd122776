"""A register with a single copy: a server that holds the value. Several such servers know nothing of each other.

One server is linearizable. Two are not: whoever puts to one gets from the other what was there before. With the actor
and network semantics of Stateright, two clients and one server have the 93 states of its example.
"""

from __future__ import annotations

from engines.model import Arrived, Become, Effects, Family, Send, Value, rule
from engines.model.history import CallHistory
from engines.model.system import Member, System
from engines.protocols.params import at_least
from engines.protocols.register import (
    UNWRITTEN,
    Get,
    GetOk,
    Put,
    PutOk,
    a_written_value_is_read,
    all_done,
    first_calls,
    linearizable,
    members,
    record,
    scripts,
)


class Copy(Value):
    """State of a server: the value it holds."""

    value: str = UNWRITTEN


@rule
def put(message: Put, _t: Arrived[Put, None, Copy]) -> Effects[Copy, PutOk | GetOk]:
    """State: the value. Messages: to the client, that it is held. Timers, engines: none."""
    return [Become(Copy(message.value)), Send(message.ticket.client, PutOk(message.ticket.number))]


@rule
def get(message: Get, t: Arrived[Get, None, Copy]) -> Effects[Copy, PutOk | GetOk]:
    """Messages: to the client, the value. State, timers, engines: none."""
    return Send(message.ticket.client, GetOk(message.ticket.number, t.env.state.value))


SERVER = Family("single-copy-register", state=Copy(), accepts=Put | Get, emits=PutOk | GetOk).rules(put, get)


def SYSTEM(clients: int = 2, servers: int = 1) -> System:
    """So many clients that put to one server and get from the next. More than one server is the seeded bug."""
    at_least(1, clients=clients, servers=servers)
    names = [f"server{n}" for n in range(servers)]
    callers = scripts([SERVER.at(name) for name in names], clients)
    return System(
        name="single-copy-register",
        members=[*(Member(name, SERVER) for name in names), *members(callers)],
        messages=first_calls(callers),
        history=CallHistory(),
        record=record,
        always=[linearizable],
        sometimes=[a_written_value_is_read, all_done],
    )
