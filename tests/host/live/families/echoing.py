"""Stands for the families that answer agents: remembers what it did for each request id, and shows a view."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeAlias

from msgspec.structs import replace

from engines.agents.answers import Answers
from engines.agents.envelope import Problem, failed, succeeded
from engines.agents.messages import Admit, Admitted, AgentAnswer, AgentRequest, AgentSeen, Resend, Revoke, ViewChanged
from engines.model import Arrived, Become, Config, Effects, Family, Map, Message, Ref, Send, Value, rule


class Echoes(Config):
    """Where views go."""

    bridge: Ref[Any]


class Entry(Message):
    """To have the bridge admit an agent with this token."""

    agent: str
    token: str


class Exit(Message):
    """To have the bridge revoke a session."""

    agent: str
    session: int


class Echo(Value):
    """State: how often each agent has moved, its answers, and its admitted sessions."""

    moves: Map[str, int] = Map()
    answers: Map[str, Answers] = Map()
    admitted: Map[str, Admit] = Map()


Accepted: TypeAlias = AgentRequest | Resend | Admitted | AgentSeen | Entry | Exit


@rule
def answer(request: AgentRequest, t: Arrived[AgentRequest, Echoes, Echo]) -> Effects[Echo, Any]:
    """State: a move more, the answer. Messages: the answer, and the view. Timers, engines: none."""
    state = t.env.state
    known = state.answers.get(request.agent, Answers())
    if (again := known.repeated(request)) is not None:
        return Send(request.reply_to, again)
    if request.op == "state.wait":
        return []
    if request.op == "state.can":
        given = failed(request, Problem("validation", "no_move", "there is no such move"))
        return Send(request.reply_to, given)
    moves = state.moves.get(request.agent, 0) + (request.op == "state.transition")
    body = json.loads(request.body)
    kind = body.get("target", "") if request.op == "state.transition" else ""
    if kind in ("conflict", "unknown", "internal"):
        return Send(request.reply_to, failed(request, Problem(kind, "planted", "as it was asked for")))
    data = {"agent": request.agent, "session": request.session, "op": request.op, "body": body, "moves": moves}
    made = succeeded(request, data)
    after = replace(
        state,
        moves=state.moves.set(request.agent, moves),
        answers=state.answers.set(request.agent, known.remember(request, made)),
    )
    return [Become(after), Send(request.reply_to, made), Send(t.config.bridge, view(request.agent, moves))]


def view(agent: str, moves: int) -> ViewChanged:
    """The view of an agent."""
    return ViewChanged(agent, moves + 1, (("moves", str(moves)),))


@rule
def show_again(_order: Resend, t: Arrived[Resend, Echoes, Echo]) -> Effects[Echo, Any]:
    """State: none. Messages: all views and admissions. Timers, engines: none."""
    state = t.env.state
    views = [Send(t.config.bridge, view(agent, moves)) for agent, moves in state.moves.items()]
    return [*views, *(Send(t.config.bridge, one) for one in state.admitted.values())]


@rule
def enter(order: Entry, t: Arrived[Entry, Echoes, Echo]) -> Effects[Echo, Any]:
    """State: the session. Messages: its admission. Timers, engines: none."""
    digest = hashlib.sha256(order.token.encode()).hexdigest()
    admit = Admit(order.agent, int(order.token.partition("-")[0]), digest, Ref(t.me.name))
    after = replace(t.env.state, admitted=t.env.state.admitted.set(order.agent, admit))
    return [Become(after), Send(t.config.bridge, admit)]


@rule
def leave(order: Exit, t: Arrived[Exit, Echoes, Echo]) -> Effects[Echo, Any]:
    """State: a session less. Messages: its end. Timers, engines: none."""
    after = replace(t.env.state, admitted=t.env.state.admitted.without(order.agent))
    return [Become(after), Send(t.config.bridge, Revoke(order.agent, order.session))]


@rule
def note(_news: Admitted | AgentSeen, _t: Arrived[Admitted | AgentSeen, Echoes, Echo]) -> Effects[Echo, Any]:
    """State, messages, timers, engines: none."""
    return []


ECHO = Family(
    "echo", config=Echoes, state=Echo(), accepts=Accepted, emits=AgentAnswer | ViewChanged | Admit | Revoke
).rules(answer, show_again, enter, leave, note)
