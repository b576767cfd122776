"""Replacing the process of a slot: what each happening leads to, apart from performing it.

Two processes take part: `old`, which owns the slot, and `new`, the candidate with the other code. Exactly one of them
may touch the lanes, so the slot passes from one to the other over the death of the first:

| stage     | runs | holds the state | then                                                |
|-----------|------|-----------------|-----------------------------------------------------|
| importing | old  | old             | new reports its families; interfaces are compared   |
| freezing  | old  | old             | old stops at a boundary and reports it              |
| dumping   | none | old             | old hands out a snapshot                            |
| adopting  | none | old, snapshot   | new migrates and loads                              |
| retiring  | none | new             | old exits; the new version is in force from here    |
| going     | new  | new             | new has the slot and reports it                     |

Crash points. Up to `dumping` the death of old is an ordinary crash, and the candidate is killed. In `adopting` the
snapshot outlives old, so new carries on; only if it fails too does the slot start again from the initial state. Up to
`adopting` the death, failure or lateness of new is a refusal, and old thaws as if nothing had happened. In `retiring`
old was asked to exit and cannot be asked back: if new dies, the slot starts again with the new version once old is
gone. A process that is late in exiting is killed. The supervisor's own death ends both.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Stage = Literal["importing", "freezing", "dumping", "adopting", "retiring", "going", "over"]
Command = Literal["freeze", "thaw", "adopt", "retire", "kill_old", "go", "kill_new", "restart", "restart_with_new"]
Verdict = Literal["switched", "refused", "crashed"]


class Checked(msgspec.Struct, frozen=True):
    """The candidate imported everything; `problems` are the incompatibilities of its interfaces."""

    problems: tuple[str, ...] = ()


class Halted(msgspec.Struct, frozen=True):
    """Old stopped at a boundary and begins its snapshot."""


class SnapshotTaken(msgspec.Struct, frozen=True):
    """The supervisor has old's snapshot."""


class Loaded(msgspec.Struct, frozen=True):
    """New has migrated and loaded the snapshot."""


class Went(msgspec.Struct, frozen=True):
    """New owns the slot and runs."""


class NewFailed(msgspec.Struct, frozen=True):
    """New reported why it cannot go on, or ended."""

    reason: str
    ended: bool = False


class OldEnded(msgspec.Struct, frozen=True):
    """Old's pidfd is readable: old can no longer touch the slot."""


class Late(msgspec.Struct, frozen=True):
    """The deadline of the stage has passed."""


Happening = Checked | Halted | SnapshotTaken | Loaded | Went | NewFailed | OldEnded | Late


class ReloadState(msgspec.Struct, frozen=True):
    """Where a reload stands."""

    stage: Stage = "importing"
    old_gone: bool = False
    new_gone: bool = False


class Step(msgspec.Struct, frozen=True):
    """What follows: the plan from now on, the commands in order, and the verdict if the reload has ended."""

    plan: ReloadState
    commands: tuple[Command, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""


OVER: Final = ReloadState("over")


def advance(plan: ReloadState, happening: Happening) -> Step:
    """The step that `happening` leads to. One that does not belong to the stage (a late answer) changes nothing."""
    match plan.stage:
        case "importing":
            return _while_importing(plan, happening)
        case "freezing":
            return _while_freezing(plan, happening)
        case "dumping":
            return _while_dumping(plan, happening)
        case "adopting":
            return _while_adopting(plan, happening)
        case "retiring":
            return _while_retiring(plan, happening)
        case "going":
            return _while_going(plan, happening)
        case "over":
            return Step(plan)


def candidate_ended(stage: Stage, at: str, code: int | None, signal: str) -> str:
    """Why the new process cannot go on, having ended by itself in `stage`; `at` is the family or engine it was at."""
    how = f"was killed by {signal}" if signal else "ended" if code is None else f"exited with code {code}"
    match stage:
        case "importing":
            where = f"while importing {at}" if at else "before it imported anything"
        case "adopting":
            where = f"while migrating engine {at}" if at else "before it migrated anything"
        case "freezing" | "dumping":
            where = "while it waited for the state"
        case _:
            where = "before it ran"
    return f"the new process {how} {where}"


def _while_importing(plan: ReloadState, happening: Happening) -> Step:
    match happening:
        case Checked(()):
            return Step(ReloadState("freezing"), ("freeze",))
        case Checked(problems):
            return _refuse("; ".join(problems), "kill_new")
        case NewFailed(reason):
            return _refuse(reason, "kill_new")
        case Late():
            return _refuse("the new code was not imported in time", "kill_new")
        case OldEnded():
            return _crash("the old process ended", "kill_new", "restart")
        case _:
            return Step(plan)


def _while_freezing(plan: ReloadState, happening: Happening) -> Step:
    match happening:
        case Halted():
            return Step(ReloadState("dumping"))
        case NewFailed(reason):
            return _refuse(reason, "kill_new", "thaw")
        case Late():
            return _refuse("the engine did not reach a boundary in time", "kill_new", "thaw")
        case OldEnded():
            return _crash("the old process ended", "kill_new", "restart")
        case _:
            return Step(plan)


def _while_dumping(plan: ReloadState, happening: Happening) -> Step:
    match happening:
        case SnapshotTaken():
            return Step(ReloadState("adopting"), ("adopt",))
        case NewFailed(reason):
            return _refuse(reason, "kill_new", "thaw")
        case Late():
            return _refuse("the state was not handed out in time", "kill_new", "thaw")
        case OldEnded():
            return _crash("the old process ended", "kill_new", "restart")
        case _:
            return Step(plan)


def _while_adopting(plan: ReloadState, happening: Happening) -> Step:
    match happening:
        case Loaded() if plan.old_gone:
            return Step(ReloadState("going", old_gone=True), ("go",))
        case Loaded():
            return Step(ReloadState("retiring"), ("retire",))
        case OldEnded():
            return Step(ReloadState("adopting", old_gone=True))
        case NewFailed() | Late():
            reason = happening.reason if isinstance(happening, NewFailed) else "the state was not migrated in time"
            if plan.old_gone:
                return _crash(reason, "kill_new", "restart")
            return _refuse(reason, "kill_new", "thaw")
        case _:
            return Step(plan)


def _while_retiring(plan: ReloadState, happening: Happening) -> Step:
    match happening:
        case OldEnded() if plan.new_gone:
            return _crash("the new process ended before it had the slot", "restart_with_new")
        case OldEnded():
            return Step(ReloadState("going", old_gone=True), ("go",))
        case NewFailed():
            return Step(ReloadState("retiring", new_gone=True), ("kill_new",))
        case Late():
            return Step(plan, ("kill_old",))
        case _:
            return Step(plan)


def _while_going(plan: ReloadState, happening: Happening) -> Step:
    match happening:
        case Went():
            return Step(OVER, (), "switched")
        case NewFailed(reason, ended):
            return _crash(reason, "restart_with_new") if ended else Step(plan, ("kill_new",))
        case Late():
            return Step(plan, ("kill_new",))
        case _:
            return Step(plan)


def _refuse(reason: str, *commands: Command) -> Step:
    return Step(OVER, commands, "refused", reason)


def _crash(reason: str, *commands: Command) -> Step:
    return Step(OVER, commands, "crashed", reason)
