"""When to start an agent again, and when to give it a new session: pure functions, without any state of their own.

Pauses before restarts double from `backoff_ns` to `backoff_max_ns`. Their jitter is a function of the agent and the
attempt, so that agents that crashed together do not start together, and a replay gets the same times.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal, TypeAlias

from .record import Life
from .terms import Terms

PERMANENT: Final = frozenset((*range(64, 79), 125, 126, 127))
"""Exit statuses that another try does not change: of sysexits.h, of shells and of containers."""

JITTER: Final = 0.1
RESUME_PERCENT_MAX: Final = 60.0
COMPACTIONS_MAX: Final = 2
TURNS_MAX: Final = 3

Verdict: TypeAlias = Literal["finished", "quarantined", "again"]
Wish: TypeAlias = Literal["", "ask", "force"]


def backoff_ns(terms: Terms, agent: str, attempt: int) -> int:
    """The pause before this attempt, the first being 1, within `JITTER` of its schedule."""
    pause = min(terms.backoff_max_ns, terms.backoff_ns << min(attempt - 1, 40))
    share = int.from_bytes(blake2b(f"{agent} {attempt}".encode(), digest_size=4).digest(), "big") / 0xFFFFFFFF
    return int(pause * (1 - JITTER + 2 * JITTER * share))


def crashes_within(terms: Terms, crashes: tuple[int, ...], now_ns: int) -> tuple[int, ...]:
    """Those of the crashes that the budget still counts."""
    return tuple(each for each in crashes if each > now_ns - terms.budget_ns)


def verdict(terms: Terms, life: Life, crashes: int, status: int | None, reason: str) -> Verdict:
    """What comes after an exit that nobody asked for, when `crashes` before it count."""
    if life.where is not None and "final" in life.where.flags and status == 0:
        return "finished"
    if reason.startswith("refused") or status in PERMANENT:
        return "quarantined"
    if crashes + 1 > terms.budget:
        return "quarantined"
    return "again"


def may_resume(life: Life) -> bool:
    """Whether the session after a crash continues the conversation, or begins a new one.

    It begins a new one if the context is full, the log is not readable, or resuming failed before.
    """
    percent = life.context.percent
    failed = life.is_resumed and life.phase == "starting"
    return life.context.is_log_intact and not failed and (percent is None or percent < RESUME_PERCENT_MAX)


def rotation_wish(terms: Terms, life: Life, now_ns: int) -> Wish:
    """Whether the session is to be replaced: not, when the agent is ready for it, or whether it is or not."""
    if life.is_taken or life.context.is_blocked:
        return ""
    percent = life.context.percent or 0.0
    if percent >= terms.context_force or _is_over(terms, life, now_ns):
        return "force"
    is_old = life.launched_ns > 0 and now_ns - life.launched_ns >= terms.session_age_ns
    if percent >= terms.context_ask or is_old or life.context.compactions >= COMPACTIONS_MAX:
        return "ask"
    return ""


def _is_over(terms: Terms, life: Life, now_ns: int) -> bool:
    """Whether a rotation was asked for, and the grace is over."""
    asked = life.rotation
    return asked is not None and (now_ns - asked.asked_ns >= terms.rotation_ns or asked.turns > TURNS_MAX)
