"""The router: messages between agents, from the request of the sender to the acknowledgement of the receiver.

It is the single writer of messages, inboxes and conversations. It knows agents by `AgentMoved` and their protocols by
`ProtocolChanged`. Who may send what to whom is in `engines/agents/routing/passage.py`; what becomes of a message then:

    accepted -> waiting -> leased -> acknowledged
                  ^           |  \\-> refused: back to the sender, as `bounced`
                  \\-----------/      the time of the message is over: back to the sender, as `expired`
              the lease is over

Delivery is at least once: a message is handed out again until it is acknowledged, each time with the next `attempt`.
The messages of a sender to a receiver are handed out for the first time in the order in which they were accepted.

Crash points: none is special. The answer to a request leaves with the transition that did it, which is in the journal
by then; a request that comes again gets the answer it got, and a read the messages that it got.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engines.model import Arrived, Elapsed, Family, Handle, Map, Send, rule

from ..answers import NO_ANSWERS
from ..bodies import ADDRESSEE, Unusable, body_of
from ..bus import OPERATOR
from ..envelope import Json, Problem, failed, read_body, succeeded
from ..messages import (
    AgentMoved,
    AgentRequest,
    InboxAsked,
    InboxShown,
    ProtocolChanged,
    Resend,
    Retire,
    SendFor,
    Together,
)
from ..protocol.parse import parse
from ..telling import TELL
from ..together import Server, served
from .conduct import Peer, conduct_of
from .expiring import expire, retire
from .inbox import reopen
from .mail_turn import MailTurn
from .passage import EMPTY, Barred, Draft, Side
from .provenance import cleaned
from .reading import acknowledge, read, refuse, serve_parked, thread
from .sending import drafted, notify, send
from .state import LOOK, Made, Outward, Routing, Ways

DUE_MAX: Final = 200
"""Deadlines of one transition."""

FORGED: Final = ("from", "sender", "agent")
"""Fields by which a sender might want to be another: they are ignored, and counted where they differ."""

Asked = Arrived[AgentRequest, Ways, Routing]
UNANSWERED_MAX: Final = 100


@rule
def serve(request: AgentRequest, t: Asked) -> Made:
    """State: what the request does, and its answer. Messages: the answer, to the bridge; facts, events. Timers: for
    what is due. Engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    _answer(turn, request)
    return turn.effects()


def _answer(turn: MailTurn, request: AgentRequest) -> None:
    answers = turn.state.answers.get(request.agent, NO_ANSWERS)
    known = answers.repeated(request, lambda: turn.frame(request.agent))
    if known is not None:
        turn.answer(request, known, is_remembered=False)
        return
    try:
        _serve(turn, request)
    except Unusable as error:
        turn.answer(request, failed(request, error.problem, turn.frame(request.agent)), is_remembered=False)


def _serve(turn: MailTurn, request: AgentRequest) -> None:
    body = body_of(request, *(FORGED if request.op == "message.send" and request.actor == "agent" else ()))
    agent = body.pop(ADDRESSEE, request.agent) if request.actor == "admin" else request.agent
    if agent not in turn.state.peers and request.actor != "admin":
        problem = Problem("unavailable", "unknown_agent", f"the router does not know '{agent}' yet", retry_after_ms=500)
        turn.answer(request, failed(request, problem), is_remembered=False)
        return
    match request.op:
        case "message.send":
            _send(turn, request, agent, body)
        case "message.read":
            read(turn, request, agent, body)
        case "message.ack":
            turn.answer(request, acknowledge(turn, request, agent, body))
        case "message.refuse":
            turn.answer(request, refuse(turn, request, agent, body))
        case "message.thread":
            turn.answer(request, thread(turn, request, body), is_remembered=False)
        case _:
            problem = Problem("usage", "unknown_operation", f"the router has no operation '{request.op[:64]}'")
            turn.answer(request, failed(request, problem), is_remembered=False)


