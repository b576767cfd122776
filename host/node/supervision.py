"""What follows when a process ends that should not have: the decision, apart from performing it.

The words are OTP's (`supervisor.erl`, `add_restart`): after more than `intensity` restarts within `period` the
supervisor gives up and reports it. Restarts are counted for a group of the node file, as a supervisor of OTP counts
them, or for a process in no group. Two things are not in OTP. Between restarts lies a growing pause, because a process
that dies in its start would otherwise burn its budget within milliseconds. And all restarts of a node are counted once
more, together.

With the default limits the tenth restart in a row lies about 50 s after the first. So a fault that passes within a
minute is survived, and one that stays is given up within the period.

A `History` and a `Budget` are replaced as a whole. `strategies` decides which processes are restarted together,
`endings` whether an end asks for a restart at all.
"""

from __future__ import annotations

import msgspec

from host.config.spec import SECOND, SupervisionSpec

_DEFAULTS = SupervisionSpec()


class History(msgspec.Struct, frozen=True):
    """When the process was started, when it was restarted before (oldest first), and how often in a row."""

    started_ns: int = 0
    restarts_ns: tuple[int, ...] = ()
    row: int = 0


class Budget(msgspec.Struct, frozen=True):
    """The restarts of a whole node: at most `restarts_max` (None: no bound) within `period_ns`, and those so far."""

    restarts_max: int | None = _DEFAULTS.budget
    period_ns: int = _DEFAULTS.period_ns
    restarts_ns: tuple[int, ...] = ()


class Ending(msgspec.Struct, frozen=True):
    """How a process ended: its exit code, or the signal that killed it; neither when that is not known."""

    code: int | None = None
    signal: int | None = None


class Restart(msgspec.Struct, frozen=True):
    """Start a new process after `pause_ns`."""

    pause_ns: int
    history: History
    budget: Budget


class GiveUp(msgspec.Struct, frozen=True):
    """Too many restarts within the period: no new process comes by itself."""

    reason: str
    history: History


def judge(history: History, limits: SupervisionSpec, budget: Budget, now_ns: int, chance: float) -> Restart | GiveUp:
    """The verdict on an ending at `now_ns`. `chance` in [0, 1) spreads the pauses of processes that died together."""
    own = spend(history.restarts_ns, limits.intensity, limits.period_ns, now_ns)
    if own is None:
        return GiveUp(f"{limits.intensity} restarts within {limits.period_ns / SECOND:g} s", history)
    all_of_node = spend(budget.restarts_ns, budget.restarts_max, budget.period_ns, now_ns)
    if all_of_node is None:
        reason = f"{budget.restarts_max} restarts of the whole node within {budget.period_ns / SECOND:g} s"
        return GiveUp(reason, history)
    row = 0 if now_ns - history.started_ns >= limits.healthy_ns else history.row
    pause_ns = pause_before(row, limits, chance)
    spent = msgspec.structs.replace(budget, restarts_ns=all_of_node)
    return Restart(pause_ns, History(now_ns + pause_ns, own, row + 1), spent)


def spend(restarts_ns: tuple[int, ...], intensity: int | None, period_ns: int, now_ns: int) -> tuple[int, ...] | None:
    """The restarts that count from now on, this one included; None when it is one too many. No bound: none counts."""
    if intensity is None:
        return ()
    recent = tuple(at for at in restarts_ns if now_ns - at <= period_ns)
    return (*recent, now_ns) if len(recent) < intensity else None


def pause_before(row: int, limits: SupervisionSpec, chance: float) -> int:
    """Nanoseconds before the restart that follows `row` others: none at first, then a doubling bound times `chance`."""
    if row == 0:
        return 0
    full = min(limits.backoff_max_ns, limits.backoff_ns << min(row - 1, 32))
    return int(full * chance)
