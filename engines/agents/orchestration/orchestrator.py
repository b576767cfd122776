"""The orchestrator: lives of agents, from their registration to their end; it owns sessions, limits and prompts.

| what arrives | rule |
|---|---|
| AgentRequest | done, answered, and remembered by its id (`lives/requests.py`) |
| Enrolled | the agent can be started, or is not added |
| Admitted, AgentSeen, Resend | from the bridge: the next step of a start; a sign of life; views and sessions again |
| AgentMoved, ProtocolChanged | from the validator: where an agent is, and what it reads |
| PromptWanted | the agent is prompted |
| FactsChanged, InboxShown | how full its context is, and which messages it has not answered |
| reports of launchers | the course of a session (`lives/course.py`) |
| the timer | what is due: timeouts, pauses, silence, rotations (`lives/watch.py`) |

One instance owns all agents. All that matters is in its state, so `durability: crash` loses nothing: a start, a stop or
a prompt that was under way goes on. Orders to launchers may be lost with their device, or come twice; see `launching`.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.model import Arrived, Effects, Elapsed, Family, Handle, rule

from ..answers import NO_ANSWERS
from ..envelope import BodyError, Frame, Problem, failed, read_body, succeeded
from ..messages import (
    Admit,
    Admitted,
    AgentAnswer,
    AgentMoved,
    AgentRequest,
    AgentSeen,
    Enrol,
    Enrolled,
    Enter,
    FactsChanged,
    Happened,
    InboxAsked,
    InboxShown,
    PromptWanted,
    ProtocolChanged,
    Resend,
    Retire,
    Revoke,
    Together,
    ViewChanged,
)
from ..together import Server, served
from . import course, requests, rotation, watch
from .launching import (
    AgentExited,
    KeeperLost,
    LaunchersKnown,
    LaunchersReport,
    Order,
    PromptGiven,
    Report,
    SessionLaunched,
    SessionPrepared,
    SessionRefused,
    WorkspaceRead,
)
from .prompting import want_prompt
from .record import LIVING, Life, ProtocolText, Roster
from .requests import Refused
from .terms import Terms
from .turn import WAKE, Turn

PROTOCOLS_KEPT: Final = 64

Asked: TypeAlias = (
    AgentRequest
    | Enrolled
    | Admitted
    | AgentSeen
    | Resend
    | AgentMoved
    | ProtocolChanged
    | PromptWanted
    | FactsChanged
    | InboxShown
    | Together
)
Emitted: TypeAlias = (
    Order | Enrol | Retire | Enter | FactsChanged | Admit | Revoke | AgentAnswer | Happened | ViewChanged | InboxAsked
)
Made: TypeAlias = Effects[Roster, Any]


def _turn(t: Arrived[Any, Terms, Roster] | Elapsed[Terms, Roster]) -> Turn:
    return Turn(t.env.state, t.config, t.me.name, t.now_ns)


def _frame(life: Life | None) -> Frame:
    if life is None or life.where is None:
        return Frame()
    where = life.where
    return Frame(where.number, {}, {"name": where.protocol, "version": where.version, "digest": where.digest})


@rule
def answer(request: AgentRequest, t: Arrived[AgentRequest, Terms, Roster]) -> Made:
    """State: what was asked for, and the answer. Messages: the answer, unless it comes later; orders; what happened.
    Timers: as `Turn.effects`. Engines: none."""
    turn = _turn(t)
    known = turn.roster.answers.get(request.agent, NO_ANSWERS)
    frame = _frame(turn.life(request.agent))
    if (repeat := known.repeated(request, lambda: frame)) is not None:
        turn.send(request.reply_to, repeat)
        return turn.effects()
    before = turn.roster
    try:
        data = _done(turn, request)
    except Refused as refused:
        turn = _turn(t)
        turn.roster = before
        _reply(turn, request, failed(request, refused.problem, frame))
        return turn.effects()
    if data is not None:
        _reply(turn, request, succeeded(request, data, _frame(turn.life(request.agent))))
    return turn.effects()


def _done(turn: Turn, request: AgentRequest) -> dict[str, Any] | None:
    """Do what is asked for. Raises Refused."""
    do = requests.OPERATIONS.get(request.op)
    if do is None:
        raise Refused("usage", "no_such_operation", f"there is no operation {request.op}", "aism help")
    try:
        body = read_body(request.body)
    except BodyError as error:
        raise Refused("usage", "bad_body", str(error)) from None
    return do(turn, request, body)


def _reply(turn: Turn, request: AgentRequest, given: AgentAnswer) -> None:
    """Answer, and remember it."""
    known = turn.roster.answers.get(request.agent, NO_ANSWERS)
    answers = turn.roster.answers.set(request.agent, known.remember(request, given))
    turn.roster = replace(turn.roster, answers=answers)
    turn.send(request.reply_to, given)


@rule
def enrolled(message: Enrolled, t: Arrived[Enrolled, Terms, Roster]) -> Made:
    """State: the agent can be started, or is gone. Messages: the answer to its addition; orders. Timers: as
    `Turn.effects`. Engines: none."""
    turn = _turn(t)
    life = turn.life(message.agent)
    if life is None:
        return turn.effects()
    asked = life.asked
    if message.reason:
        turn.roster = replace(turn.roster, lives=turn.roster.lives.without(message.agent))
        if asked is not None:
            _reply(turn, asked, failed(asked, Problem("validation", "not_enrolled", message.reason)))
        return turn.effects()
    turn.change(message.agent, is_enrolled=True, asked=None)
    turn.happened("life.registered", message.agent, role=life.role, protocol=life.protocol)
    if life.is_wanted and life.phase == "registered":
        course.start(turn, message.agent)
    else:
        turn.show(message.agent)
    if asked is not None:
        data = {**requests.shown(message.agent, turn.roster.lives[message.agent]), "state": message.state}
        _reply(turn, asked, succeeded(asked, data))
    return turn.effects()


@rule
def admitted(message: Admitted, t: Arrived[Admitted, Terms, Roster]) -> Made:
    """State: where the bus is. Messages: the order to launch. Timers, engines: none."""
    turn = _turn(t)
    course.admitted(turn, message.agent, message.session, message.bus)
    return turn.effects()


@rule
def seen(message: AgentSeen, t: Arrived[AgentSeen, Terms, Roster]) -> Made:
    """State: the agent lives, and its prompt was delivered. Messages: the next prompt. Timers: as `Turn.effects`.
    Engines: none."""
    turn = _turn(t)
    watch.seen(turn, message.agent, message.session, message.time_ns or t.now_ns)
    return turn.effects()


@rule
def resend(_message: Resend, t: Arrived[Resend, Terms, Roster]) -> Made:
    """State: numbers of views. Messages: all views, and the sessions that are alive. Timers, engines: none."""
    turn = _turn(t)
    for agent, life in turn.roster.lives.items():
        turn.show(agent)
        if life.phase in LIVING and life.token_digest:
            turn.send(turn.terms.bridge, Admit(agent, life.session, life.token_digest, turn.me))
    return turn.effects()


@rule
def moved(message: AgentMoved, t: Arrived[AgentMoved, Terms, Roster]) -> Made:
    """State: where the agent is. Messages: files, a prompt, orders. Timers: as `Turn.effects`. Engines: none."""
    turn = _turn(t)
    watch.moved(turn, message)
    return turn.effects()


@rule
def learned(message: ProtocolChanged, t: Arrived[ProtocolChanged, Terms, Roster]) -> Made:
    """State: the text of the version. Messages: it, to agents that follow it. Timers, engines: none."""
    turn = _turn(t)
    protocols = turn.roster.protocols.set(message.digest, ProtocolText(message.name, message.version, message.source))
    used = {life.where.digest for life in turn.roster.lives.values() if life.where is not None} | {message.digest}
    for digest in list(protocols)[: max(0, len(protocols) - PROTOCOLS_KEPT)]:
        protocols = protocols if digest in used else protocols.without(digest)
    turn.roster = replace(turn.roster, protocols=protocols)
    for agent, life in turn.roster.lives.items():
        if life.where is not None and life.where.digest == message.digest:
            watch.write_state(turn, agent)
    return turn.effects()


@rule
def prompt(message: PromptWanted, t: Arrived[PromptWanted, Terms, Roster]) -> Made:
    """State: a prompt waits. Messages: it, if it can be given. Timers: as `Turn.effects`. Engines: none."""
    turn = _turn(t)
    _prompt(turn, message)
    return turn.effects()


def _prompt(turn: Turn, message: PromptWanted) -> None:
    if message.reason == "message" and turn.life(message.agent) is not None:
        turn.send(turn.terms.router, InboxAsked(message.agent, turn.me))
    want_prompt(turn, message.agent, message.reason, message.text)
    watch.after_change(turn, message.agent)


HEARD: Final[dict[type, Server]] = {AgentMoved: watch.moved, PromptWanted: _prompt}


@rule
def hear(every: Together, t: Arrived[Together, Terms, Roster]) -> Made:
    """State, messages, timers: as of each message by itself. Engines: none."""
    turn = _turn(t)
    for serve, one in served(every, HEARD):
        serve(turn, one)
    return turn.effects()


@rule
def measured(message: FactsChanged, t: Arrived[FactsChanged, Terms, Roster]) -> Made:
    """State: how full the context is. Messages: prompts, a rotation. Timers: as `Turn.effects`. Engines: none."""
    turn = _turn(t)
    life = turn.life(message.agent)
    if life is None:
        return turn.effects()
    facts = {each.name: each.value for each in message.facts}
    percent = facts.get("measure.context_percent", life.context.percent)
    count = facts.get("measure.compactions", life.context.compactions)
    if "measure.context_percent" in facts or "measure.compactions" in facts:
        number = float(percent) if isinstance(percent, int | float) else None
        is_intact = facts.get("measure.log_intact", life.context.is_log_intact) is not False
        rotation.measured(turn, message.agent, number, count if isinstance(count, int) else 0, is_intact)
        watch.after_change(turn, message.agent)
    return turn.effects()


@rule
def prepared(message: SessionPrepared, t: Arrived[SessionPrepared, Terms, Roster]) -> Made:
    """State: the digest of the token. Messages: it, to the bridge. Timers, engines: none."""
    turn = _turn(t)
    course.prepared(turn, message.agent, message.session, message.token_digest)
    return turn.effects()


@rule
def launched(message: SessionLaunched, t: Arrived[SessionLaunched, Terms, Roster]) -> Made:
    """State: the process runs. Messages: the first prompt. Timers: for its first request. Engines: none."""
    turn = _turn(t)
    course.launched(turn, message)
    return turn.effects()


@rule
def refused(message: SessionRefused, t: Arrived[SessionRefused, Terms, Roster]) -> Made:
    """State: in quarantine. Messages: that it is, to the validator. Timers, engines: none."""
    turn = _turn(t)
    course.refused(turn, message.agent, message.session, message.reason)
    return turn.effects()


@rule
def exited(message: AgentExited, t: Arrived[AgentExited, Terms, Roster]) -> Made:
    """State: as the policy says. Messages: the token is worth nothing; the exit is known. Timers: a pause. Engines:
    none."""
    turn = _turn(t)
    course.exited(turn, message)
    return turn.effects()


@rule
def give(message: PromptGiven, t: Arrived[PromptGiven, Terms, Roster]) -> Made:
    """State: the prompt is in the pipe. Messages: the next one, if it had its effect. Timers: as `Turn.effects`.
    Engines: none."""
    turn = _turn(t)
    watch.in_pipe(turn, message.agent, message.session, message.prompt)
    return turn.effects()


@rule
def read(message: WorkspaceRead, t: Arrived[WorkspaceRead, Terms, Roster]) -> Made:
    """State: a hand-over. Messages: the answer to who handed over; the session ends. Timers, engines: none."""
    turn = _turn(t)
    life = turn.of_session(message.agent, message.session)
    if life is None or life.open_handover is None or life.open_handover.request_id != message.request_id:
        return turn.effects()
    asked = life.open_handover
    turn.change(message.agent, open_handover=None)
    low, high = turn.terms.handover_bytes_min, turn.terms.handover_bytes_max
    problem = message.problem or rotation.check(life, message.text, low, high)
    if problem:
        hint = "write the file again, and repeat the command"
        _reply(turn, asked, failed(asked, Problem("validation", "handover_refused", problem, hints=(hint,))))
    else:
        digest = rotation.accept(turn, message.agent, message.path, message.text)
        _reply(turn, asked, succeeded(asked, {"file": message.path, "digest": digest}))
    return turn.effects()


@rule
def see_inbox(message: InboxShown, t: Arrived[InboxShown, Terms, Roster]) -> Made:
    """State: what is in the inbox. Messages: the order to read a hand-over that waited for this. Timers, engines:
    none."""
    turn = _turn(t)
    life = turn.life(message.agent)
    if life is not None:
        turn.change(message.agent, unread=message.unread, unanswered=message.unanswered)
        if life.open_handover is not None:
            requests.read_handover(turn, message.agent, life.session, life.open_handover)
    return turn.effects()


@rule
def know(message: LaunchersKnown, t: Arrived[LaunchersKnown, Terms, Roster]) -> Made:
    """State: sessions that are not there are looked at soon. Messages: orders and files that may be lost. Timers: as
    `Turn.effects`. Engines: none."""
    turn = _turn(t)
    runs = {(each.agent, each.session): each.given for each in message.running}
    for agent, life in turn.roster.lives.items():
        given = runs.get((agent, life.session))
        course.repeat_open(turn, agent, given is not None)
        if given is not None:
            watch.settle(turn, agent, life.session, given)
        watch.write_state(turn, agent)
    turn.happened("launchers.known", "", float(len(runs)))
    return turn.effects()


@rule
def count(message: LaunchersReport, t: Arrived[LaunchersReport, Terms, Roster]) -> Made:
    """State: output as a sign of life; a prompt is in the pipe. Messages: what is used; prompts. Timers: as
    `Turn.effects`. Engines: none."""
    turn = _turn(t)
    watch.report(turn, message)
    return turn.effects()


@rule
def lose(message: KeeperLost, t: Arrived[KeeperLost, Terms, Roster]) -> Made:
    """State: none. Messages: the alarm. Timers, engines: none."""
    turn = _turn(t)
    turn.happened("alarm.no_keeper", "", cause=message.reason)
    return turn.effects()


@rule(timer=WAKE)
def wake(_wake: Handle, t: Elapsed[Terms, Roster]) -> Made:
    """State, messages: as `watch.look`, for each life that is due. Timers: the next look. Engines: none."""
    turn = _turn(t)
    for agent, life in t.env.state.lives.items():
        if life.due_ns is not None and life.due_ns <= t.now_ns:
            watch.look(turn, agent)
    return turn.effects(is_woken=True)


ORCHESTRATOR = Family(
    "orchestrator",
    config=Terms,
    state=Roster(),
    accepts=Asked | Report,
    emits=Emitted,
    timers=[WAKE],
).rules(
    answer,
    enrolled,
    admitted,
    seen,
    resend,
    moved,
    learned,
    prompt,
    hear,
    measured,
    prepared,
    launched,
    refused,
    exited,
    give,
    read,
    see_inbox,
    know,
    count,
    lose,
    wake,
)
