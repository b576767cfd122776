"""The course of a life: start, first request, exit, restart, stop. Each function changes one record in a turn.

The order of a start: the launchers prepare the session and mint its token; the bridge admits its digest; the launchers
start the process; the first prompt is given; the first request ends the start. Each step is an answer to the one
before, and each may be repeated. Crash points: whatever is lost between two engines, `LaunchersKnown`, `Resend` or the
timeout of the start lead on; a process that should not run is ended when its session is reported.
"""

from __future__ import annotations

from msgspec.structs import replace

from engines.agents.messages import Admit, Enter, Fact, FactsChanged, InboxAsked, Retire, Revoke
from engines.agents.orchestration.launching import (
    AgentExited,
    AgentPlan,
    EndSession,
    ForgetSession,
    LaunchSession,
    PrepareSession,
    SessionLaunched,
)
from engines.model import Map

from . import policy
from .moves import process_limits
from .prompting import first_prompt, keep_flight
from .record import LIVING, After, Context, Life
from .turn import Turn

STOP_EXTRA_NS = 10_000_000_000


def start(turn: Turn, agent: str) -> None:
    """Begin a new session. State, messages: of `PrepareSession`."""
    keep_flight(turn, agent)
    life = turn.roster.lives[agent]
    life = turn.change(
        agent,
        phase="starting",
        is_wanted=True,
        session=life.session + 1,
        pid=0,
        token_digest="",
        bus="",
        is_launched=False,
        launched_ns=0,
        after="",
        output_bytes=0,
        mechanisms=(),
        due_ns=turn.now_ns + turn.terms.start_ns,
    )
    if not life.is_resumed:
        context = Context(is_blocked=life.context.is_blocked)
        life = turn.change(agent, conversation=life.conversation + 1, context=context)
    turn.happened("life.starting", agent, conversation=life.conversation, resumed=life.is_resumed)
    turn.order(PrepareSession(agent, life.session, plan_of(turn, agent, life)))
    turn.send(turn.terms.router, InboxAsked(agent, turn.me))
    turn.show(agent)


def plan_of(turn: Turn, agent: str, life: Life) -> AgentPlan:
    """The plan of a session: that of the agent, what its process has to know, and the limits of its protocol."""
    words = {
        "AISM_CONVERSATION": f"{agent}-{life.conversation}",
        "AISM_RESUME": "1" if life.is_resumed else "",
        "AISM_ROLE": life.role,
    }
    known = dict(life.plan.environment.items())
    return AgentPlan(
        life.plan.command,
        life.plan.isolation,
        Map({**known, **words}),
        Map(limits_of(turn, life)),
        life.plan.user,
        life.plan.network,
    )


def limits_of(turn: Turn, life: Life) -> dict[str, int]:
    """The limits of the agent's process: its own, and those of its protocol where it has none of its own."""
    text = turn.roster.protocols.get(life.where.digest) if life.where is not None else None
    return {**(process_limits(text.source) if text is not None else {}), **dict(life.plan.limits.items())}


def prepared(turn: Turn, agent: str, session: int, digest: str) -> None:
    """The token is minted: have the bridge admit it."""
    life = turn.of_session(agent, session)
    if life is not None and life.phase == "starting" and not life.is_launched:
        turn.change(agent, token_digest=digest)
        turn.send(turn.terms.bridge, Admit(agent, session, digest, turn.me))


def admitted(turn: Turn, agent: str, session: int, bus: str) -> None:
    """The session can put requests: start its process."""
    life = turn.of_session(agent, session)
    if life is not None and life.phase == "starting" and not life.is_launched:
        life = turn.change(agent, bus=bus)
        turn.order(LaunchSession(agent, session, plan_of(turn, agent, life), bus))


def launched(turn: Turn, report: SessionLaunched) -> None:
    """The process runs: give it its first prompt."""
    life = turn.of_session(report.agent, report.session)
    if life is None or life.phase != "starting" or life.is_launched:
        return
    turn.change(
        report.agent,
        is_launched=True,
        launched_ns=turn.now_ns,
        pid=report.pid,
        mechanisms=report.mechanisms,
        quiet_since_ns=turn.now_ns,
        due_ns=turn.now_ns + turn.terms.start_ns,
    )
    how = {f"limit.{name}": text for name, text in report.mechanisms}
    turn.happened("life.started", report.agent, source="launcher", how=how, pid=report.pid, level=report.level)
    first_prompt(turn, report.agent)
    turn.show(report.agent)


def refused(turn: Turn, agent: str, session: int, reason: str) -> None:
    """The session cannot be had on this machine; another try would not change that."""
    life = turn.of_session(agent, session)
    if life is not None and life.phase == "starting":
        turn.send(turn.terms.bridge, Revoke(agent, session))
        quarantine(turn, agent, reason)


