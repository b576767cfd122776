"""Rotation: an agent's session is replaced by a new one, which begins with what the old one handed over.

1. It is asked for: the intent is in the record, and a prompt tells the agent to write a hand-over file.
2. The agent hands over (`session.handover`): the file is read, checked, and its digest kept; the session is ended.
3. Or it does not in time or within three more prompts, or its context is too full: at its next request, or after an
   interrupt, the engine writes what it knows, and ends the session.
4. The new session's first prompt names the file. Its first request closes the intent.

State and inbox of the agent are not touched.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from engines.agents.orchestration.launching import InterruptSession, WriteState

from . import policy
from .course import stop
from .moves import is_guarded_by_context
from .prompting import want_prompt
from .prompts import mechanical_handover
from .record import RUNNING, Context, Handover, Life, Rotation
from .turn import Turn

MECHANICAL = "handover.md"
ASK = (
    "Write handover.md into your workspace: goal, what is done, what is next, open questions, files, and the ids of "
    "messages not yet answered. Then run `aism session handover --file handover.md`."
)


def ask(turn: Turn, agent: str, reason: str) -> None:
    """Have the agent hand over, if it does not already."""
    life = turn.roster.lives[agent]
    if life.rotation is None and life.phase in RUNNING and life.phase != "direct":
        turn.change(agent, rotation=Rotation(turn.now_ns, reason))
        turn.happened("session.rotation_asked", agent, cause=reason)
        want_prompt(turn, agent, "handover", ASK)


def consider(turn: Turn, agent: str) -> None:
    """Ask for a rotation, or force one, if the policy says so."""
    life = turn.roster.lives[agent]
    if life.phase not in RUNNING:
        return
    wish = policy.rotation_wish(turn.terms, life, turn.now_ns)
    if wish == "ask":
        ask(turn, agent, _cause(life))
    elif wish == "force" and (life.rotation is None or not life.rotation.is_forced):
        asked = life.rotation or Rotation(turn.now_ns, _cause(life))
        turn.change(agent, rotation=replace(asked, is_forced=True, asked_ns=turn.now_ns))
        turn.happened("session.rotation_forced", agent, cause=asked.reason)


def _cause(life: Life) -> str:
    if life.context.percent is not None and life.context.percent >= 1:
        return f"context at {life.context.percent:.0f} %"
    return "age of the session"


def at_request(turn: Turn, agent: str) -> None:
    """The agent has put a request: a turn has ended, and a new session has begun if one was on its way."""
    life = turn.roster.lives[agent]
    rotation = life.rotation
    if rotation is None or life.phase not in RUNNING:
        return
    if rotation.is_forced:
        end_without(turn, agent)


def overdue(turn: Turn, agent: str) -> bool:
    """A forced rotation found no end of a turn: interrupt, and end the session. Returns whether it did."""
    life = turn.roster.lives[agent]
    rotation = life.rotation
    if rotation is None or not rotation.is_forced or turn.now_ns - rotation.asked_ns < turn.terms.interrupt_ns:
        return False
    turn.order(InterruptSession(agent, life.session))
    end_without(turn, agent)
    return True


def end_without(turn: Turn, agent: str) -> None:
    """End a session that has not handed over; the engine writes what it knows."""
    life = turn.roster.lives[agent]
    text = mechanical_handover(agent, life)
    turn.order(WriteState(agent, life.plan.user, life.plan.isolation, MECHANICAL, text))
    digest = sha256(text.encode()).hexdigest()
    turn.change(agent, handover=Handover(f".aism/{MECHANICAL}", digest, life.session, is_mechanical=True))
    turn.happened("session.handed_over", agent, digest=digest, mechanical=True)
    stop(turn, agent, "rotate", turn.terms.grace_ns)


def check(life: Life, text: str, low: int, high: int) -> str:
    """What is wrong with a hand-over file, or ""."""
    size = len(text.encode())
    if not low <= size <= high:
        return f"the file has {size} bytes; {low} to {high} are asked for"
    missing = [each for each in life.unanswered if each not in text]
    return f"the file does not mention messages not yet answered: {', '.join(missing)}" if missing else ""


def accept(turn: Turn, agent: str, path: str, text: str) -> str:
    """A hand-over file is good. Ends the session if its rotation was asked for: a session that starts was not asked, as
    the intent is still that of the one before it. Returns the digest."""
    life = turn.roster.lives[agent]
    digest = sha256(text.encode()).hexdigest()
    turn.change(agent, handover=Handover(path, digest, life.session))
    turn.happened("session.handed_over", agent, digest=digest, mechanical=False)
    if life.rotation is not None and life.phase != "starting":
        stop(turn, agent, "rotate", turn.terms.grace_ns)
    return digest


def close(turn: Turn, agent: str) -> None:
    """The first request of a new session: the rotation is done."""
    life = turn.roster.lives[agent]
    if life.rotation is not None:
        turn.happened("session.rotated", agent, cause=life.rotation.reason, conversation=life.conversation)
        turn.change(agent, rotation=None)


def measured(turn: Turn, agent: str, percent: float | None, compactions: int, is_log_intact: bool) -> None:
    """The context of the session was measured."""
    life = turn.roster.lives[agent]
    terms, before = turn.terms, life.context
    is_first = before.percent is None and percent is not None
    after = Context(percent, compactions, is_log_intact, before.is_noted, before.is_blocked)
    full = percent is not None and percent >= terms.context_soft
    if (
        full
        and is_first
        and life.session > 1
        and life.handover is not None
        and life.handover.session == life.session - 1
    ):
        after = replace(after, is_blocked=True)
        turn.happened("alarm.rotation_is_no_use", agent, percent)
    elif not full:
        after = replace(after, is_blocked=False, is_noted=False)
    turn.change(agent, context=after)
    if full and not after.is_noted:
        _note(turn, agent, percent or 0.0)
    consider(turn, agent)


def _note(turn: Turn, agent: str, percent: float) -> None:
    """Tell the agent, once, if a move of its state waits for this."""
    life = turn.change(agent, context=replace(turn.roster.lives[agent].context, is_noted=True))
    known = turn.roster.protocols.get(life.where.digest) if life.where is not None else None
    if known is not None and life.where is not None and is_guarded_by_context(known.source, life.where.state):
        want_prompt(
            turn, agent, "alarm", f"Your context is {percent:.0f} % used; a move that waited for it may be open."
        )
