"""Watching lives: signs of life, what is due, and what the validator says about where an agent is."""

from __future__ import annotations

from msgspec.structs import replace

from engines.agents.messages import AgentMoved, Enter, Revoke
from engines.agents.orchestration.launching import EndSession, InterruptSession, LaunchersReport, SessionUse, WriteState

from . import course, rotation
from .prompting import (
    awaits_request,
    delivered,
    given,
    keep_flight,
    order_flight,
    overdue_prompt,
    try_prompt,
    want_prompt,
)
from .record import ENDING, LIVING, RUNNING, Life, Phase, Where
from .turn import Turn, text_of

MOVES_KEPT = 10


def seen(turn: Turn, agent: str, session: int, time_ns: int) -> None:
    """The agent has put a request: it lives, and has read its prompt."""
    life = turn.of_session(agent, session)
    if life is None or life.phase not in LIVING or life.phase == "stopping":
        return
    is_first = life.phase == "starting"
    turn.change(agent, seen_ns=turn.now_ns, quiet_since_ns=turn.now_ns)
    delivered(turn, agent, time_ns)
    phase = "direct" if life.is_taken else _phase_of(turn.roster.lives[agent], "ready" if is_first else "busy")
    turn.change(agent, phase=phase)
    if is_first:
        turn.happened("life.ready", agent)
        rotation.close(turn, agent)
        turn.show(agent)
    rotation.at_request(turn, agent)
    after_change(turn, agent)


def in_pipe(turn: Turn, agent: str, session: int, prompt: int) -> None:
    """Prompts up to this number are in the pipe of the session; what waited for that follows."""
    life = turn.of_session(agent, session)
    if life is None or life.flight is None:
        return
    given(turn, agent, prompt)
    life = turn.roster.lives[agent]
    if life.flight is None:
        if life.phase in ("ready", "busy"):
            turn.change(agent, phase=_phase_of(life, life.phase))
        after_change(turn, agent)


def settle(turn: Turn, agent: str, session: int, prompt: int) -> None:
    """The launchers say which prompt is the last in the pipe: what is not there is given again."""
    in_pipe(turn, agent, session, prompt)
    life = turn.of_session(agent, session)
    if life is None or life.phase == "stopping":
        return
    if life.flight is None:
        try_prompt(turn, agent)
    elif prompt < life.flight.giving and not life.flight.is_given:
        order_flight(turn, agent)


def _phase_of(life: Life, otherwise: Phase) -> Phase:
    return "waiting" if life.where is not None and "idle" in life.where.flags and life.flight is None else otherwise


def after_change(turn: Turn, agent: str) -> None:
    """What may follow any change of a running life: the next prompt, a rotation, and when to look again."""
    life = turn.life(agent)
    if life is None or life.phase not in RUNNING:
        return
    try_prompt(turn, agent)
    rotation.consider(turn, agent)
    life = turn.roster.lives[agent]
    if life.phase in RUNNING and life.phase != "stuck" and life.pid:
        turn.change(agent, due_ns=next_look_ns(turn, life))


def next_look_ns(turn: Turn, life: Life) -> int | None:
    """When a running life is to be looked at, if nothing happens before."""
    terms = turn.terms
    if life.phase == "direct":
        return None
    dues = [life.launched_ns + terms.session_age_ns] if life.rotation is None and not life.context.is_blocked else []
    if life.flight is not None and awaits_request(life):
        dues.append(life.flight.sent_ns + terms.prompt_ns)
    elif not _may_be_silent(life):
        dues.append(max(life.quiet_since_ns, life.seen_ns) + terms.silence_ns)
    if life.rotation is not None:
        dues.append(life.rotation.asked_ns + (terms.interrupt_ns if life.rotation.is_forced else terms.rotation_ns))
    return max(turn.now_ns + 1_000_000, min(dues)) if dues else None


def _may_be_silent(life: Life) -> bool:
    return life.is_paused or (life.where is not None and "idle" in life.where.flags)