def exited(turn: Turn, report: AgentExited) -> None:
    """The process is gone. What comes then depends on whether somebody asked for it."""
    agent = report.agent
    turn.order(ForgetSession(agent, report.session))
    life = turn.of_session(agent, report.session)
    if life is None or life.phase not in LIVING:
        return
    turn.send(turn.terms.bridge, Revoke(agent, report.session))
    ended = _exit_text(report)
    how = {"status": report.status, "signal": report.signal, "reason": report.reason, "clear": report.is_clear}
    turn.happened("life.exited", agent, source="launcher", how=how)
    keep_flight(turn, agent)
    life = turn.change(agent, pid=0, last_exit=ended)
    if life.phase == "stopping" and life.after not in ("", "crash"):
        _after_stop(turn, agent, life.after)
    else:
        crashed(turn, agent, report.status, "stuck" if life.after == "crash" else report.reason, ended)


def _exit_text(report: AgentExited) -> str:
    """The reason, and the signal or status if one is known: not after a refusal, nor when the launcher was killed."""
    if report.reason.startswith("refused") or (not report.signal and report.status is None):
        return report.reason
    return f"{report.reason}, " + (f"signal {report.signal}" if report.signal else f"status {report.status}")


def crashed(turn: Turn, agent: str, status: int | None, reason: str, text: str) -> None:
    """A process is gone that should run: start it again after a pause, or not at all."""
    life = turn.roster.lives[agent]
    terms, now = turn.terms, turn.now_ns
    is_stable = life.launched_ns > 0 and now - life.launched_ns >= terms.stable_ns
    crashes = () if is_stable else policy.crashes_within(terms, life.crashes, now)
    decided = policy.verdict(terms, life, len(crashes), status, reason)
    if decided == "finished" or life.is_taken:
        turn.happened("life.finished", agent, cause=text)
        is_wanted = decided != "finished"
        stopped(turn, agent, is_wanted=is_wanted, is_resumed=is_wanted and policy.may_resume(life))
        return
    if decided == "quarantined":
        quarantine(turn, agent, text)
        return
    attempt = 1 if is_stable else life.attempt + 1
    pause = policy.backoff_ns(terms, agent, attempt)
    resumes = policy.may_resume(life)
    turn.change(
        agent,
        phase="backoff",
        crashes=(*crashes, now),
        attempt=attempt,
        restarts=life.restarts + 1,
        last_exit=text,
        is_resumed=resumes,
        due_ns=now + pause,
        after="",
    )
    turn.happened("life.crashed", agent, cause=text, attempt=attempt, pause_ms=pause // 1_000_000, resumes=resumes)
    turn.send(turn.terms.validator, FactsChanged(agent, (Fact("agent.restarts", life.restarts + 1),)))
    turn.show(agent)


def quarantine(turn: Turn, agent: str, reason: str) -> None:
    """Do not start the agent again, until a person does."""
    turn.change(agent, phase="quarantined", is_wanted=False, due_ns=None, after="", last_exit=reason)
    turn.happened("life.quarantined", agent, cause=reason)
    turn.send(turn.terms.validator, Enter(agent, "quarantined", reason))
    turn.show(agent)


def stop(turn: Turn, agent: str, after: After, grace_ns: int) -> None:
    """End the process; `after` says what comes then."""
    life = turn.roster.lives[agent]
    if life.phase not in LIVING:
        _after_stop(turn, agent, after)
        return
    turn.change(agent, phase="stopping", after=after, due_ns=turn.now_ns + grace_ns + STOP_EXTRA_NS)
    turn.happened("life.stopping", agent, then=after)
    turn.order(EndSession(agent, life.session, grace_ns))
    turn.show(agent)


def _after_stop(turn: Turn, agent: str, after: After) -> None:
    if after == "remove":
        _forget(turn, agent)
    elif after in ("restart", "rotate"):
        turn.change(agent, is_resumed=False, attempt=0)
        start(turn, agent)
    else:
        stopped(turn, agent)


def stopped(turn: Turn, agent: str, *, is_wanted: bool = False, is_resumed: bool = False) -> None:
    """No process runs. One is wanted only if a person has taken over: it is started when the agent is given back."""
    turn.change(agent, phase="stopped", is_wanted=is_wanted, due_ns=None, after="", attempt=0, is_resumed=is_resumed)
    turn.happened("life.stopped", agent)
    turn.show(agent)


def _forget(turn: Turn, agent: str) -> None:
    turn.happened("life.removed", agent)
    turn.send(turn.terms.validator, Retire(agent))
    turn.send(turn.terms.router, Retire(agent))
    roster = turn.roster
    turn.roster = replace(roster, lives=roster.lives.without(agent), answers=roster.answers.without(agent))


def repeat_open(turn: Turn, agent: str, runs: bool) -> None:
    """The launchers are there again: repeat what they may have missed. `runs`: the agent's session runs there."""
    life = turn.roster.lives[agent]
    if life.phase not in LIVING:
        return
    if life.phase == "stopping" and runs:
        turn.order(EndSession(agent, life.session, 0))
    elif life.phase == "starting" and not life.is_launched:
        if life.bus:
            turn.order(LaunchSession(agent, life.session, plan_of(turn, agent, life), life.bus))
        elif not life.token_digest:
            turn.order(PrepareSession(agent, life.session, plan_of(turn, agent, life)))
    elif not runs:
        turn.change(agent, due_ns=turn.now_ns + turn.terms.lost_ns, pid=0)