def _send(turn: MailTurn, request: AgentRequest, agent: str, body: dict[str, Json]) -> None:
    if len((body.get("text") or "").encode()) > turn.ways.body_bytes_max:
        message = f"the text has more than {turn.ways.body_bytes_max:,} bytes"
        hint = "put it into a file in the shared area, and send its digest"
        problem = Problem("limit", "too_large", message, hints=(hint,))
        turn.answer(request, failed(request, problem, turn.frame(agent)), is_remembered=False)
        return
    notices = _look_for_forgery(turn, request, agent, body)
    try:
        outcome = send(turn, _sender(turn, agent), body["to"], drafted(body, body.get("reply_to") or ""))
    except Barred as error:
        turn.count_refused(error.problem.code)
        turn.happen("message.bounced", agent, ("rule", error.problem.code), ("to", body["to"][:64]))
        turn.answer(request, failed(request, error.problem, turn.frame(agent)))
        return
    for name in outcome.ids:
        serve_parked(turn, name)
    bounced = [{"agent": name, "rule": one.problem.code} for name, one in outcome.refused.items()]
    data: dict[str, Json] = {"sent": [{"id": one, "to": name} for name, one in outcome.ids.items()], "bounced": bounced}
    frame = turn.frame(agent)
    turn.answer(request, succeeded(request, data, type(frame)(frame.seq, frame.measurements, frame.protocol, notices)))


def _sender(turn: MailTurn, agent: str) -> Side:
    """The sender, as it is stamped on the message. An operator is in no state."""
    return turn.side(agent) or Side(Peer(OPERATOR, OPERATOR, "", "", "", "", 0, 0), EMPTY)


def _look_for_forgery(turn: MailTurn, request: AgentRequest, agent: str, body: dict[str, Json]) -> tuple[str, ...]:
    """What is said to the sender, and counted, about a sender in the body, and about markers and control characters."""
    notices = []
    if request.actor == "agent" and _names_sender(request, agent):
        notices.append("a sender in the body is ignored: the channel says who sends")
        turn.count_refused("forged_sender")
        turn.happen("alarm", agent, ("code", "forged_sender"))
    text = cleaned(body.get("text") or "")
    if text.forged or text.removed:
        notices.append(f"{text.forged} markers in the text were replaced, {text.removed} control characters removed")
        turn.count_refused("forged_marker" if text.forged else "control_characters")
        turn.happen("alarm", agent, ("code", "forged_marker" if text.forged else "control_characters"))
    return tuple(notices)


def _names_sender(request: AgentRequest, agent: str) -> bool:
    """Whether the body names somebody else as its sender."""
    if "\\" not in request.body and not any(f'"{name}"' in request.body for name in FORGED):
        return False
    raw = read_body(request.body)
    return any(raw.get(name) not in (None, agent) for name in FORGED)


@rule
def move(moved: AgentMoved, t: Arrived[AgentMoved, Ways, Routing]) -> Made:
    """State: the agent as it is now; messages held back that its state takes are to be handed out. Messages: to a
    request that waits. Timers: as `MailTurn.effects`. Engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    _move(turn, moved)
    return turn.effects()


def _move(turn: MailTurn, moved: AgentMoved) -> None:
    before = turn.state.peers.get(moved.agent)
    if before is not None and before.number > moved.number:
        return
    peer = Peer(
        moved.agent,
        moved.role,
        moved.protocol,
        moved.version,
        moved.digest,
        moved.state,
        moved.visit,
        moved.number,
    )
    _enrol(turn, peer, before)
    if before is not None and before.digest != peer.digest:
        turn.tell_inbox(moved.agent)
    inbox = turn.inbox(moved.agent)
    reopened = reopen(inbox, turn.is_taken(moved.agent))
    if reopened is not inbox:
        turn.set_inbox(moved.agent, reopened)
    serve_parked(turn, moved.agent)


def _enrol(turn: MailTurn, peer: Peer, before: Peer | None) -> None:
    state = turn.state
    turn.change(peers=state.peers.set(peer.agent, peer))
    if before is not None and before.role == peer.role:
        return
    roles = state.roles
    if before is not None:
        roles = roles.set(before.role, roles[before.role].without(peer.agent))
    turn.change(roles=roles.set(peer.role, (roles.get(peer.role) or Map()).set(peer.agent, None)))
    if before is None:
        turn.set_inbox(peer.agent, turn.inbox(peer.agent))


@rule
def learn(changed: ProtocolChanged, t: Arrived[ProtocolChanged, Ways, Routing]) -> Made:
    """State: what the protocol says about messages. Messages, timers, engines: none."""
    conducts = t.env.state.conducts
    if changed.digest in conducts:
        return []
    conduct = conduct_of(parse(changed.source).protocol, changed.source, tuple(conducts.values()))
    return replace(t.env.state, conducts=conducts.set(changed.digest, conduct))


@rule
def send_for(order: SendFor, t: Arrived[SendFor, Ways, Routing]) -> Made:
    """A transition of the agent sends a message. State: the message, or a notice in the agent's inbox that it was not
    accepted. Messages: as `MailTurn.effects`. Timers: for what is due. Engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    _send_for(turn, order)
    return turn.effects()