def look(turn: Turn, agent: str) -> None:
    """Something of this life is due."""
    life = turn.roster.lives[agent]
    match life.phase:
        case "starting":
            _start_took_too_long(turn, agent)
        case "backoff" if life.is_taken:
            course.stopped(turn, agent, is_wanted=True, is_resumed=life.is_resumed)
        case "backoff":
            course.start(turn, agent)
        case "stopping":
            turn.order(EndSession(agent, life.session, 0))
            turn.change(agent, due_ns=turn.now_ns + course.STOP_EXTRA_NS)
        case "stuck":
            turn.happened("life.restart_of_stuck", agent)
            course.stop(turn, agent, "crash", turn.terms.grace_ns)
        case "ready" | "busy" | "waiting" | "direct" if not life.pid:
            _lost(turn, agent)
        case "ready" | "busy" | "waiting":
            _look_at_running(turn, agent)
        case _:
            turn.change(agent, due_ns=None)


def _start_took_too_long(turn: Turn, agent: str) -> None:
    life = turn.roster.lives[agent]
    turn.order(EndSession(agent, life.session, 0))
    turn.send(turn.terms.bridge, Revoke(agent, life.session))
    course.crashed(turn, agent, None, "start timeout", "no request in time after the start")


def _lost(turn: Turn, agent: str) -> None:
    turn.send(turn.terms.bridge, Revoke(agent, turn.roster.lives[agent].session))
    course.crashed(turn, agent, None, "lost", "its process is gone")


def _look_at_running(turn: Turn, agent: str) -> None:
    life = turn.roster.lives[agent]
    if overdue_prompt(turn, agent):
        turn.change(agent, phase="stuck", due_ns=turn.now_ns + turn.terms.prompt_ns)
        turn.happened("alarm.stuck", agent)
        turn.order(InterruptSession(agent, life.session))
        turn.show(agent)
        return
    if rotation.overdue(turn, agent):
        return
    quiet = max(life.quiet_since_ns, life.seen_ns) + turn.terms.silence_ns
    if not awaits_request(life) and not _may_be_silent(life) and turn.now_ns >= quiet:
        turn.happened("alarm.silent", agent)
        want_prompt(turn, agent, "alarm", "There was no sign of life for a while. Go on, or report where you are.")
    after_change(turn, agent)


def moved(turn: Turn, message: AgentMoved) -> None:
    """The validator says where the agent is now."""
    agent = message.agent
    life = turn.life(agent)
    if life is None or (life.where is not None and message.number <= life.where.number):
        return
    where = Where(
        message.state,
        message.protocol,
        message.version,
        message.digest,
        message.number,
        message.visit,
        message.flags,
        message.prompt,
    )
    if message.is_own and life.phase in RUNNING:
        delivered(turn, agent, turn.now_ns)  # the sign of this request may be lost with the bridge
    moves = (*life.moves, message.state)[-MOVES_KEPT:] if message.is_new_visit else life.moves
    turn.change(agent, where=where, moves=moves)
    write_state(turn, agent)
    for want in message.wants:
        _start_or_stop(turn, want)
    if message.state == "direct" or life.is_taken:
        _direct(turn, agent, message.state == "direct")
        return
    if not message.is_new_visit:
        return
    _entered(turn, message)


def _entered(turn: Turn, message: AgentMoved) -> None:
    """A running agent is in another state. It may be so before its first sign of life is here."""
    agent = message.agent
    life = turn.roster.lives[agent]
    if "final" in message.flags:
        course.stop(turn, agent, "finish", turn.terms.grace_ns)
        return
    if life.phase == "starting" and life.is_launched:
        want_prompt(turn, agent, "state", _came(message))
    if life.phase not in RUNNING:
        return
    turn.change(agent, phase=_phase_of(life, "busy" if life.phase != "stuck" else "stuck"))
    if "fresh" in message.flags or any(each.split()[0] == "rotate" for each in message.wants):
        rotation.ask(turn, agent, f"state {message.state}")
    want_prompt(turn, agent, "state", _came(message))
    after_change(turn, agent)


