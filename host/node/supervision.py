"""What to do when a process ends that should not have: the decision, apart from the deed.

The words are OTP's (`supervisor.erl`, `add_restart`): at most `intensity` restarts within `period`, then the supervisor
gives up and says so. Here each slot has its own budget, and between restarts lies a growing pause, which OTP lacks: a
process that dies in its start would otherwise burn its budget within milliseconds.

A `History` is replaced as a whole. Child specs (permanent, transient, temporary) become a further argument of `judge`;
groups (one_for_all, rest_for_one) map one verdict to several slots. Neither changes what is here.
"""

from __future__ import annotations

from typing import Final

import msgspec

SECOND: Final = 1_000_000_000


class Limits(msgspec.Struct, frozen=True):
    """Bounds of a slot's restarts, all in nanoseconds but `intensity`.

    With the defaults the tenth restart in a row lies about 50 s after the first, so that a fault that passes within a
    minute is survived and one that stays is given up within the period.
    """

    intensity: int = 10
    period_ns: int = 120 * SECOND
    pause_first_ns: int = SECOND // 10
    pause_ns_max: int = 30 * SECOND
    healthy_ns: int = 60 * SECOND


class History(msgspec.Struct, frozen=True):
    """When the process was started, when it was restarted before (oldest first), how many restarts in a row."""

    started_ns: int = 0
    restarts_ns: tuple[int, ...] = ()
    row: int = 0


class Ending(msgspec.Struct, frozen=True):
    """How a process ended: its exit code, or the signal that killed it."""

    code: int | None = None
    signal: int | None = None


class Restart(msgspec.Struct, frozen=True):
    """Start a new process after `pause_ns`."""

    pause_ns: int
    history: History


class GiveUp(msgspec.Struct, frozen=True):
    """Too many restarts within the period: the slot has failed and stays down."""

    reason: str
    history: History


def judge(history: History, limits: Limits, now_ns: int, chance: float) -> Restart | GiveUp:
    """The verdict on an ending at `now_ns`. `chance` in [0, 1) spreads the pauses of slots that died together."""
    recent = tuple(at for at in history.restarts_ns if now_ns - at < limits.period_ns)
    if len(recent) >= limits.intensity:
        reason = f"{len(recent)} restarts within {limits.period_ns // SECOND} s"
        return GiveUp(reason, msgspec.structs.replace(history, restarts_ns=recent))
    row = 0 if now_ns - history.started_ns >= limits.healthy_ns else history.row
    pause_ns = pause_before(row, limits, chance)
    return Restart(pause_ns, History(now_ns + pause_ns, (*recent, now_ns), row + 1))


def pause_before(row: int, limits: Limits, chance: float) -> int:
    """Nanoseconds before the restart that follows `row` others: none at first, then doubling, halved by chance."""
    if row == 0:
        return 0
    full = min(limits.pause_ns_max, limits.pause_first_ns << min(row - 1, 32))
    return full // 2 + int(full / 2 * chance)
