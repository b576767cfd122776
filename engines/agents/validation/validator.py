"""The validator: it says what agents may do, and is the single writer of where they are in their protocols.

A request is decided in one transition: its answer, the new record and what the others are told are committed together,
so an agent that has an answer has a change that lasts. A request that comes again gets the answer it got. Changes of an
agent are numbered without gaps; `expect_seq` lets a request fail that was made in ignorance of the last one.

What triggers a move:

    state.transition        an agent, by the transitions `by agent`, by naming the target or an event
    timer                   `max_duration` of a state is over; once a visit
    MessageWaiting          events `message` and the type of the message, on transitions `by engine`
    FactsChanged, commits   transitions `by engine` without an event, whose guard is true now
    Enter, override.*       system states, by the orchestrator and by people; a person may also force a state

An agent in `direct` or `quarantined` is refused its own moves; its timeouts wait until it is given back, and are due at
once then if their time has passed.

Crash points: none is special. What was not committed is asked again by the bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from engines.model import Arrived, Elapsed, Family, Handle, Map, Send, rule

from ..answers import NO_ANSWERS
from ..bodies import ADDRESSEE, Unusable, body_of
from ..bus import OPERATOR
from ..envelope import Json, Problem, failed
from ..messages import (
    AgentRequest,
    Enrol,
    Enrolled,
    Enter,
    Fact,
    FactsChanged,
    MessageWaiting,
    PromptWanted,
    Resend,
    Retire,
    Together,
)
from ..operations import FAMILIES, OPERATIONS
from ..protocol.decide import timed_out
from ..protocol.decide_record import first_record
from ..protocol.decide_values import Refusal
from ..protocol.model import SYSTEM_STATES
from ..telling import TELL
from ..together import Server, served
from . import migrating, moving, registering
from .records import Held, Registry, armed, counted
from .validating import LOOK, Made, Outward, Validation, Wiring

DUE_MAX: Final = 200
"""Agents that something is due for in one transition."""

FACTS: Final = ("measure.", "inbox.", "agent.")
FACTS_MAX: Final = 1_000

Asked = Arrived[AgentRequest, Wiring, Registry]
Handler = Callable[[Validation, AgentRequest, str, Mapping[str, Json]], None]

OF_AGENTS: Final[dict[str, Handler]] = {
    "state.current": lambda turn, request, agent, _body: moving.current(turn, request, agent),
    "state.transition": moving.transition,
    "state.can": moving.can,
    "state.history": moving.history,
    "state.wait": moving.wait,
    "context.get": moving.context_get,
    "context.set": moving.context_set,
    "override.takeover": moving.override,
    "override.release": moving.override,
    "override.force": moving.override,
}
"""What needs an agent with a record."""

OF_PROTOCOLS: Final[dict[str, Handler]] = {
    "protocol.load": registering.load,
    "protocol.list": registering.list_versions,
    "protocol.show": registering.show,
    "protocol.approve": registering.set_stage,
    "protocol.drain": registering.set_stage,
    "protocol.retire": registering.set_stage,
    "protocol.migrate": migrating.migrate,
    "protocol.rollback": migrating.rollback,
}


@rule
def serve(request: AgentRequest, t: Asked) -> Made:
    """State: what the request does, and its answer. Messages: the answer; what changed, to everybody. Timers: for what
    is due. Engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    _answer(turn, request)
    return turn.effects()


def _answer(turn: Validation, request: AgentRequest) -> None:
    answers = turn.state.answers.get(request.agent, NO_ANSWERS)
    known = answers.repeated(request, lambda: turn.frame(request.agent))
    if known is not None:
        turn.send(request.reply_to, known)
        return
    try:
        _serve(turn, request)
    except Unusable as error:
        turn.answer(request, failed(request, error.problem, turn.frame(request.agent)))