def _came(message: AgentMoved) -> str:
    return f"You are now in state '{message.state}'; you came from '{message.before}'."


def _start_or_stop(turn: Turn, want: str) -> None:
    """An effect of a move: `start` or `stop`, and a role or an agent."""
    verb, _, whom = want.partition(" ")
    for agent, life in turn.roster.lives.items():
        if whom not in (agent, life.role) or not whom:
            continue
        if verb == "start" and life.is_enrolled and life.phase in ("registered", "stopped"):
            course.start(turn, agent)
        elif verb == "start" and life.after == "stop":
            turn.change(agent, after="restart")
        elif verb == "stop" and life.phase in LIVING and life.after not in ENDING:
            course.stop(turn, agent, "stop", turn.terms.grace_ns)


def _direct(turn: Turn, agent: str, is_taken: bool) -> None:
    """A person takes over, or gives the agent back: then it ends, goes on, or is started if its process had ended."""
    life = turn.roster.lives[agent]
    if is_taken and life.phase in RUNNING:
        if life.flight is not None and not life.flight.is_given:
            keep_flight(turn, agent)
        turn.change(agent, phase="direct", flight=None, due_ns=None if life.pid else life.due_ns)
    elif not is_taken and life.where is not None and "final" in life.where.flags:
        course.stop(turn, agent, "finish", turn.terms.grace_ns)
    elif not is_taken and life.phase == "direct":
        turn.change(agent, phase=_phase_of(life, "busy"), quiet_since_ns=turn.now_ns)
        want_prompt(turn, agent, "state", "A person had taken over; you are on your own again.")
        after_change(turn, agent)
    elif not is_taken and life.phase == "stopped" and life.is_wanted and not life.is_quarantined:
        course.start(turn, agent)
    turn.show(agent)


def write_state(turn: Turn, agent: str) -> None:
    """Have the files in the workspace say where the agent is."""
    life = turn.roster.lives[agent]
    where = life.where
    if where is None:
        return
    fields: dict[str, str | int] = {"agent": agent, "role": life.role, "state": where.state, "protocol": where.protocol}
    fields |= {"version": where.version, "digest": where.digest, "visit": where.visit, "seq": where.number}
    lines = "".join(f"- {name}: {value}\n" for name, value in fields.items())
    files = {"state.json": text_of(fields) + "\n", "state.md": f"# Agent {agent}\n\n{lines}"}
    known = turn.roster.protocols.get(where.digest)
    if known is not None:
        files[f"{where.protocol}.md"] = known.source
    for name, text in files.items():
        turn.order(WriteState(agent, life.plan.user, life.plan.isolation, name, text))


def report(turn: Turn, message: LaunchersReport) -> None:
    """What sessions use, and which prompts they have: output is a sign of life. One that should not run is ended."""
    for each in message.sessions:
        life = turn.of_session(each.agent, each.session)
        if life is None or life.phase not in LIVING:
            turn.order(EndSession(each.agent, each.session, 0))
            continue
        _used(turn, each, life)
        settle(turn, each.agent, each.session, each.given)


def _used(turn: Turn, use: SessionUse, life: Life) -> None:
    turn.happened(
        "resource",
        use.agent,
        float(use.memory_bytes),
        source="launcher",
        memory_bytes=use.memory_bytes,
        cpu_ns=use.cpu_ns,
        processes=use.processes,
        output_bytes=use.output_bytes,
    )
    if use.output_bytes != life.output_bytes:
        turn.change(use.agent, output_bytes=use.output_bytes, quiet_since_ns=turn.now_ns)


def release_quarantine(turn: Turn, agent: str) -> None:
    """A person starts an agent that was in quarantine: its protocol state is the one before it again."""
    life = turn.roster.lives[agent]
    if life.phase == "quarantined" or life.is_quarantined:
        turn.send(turn.terms.validator, Enter(agent, "back", "started by a person"))
        turn.change(agent, crashes=(), attempt=0, is_resumed=False, context=replace(life.context, is_blocked=False))