def _send_for(turn: MailTurn, order: SendFor) -> None:
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in order.fields}
    to = order.to if order.to in turn.state.peers or order.to.startswith(("role:", "@")) else f"role:{order.to}"
    draft = Draft(order.message, "", fields, is_engine_made=True)
    try:
        outcome = send(turn, _sender(turn, order.agent), to, draft)
    except Barred as error:
        problem = error.problem
        turn.count_refused(problem.code)
        turn.happen("message.bounced", order.agent, ("rule", problem.code), ("to", order.to))
        text = f"The message '{order.message}' of your move to '{order.to}' was not accepted: {problem.message}."
        notify(turn, order.agent, "bounced", text, rule=problem.code, request=order.request_id)
        serve_parked(turn, order.agent)
    else:
        for name in outcome.ids:
            serve_parked(turn, name)


HEARD: Final[dict[type, Server]] = {
    AgentRequest: _answer,
    AgentMoved: _move,
    SendFor: _send_for,
}


@rule
def hear(every: Together, t: Arrived[Together, Ways, Routing]) -> Made:
    """State, timers: as of each message by itself. Messages: the same, together. Engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    for serve, one in served(every, HEARD):
        serve(turn, one)
        turn.settle()
    return turn.effects(are_together=True)


@rule
def remove_agent(order: Retire, t: Arrived[Retire, Ways, Routing]) -> Made:
    """State: without the agent and its inbox. Messages: to its senders, that their messages are back; to requests that
    wait. Timers: as `MailTurn.effects`. Engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    if order.agent in turn.state.peers:
        retire(turn, order.agent)
    return turn.effects()


@rule
def resend(_order: Resend, t: Arrived[Resend, Ways, Routing]) -> Made:
    """State: none. Messages: the view of each inbox. Timers, engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    for agent, inbox in turn.state.inboxes.items():
        turn.send_view(agent, inbox)
    return turn.effects()


@rule
def show_inbox(asked: InboxAsked, t: Arrived[InboxAsked, Ways, Routing]) -> Made:
    """State: none. Messages: what is in the inbox. Timers, engines: none."""
    inbox = MailTurn(t.config, t.env.state, t.now_ns).inbox(asked.agent)
    numbers = list(inbox.leased)[:UNANSWERED_MAX]
    return Send(asked.reply_to, InboxShown(asked.agent, inbox.unread, tuple(inbox.letters[one].id for one in numbers)))


@rule(timer=LOOK)
def look(_look: Handle, t: Elapsed[Ways, Routing]) -> Made:
    """State: without what was due. Messages: expired messages, to their senders; empty answers to requests that waited
    long enough. Timers: the next look. Engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    wheel, found = turn.state.wheel.due(t.now_ns, DUE_MAX)
    turn.change(wheel=wheel)
    for deadline in found:
        expire(turn, deadline)
    turn.look_again()
    return turn.effects()


@rule(timer=TELL)
def tell(_tell: Handle, t: Elapsed[Ways, Routing]) -> Made:
    """State: nothing waits to be told. Messages: events and views that did. Timers, engines: none."""
    turn = MailTurn(t.config, t.env.state, t.now_ns)
    turn.change(untold=turn.state.untold.overdue())
    return turn.effects()


ROUTER = Family(
    "router",
    config=Ways,
    state=Routing(),
    accepts=AgentRequest | AgentMoved | ProtocolChanged | SendFor | Together | Retire | Resend | InboxAsked,
    emits=Outward,
    timers=[LOOK, TELL],
).rules(serve, move, learn, send_for, hear, remove_agent, resend, show_inbox, look, tell)