def _serve(turn: Validation, request: AgentRequest) -> None:
    handler = OF_AGENTS.get(request.op) or OF_PROTOCOLS.get(request.op)
    if handler is None or FAMILIES[request.op.partition(".")[0]] != "validator":
        turn.refused(request, request.agent, Problem("usage", "unknown_operation", f"no operation '{request.op[:64]}'"))
        return
    if OPERATIONS[request.op].is_for_operators and request.actor != "admin":
        turn.refused(request, request.agent, Problem("identity", "not_allowed", f"'{request.op}' is for operators"))
        return
    body = body_of(request)
    agent = body.pop(ADDRESSEE, request.agent) if request.actor == "admin" else request.agent
    is_rotation = False
    if request.op in OF_AGENTS:
        held = turn.state.agents.get(agent)
        if held is None:
            turn.refused(request, agent, _unknown_agent(agent))
            return
        if request.actor == "agent" and request.session < held.record.session:
            turn.refused(request, agent, Problem("identity", "old_session", "the session of this request is over"))
            return
        is_rotation = request.actor == "agent" and request.session > held.record.session
        moving.begin_session(turn, agent, request.session if request.actor == "agent" else 0)
    if agent in turn.state.agents:
        migrating.at_safe_point(turn, agent, is_rotation=is_rotation)
    handler(turn, request, agent, body)
    if agent in turn.state.agents:
        _finish(turn, agent)


def _unknown_agent(agent: str) -> Problem:
    """A person who names no agent asks about himself, and is none."""
    if agent == OPERATOR:
        return Problem("usage", "no_agent", "this is about an agent, and none is named", {}, ("--agent NAME",))
    return Problem("unknown", "unknown_agent", f"there is no agent '{agent[:64]}'", {}, ("aism agent ls",))


def _finish(turn: Validation, agent: str) -> None:
    """What follows from whatever an agent has come to."""
    migrating.at_safe_point(turn, agent)
    moving.settle(turn, agent)


@rule
def enrol(message: Enrol, t: Arrived[Enrol, Wiring, Registry]) -> Made:
    """State: a record of the agent, if it has none. Messages: its state, or why it has no record. Timers: of its state.
    Engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    agent = message.agent
    if agent not in turn.state.agents:
        version = registering.version_for(turn.state, message.protocol)
        if version is None or not version.protocol.states:
            reason = f"there is no protocol '{message.protocol}' that agents can follow"
            return Send(message.reply_to, Enrolled(agent, "", reason))
        roles = [one.id for one in version.protocol.roles]
        if roles and message.role not in roles:
            reason = f"protocol '{message.protocol}' has no role '{message.role[:64]}'; it has {', '.join(roles)}"
            return Send(message.reply_to, Enrolled(agent, "", reason))
        record = first_record(version.protocol, version.digest, agent, message.role, t.now_ns)
        turn.change(population=counted(turn.state.population, record, 1))
        held = Held(record, facts=Map({"inbox.unread": 0}))  # as the router takes it to be known
        turn.hold(agent, armed(held, version.protocol, t.now_ns))
        turn.tell_moved(agent, replace(record, visit=0, state=""))
        turn.happen("enrolled", agent)
        turn.look_again(agent)
    turn.send(message.reply_to, Enrolled(agent, turn.held(agent).record.shown))
    return turn.effects()


@rule
def enter(message: Enter, t: Arrived[Enter, Wiring, Registry]) -> Made:
    """State: the agent is in a system state, or back. Messages: so to everybody. Timers: none there, again after it.
    Engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    state = "" if message.state == "back" else message.state
    if message.agent in turn.state.agents and (not state or state in SYSTEM_STATES):
        turn.enter(message.agent, state, message.reason)
        _finish(turn, message.agent)
    return turn.effects()


@rule
def retire(message: Retire, t: Arrived[Retire, Wiring, Registry]) -> Made:
    """State: nothing of the agent. Messages: that it is gone, to the listeners. Timers, engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    held = turn.state.agents.get(message.agent)
    if held is None:
        return []
    turn.happen("retired", message.agent)
    turn.change(
        agents=turn.state.agents.without(message.agent),
        answers=turn.state.answers.without(message.agent)
        if message.agent in turn.state.answers
        else turn.state.answers,
        population=counted(turn.state.population, held.record, -1),
    )
    return turn.effects()


@rule
def learn(message: FactsChanged, t: Arrived[FactsChanged, Wiring, Registry]) -> Made:
    """State: the facts; the engine's moves that they bring. Messages: what changed. Timers: of new visits.
    Engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    _learn(turn, message)
    return turn.effects()


def _learn(turn: Validation, message: FactsChanged) -> None:
    if message.agent in turn.state.agents:
        _know(turn, message.agent, message.facts)
        turn.look_again(message.agent)
        _finish(turn, message.agent)


