"""Clients of a register that several servers offer, and what must hold of it whatever the servers do.

A client calls one server at a time: it puts its values, then gets. Its call n goes to the server n places after its
own, so that a client gets from another server than it put to. It begins with its first call in transit.

The clients, the recorded history and the properties are those of Stateright's register examples; single-copy and ABD
register (`engines/protocols/single_copy_register.py`, `engines/protocols/abd_register.py`) share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from engines.model import Arrived, Become, Config, Effects, Family, Message, Ref, Send, Sent, Value, rule
from engines.model.history import CallHistory, is_linearizable, is_sequentially_consistent
from engines.model.objects import Read, Write, register
from engines.model.system import Envelope, Member
from engines.model.system_view import SystemView

UNWRITTEN = ""
"""What a register holds at first."""


class Ticket(Value):
    """A call of a client, by its number; where its answer goes."""

    client: Ref[PutOk | GetOk]
    number: int


class Put(Message):
    """To a server: hold this value."""

    ticket: Ticket
    value: str


class Get(Message):
    """To a server: which value do you hold?"""

    ticket: Ticket


class PutOk(Message):
    """To a client: its call of this number is done."""

    number: int


class GetOk(Message):
    """To a client: the value that its call of this number found."""

    number: int
    value: str


class Script(Config):
    """What a client does: puts of values that begin with `name`, then gets. `place`: its first server."""

    servers: tuple[Ref[Put | Get], ...]
    place: int
    name: str
    puts: int = 1
    gets: int = 1


class Waiting(Value):
    """State of a client: the number of the call it waits for; one more than its script has when it is done."""

    number: int = 1


Answered: TypeAlias = Arrived[PutOk | GetOk, Script, Waiting]


def call(script: Script, client: str, number: int) -> Sequence[Sent[Put | Get]]:
    """The call of this number; nothing, when the script is over."""
    server, ticket = script.servers[(script.place + number - 1) % len(script.servers)], Ticket(Ref(client), number)
    if number <= script.puts:
        return [Send(server, Put(ticket, f"{script.name}{number}"))]
    return [Send(server, Get(ticket))] if number <= script.puts + script.gets else []


def is_awaited(t: Answered) -> Waiting | None:
    """The state in which the next call is awaited, if this answers the one before."""
    return Waiting(t.env.state.number + 1) if t.message.number == t.env.state.number else None


@rule(when=is_awaited)
def go_on(waiting: Waiting, t: Answered) -> Effects[Waiting, Put | Get]:
    """State: the next call is awaited. Messages: that call, if there is one. Timers, engines: none."""
    return [Become(waiting), *call(t.config, t.me.name, waiting.number)]


@rule(priority=1)
def leave(_message: PutOk | GetOk, _t: Answered) -> Effects[Waiting, Put | Get]:
    """Answered before. State, messages, timers, engines: none."""
    return []


CLIENT = Family("register-client", config=Script, state=Waiting(), accepts=PutOk | GetOk, emits=Put | Get).rules(
    go_on, leave
)


History: TypeAlias = CallHistory[Write | Read, str | None]


def record(history: History, envelope: Envelope, is_sent: bool) -> History:
    """The history after a client has sent a call, or got the answer that it waits for."""
    message, client = envelope.message, envelope.target
    match message:
        case Put() if is_sent:
            return history.invoked(envelope.sender, Write(message.value))
        case Get() if is_sent:
            return history.invoked(envelope.sender, Read())
        case PutOk() | GetOk() if not is_sent:
            calls = history.calls(client)
            if calls.pending is None or message.number != calls.count:
                return history
            return history.returned(client, message.value if isinstance(message, GetOk) else None)
    return history


def linearizable(view: SystemView) -> bool:
    """The clients cannot tell the servers from one register that answers each call at once."""
    return is_linearizable(view.history, register(UNWRITTEN))


def sequentially_consistent(view: SystemView) -> bool:
    """As `linearizable`, for clients that cannot see which calls of others are over."""
    return is_sequentially_consistent(view.history, register(UNWRITTEN))


def a_written_value_is_read(view: SystemView) -> bool:
    """A get has found a value that was put."""
    return any(isinstance(operation, Read) and result != UNWRITTEN for operation, result in view.history.results())


def all_done(view: SystemView) -> bool:
    """Each client has the answers to all its calls."""
    return all(one.state.number > one.config.puts + one.config.gets for one in view.engines(CLIENT.name))


def scripts(servers: Sequence[Ref[Any]], clients: int, readers: int = 0) -> dict[str, Script]:
    """The scripts of clients, by name: those that put once and get once, then those that only get, twice."""
    found = {f"client{n}": Script(tuple(servers), n, chr(ord("A") + n)) for n in range(clients)}
    for n in range(readers):
        found[f"reader{n}"] = Script(tuple(servers), clients + n, "", puts=0, gets=2)
    return found


def members(scripts: dict[str, Script]) -> list[Member]:
    """The clients with these scripts."""
    return [Member(name, CLIENT, script) for name, script in scripts.items()]


def first_calls(scripts: dict[str, Script]) -> list[Envelope]:
    """What is in transit at the beginning: the first call of each client."""
    sends = ((name, send) for name, script in scripts.items() for send in call(script, name, 1))
    return [Envelope(str(send.target), send.message, sender=name) for name, send in sends]
