"""Probation: after a reload the new version is watched, and the node goes back to the version before by itself.

It begins at the cut, if the reload asked for it. What the version before needs was prepared by then: its code is kept
(`host.live.journal.versions`), and the reload found out whether states can be handed back (*way back*).

| stage      | the slot runs                 | ends with                                                      |
|------------|-------------------------------|----------------------------------------------------------------|
| watching   | new                           | `passed`: its time or its triggers; a fault                    |
| restarting | new, which only reads its log | `ready`: it has the state, and stands still                    |
| returning  | new; candidate: before        | the verdict of the reload back: `returned`, or `refused`       |

A *fault* is a process that ended (a crash, or a hang that the watchdog ended), a trigger that failed (an action raised,
an invariant does not hold), or a transition beyond its bound. Without a way back a fault is an alarm and nothing more;
that was shown before the cut as forward only.

The state: after a trigger that failed or was slow, the new process hands over, as in any reload. After the end of a
process, a volatile engine has lost its state whatever runs next, so the next process runs the version before. A
journaled one has it in the log, where only the new version can run the turns since the cut. So the next process is a
new one that is *held*: it reads the log, takes no trigger, and hands over. The trigger that failed has been dealt with
as always: quarantine, dead letter, or once more, by the version before.

An end that supervision asks for is no fault, nor is one after which nothing follows: a group takes the process away and
starts another one (`recalled`), and a probation that is on its way back goes on from there as after a death.

Crash points. A held process that dies is followed by another; supervision's bounds apply. A death in `returning` leads
to `restarting`; the reload that it ends has no verdict of its own. The candidate's death is a refusal, as whatever else
keeps it from taking over, and may not happen again: the way back is tried `TRIES_MAX` times. The supervisor's death
ends the probation: the next life runs the sources as they are then. Commands are performed in
`host.live.supervisor.probation`.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

Stage = Literal["watching", "restarting", "returning", "over"]
ProbationCommand = Literal[
    "pass",  # the version is in force without conditions
    "alarm",  # report the fault; the new version stays
    "begin_before",  # the slot's next process runs the version before
    "hold",  # the slot's next process is held
    "go_back",  # reload to the version before
    "release",  # a held process may go on
    "report",  # it went back
]

TRIES_MAX: Final = 3
"""Reloads back in a row that may be refused. A process that was killed is followed by a better one; a state that the
version before cannot have is refused each time."""


class ProbationFault(msgspec.Struct, frozen=True):
    """What went wrong; `ended`: with the process."""

    reason: str
    ended: bool = False


ProbationHappening = (
    ProbationFault
    | Literal[
        "passed",  # the time is up, or the triggers are handled
        "ready",  # the slot's process has its engines
        "returned",  # the reload back switched
        "refused",  # it did not
        "recalled",  # the slot's group took its process away, and starts another one
        "dropped",  # the slot gets no further process
    ]
)


class ProbationState(msgspec.Struct, frozen=True):
    """Where a probation stands. `fault` is the first one, `refused` counts reloads back."""

    stage: Stage = "watching"
    forward_only: str = ""
    is_journaled: bool = False
    fault: str = ""
    refused: int = 0


class ProbationStep(msgspec.Struct, frozen=True):
    """What follows: the state from now on, and the commands in order."""

    plan: ProbationState
    commands: tuple[ProbationCommand, ...] = ()


def advance(plan: ProbationState, happening: ProbationHappening) -> ProbationStep:
    """The step that `happening` leads to. One that does not belong to the stage changes nothing."""
    match plan.stage, happening:
        case "watching", "passed":
            return _end(plan, "pass")
        case "watching", ProbationFault(reason) if plan.forward_only:
            return _end(replace(plan, fault=reason), "alarm")
        case "watching", ProbationFault(reason, ended=False):
            return ProbationStep(replace(plan, stage="returning", fault=reason), ("go_back",))
        case "watching", ProbationFault(reason) if not plan.is_journaled:
            return _end(replace(plan, fault=reason), "begin_before", "report")
        case "watching", ProbationFault(reason):
            return ProbationStep(replace(plan, stage="restarting", fault=reason), ("hold",))
        case "returning", ProbationFault(ended=True) | "recalled" if not plan.is_journaled:
            return _end(plan, "begin_before", "report")
        case "restarting" | "returning", ProbationFault(ended=True) | "recalled":
            return ProbationStep(replace(plan, stage="restarting"), ("hold",))
        case "restarting", "ready":
            return ProbationStep(replace(plan, stage="returning"), ("go_back",))
        case "returning", "returned":
            return _end(plan, "report")
        case "returning", "refused" if plan.refused + 1 < TRIES_MAX:
            return ProbationStep(replace(plan, refused=plan.refused + 1), ("go_back",))
        case "returning", "refused":
            return _end(plan, "release", "alarm")
        case "watching" | "restarting" | "returning", "dropped":
            return _end(plan)
    return ProbationStep(plan)


def _end(plan: ProbationState, *commands: ProbationCommand) -> ProbationStep:
    return ProbationStep(replace(plan, stage="over"), commands)