def _know(turn: Validation, agent: str, new: tuple[Fact, ...]) -> None:
    """With new facts, unless there are too many."""
    held = turn.held(agent)
    facts = held.facts.updated({one.name: one.value for one in new if one.name.startswith(FACTS)})
    if len(facts) <= FACTS_MAX:
        turn.hold(agent, replace(held, facts=facts))


@rule
def wake(message: MessageWaiting, t: Arrived[MessageWaiting, Wiring, Registry]) -> Made:
    """State: the move on a message, if the agent's state has one. Messages: what changed. Timers: of a new visit.
    Engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    _wake(turn, message)
    return turn.effects()


def _wake(turn: Validation, message: MessageWaiting) -> None:
    if message.agent in turn.state.agents:
        _know(turn, message.agent, (*message.facts, Fact("inbox.unread", message.unread)))
        turn.look_again(message.agent, message.message_type, "message")
        _finish(turn, message.agent)


HEARD: Final[dict[type, Server]] = {
    AgentRequest: _answer,
    FactsChanged: _learn,
    MessageWaiting: _wake,
}


@rule
def hear(every: Together, t: Arrived[Together, Wiring, Registry]) -> Made:
    """State, timers: as of each message by itself. Messages: the same, together. Engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    for serve, one in served(every, HEARD):
        serve(turn, one)
    return turn.effects(are_together=True)


@rule
def resend(_message: Resend, t: Arrived[Resend, Wiring, Registry]) -> Made:
    """State: none. Messages: the view of each agent, to the bridge. Timers, engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    for agent in turn.state.agents:
        turn.send_view(agent)
    return turn.effects()


@rule(timer=LOOK)
def look(_look: Handle, t: Elapsed[Wiring, Registry]) -> Made:
    """State: timeouts have moved their agents, and waiting is over, where it is time. Messages: what changed, and
    reminders. Timers: for what is due next. Engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    due = [agent for agent, held in turn.state.agents.items() if held.due_ns <= t.now_ns]
    for agent in due[:DUE_MAX]:
        _be_due(turn, agent)
    turn.look_at_next()
    return turn.effects()


def _be_due(turn: Validation, agent: str) -> None:
    held = turn.held(agent)
    record, protocol = held.record, turn.protocol_of(held.record)
    state = protocol.state(record.state)
    if held.remind_ns and held.remind_ns <= turn.now_ns and state is not None:
        text = f"You are still in '{record.state}'. {state.text}".strip()
        turn.send(turn.wiring.orchestrator, PromptWanted(agent, "reminder", text))
        held = replace(held, remind_ns=turn.now_ns + state.remind_ns)
    is_over = bool(held.timeout_ns) and held.timeout_ns <= turn.now_ns and held.armed == record.visit
    turn.hold(agent, replace(held, timeout_ns=0) if is_over else held)
    if is_over:
        _time_out(turn, agent)
    _finish(turn, agent)


def _time_out(turn: Validation, agent: str) -> None:
    record = turn.held(agent).record
    decision = timed_out(turn.protocol_of(record), record, turn.facts(agent), turn.now_ns)
    if isinstance(decision, Refusal):
        one = decision.blocked[0]
        turn.alarm(agent, f"the time in '{record.state}' is over, but {'; '.join((*one.invalid, *one.awaiting))}")
        if decision.quarantine:
            turn.enter(agent, "quarantined", f"invariant {decision.quarantine} would not hold")
        return
    turn.commit(agent, decision)


@rule(timer=TELL)
def tell(_tell: Handle, t: Elapsed[Wiring, Registry]) -> Made:
    """State: nothing waits to be told. Messages: events that did. Timers, engines: none."""
    turn = Validation(t.config, t.env.state, t.now_ns)
    turn.change(untold=turn.state.untold.overdue())
    return turn.effects()


VALIDATOR = Family(
    "validator",
    config=Wiring,
    state=Registry(),
    accepts=AgentRequest | Enrol | Enter | Retire | FactsChanged | MessageWaiting | Together | Resend,
    emits=Outward,
    timers=[LOOK, TELL],
).rules(serve, enrol, enter, retire, learn, wake, hear, resend, look, tell)
