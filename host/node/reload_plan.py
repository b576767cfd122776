"""Replacing the process of a slot: what each happening leads to, apart from performing it.

Two processes take part: `old`, which owns the slot, and `new`, the candidate with the other code. Exactly one of them
may touch the lanes, so the slot passes from one to the other when the first has closed them and its log, and says so
as the last thing it does (*left*), or when it is dead. It takes long to exit with a large memory.

| stage     | runs | holds the state | then                                                |
|-----------|------|-----------------|-----------------------------------------------------|
| importing | old  | old             | new reports its families; interfaces are compared   |
| recalling | old  | old             | old hands out the last triggers in its log          |
| rehearsing| old  | old             | new runs these triggers, and compares the results   |
| following | old  | old             | new reads old's log, or its triggers, until level   |
| priming   | old  | old             | new maps the lanes, and makes all but the log ready |
| passing   | old, | old, then new   | old stops at a boundary and passes the slot to new, |
|           | new  |                 | which has it once it has taken the token            |
| staged    | old  | old             | joint: every member has come so far                 |
| freezing  | old  | old             | old stops at a boundary and reports it              |
| dumping   | none | old             | old hands out a snapshot                            |
| adopting  | none | old, snapshot   | new migrates and loads                              |
| prepared  | none | old, new        | joint: every member's new process has its state     |
| retiring  | none | new             | old lets go of the slot; new is in force from here  |
| going     | new  | new             | new has the slot and reports it                     |

Nothing stands still before `freezing`. `recalling` and `rehearsing` are left out if no engine whose triggers are kept
gets other code. If the rehearsal found that migration and transitions *commute*, new follows: it makes the engines with
its own code, from the log or, if they are volatile, from the triggers that old goes on to write for it
(`trigger_tail`), and the snapshot has only what new cannot make; otherwise `following` is left out. A *trial* does
everything but the cut: once new has loaded, it is killed, and old thaws.

Where new follows a log that has all engines, nothing has to go by the supervisor: `passing` is all of the cut. Old
stops, lets go of the log, touches the lanes no more, and sends new the place where the log ends. New runs the last
turns; if they are as they were, it takes the *token*, opens the log, and runs. The token is one count of an eventfd
that the supervisor and new share: the first to read it has it. So the supervisor can take the slot back (*withdraw*)
at any moment, and learns whether that came too late (*taken*): before, old thaws and nothing has happened; after, new
is in force, dead or not. In a trial, in a joint reload, in which others decide, and where new cannot be primed, the
slot goes the long way from `freezing` on.

A *joint* reload is that of one of several slots that switch together (`host.node.joint_plan`). It waits for the others
in `staged` and `prepared`. Until it is decided, the end of old ends it too, as in a trial: others may still be refused.

Crash points. Up to `dumping` the death of old is an ordinary crash, and the candidate is killed. In `adopting` the
snapshot outlives old, so new carries on; only if it fails too does the slot start again from the initial state. Up to
`adopting` the death, failure or lateness of new is a refusal, and old thaws as if nothing had happened; in a trial the
death of old is an ordinary crash there too. In `retiring` old was asked to exit and cannot be asked back: if new dies,
the slot starts again with the new version once old is gone. A process that is late in exiting is killed. In `passing`
the death of old is new's matter alone: either it knows where the log ends, and goes on, or it says that nothing was
passed on. That may be heard before old's end is seen; it is waited for, since a refusal would promise that old goes on.
If new ends, fails or is late there, the token decides between the versions of old and new. The supervisor's own death
ends both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

Stage = Literal[
    "importing",
    "recalling",
    "rehearsing",
    "following",
    "priming",
    "passing",
    "staged",
    "freezing",
    "dumping",
    "adopting",
    "prepared",
    "retiring",
    "going",
    "over",
]
Work = Literal[
    "recall",
    "rehearse",
    "follow",
    "prime",
    "pass",
    "withdraw",
    "own",
    "freeze",
    "thaw",
    "adopt",
    "retire",
    "go",
    "kill_new",
]
"""What is done to the two processes as it is said here; the other commands are the slot's to carry out."""

Command = Work | Literal["kill_old", "restart", "restart_with_new"]
Verdict = Literal["switched", "tried", "refused", "crashed"]


class Checked(msgspec.Struct, frozen=True):
    """The candidate imported everything; `problems` are the incompatibilities of its interfaces.

    `rehearses`: an engine gets other code, which runs the last triggers of it first.
    """

    problems: tuple[str, ...] = ()
    rehearses: bool = False


class NewFailed(msgspec.Struct, frozen=True):
    """New reported why it cannot go on, or ended."""

    reason: str
    ended: bool = False


Happening = (
    Literal[
        "recalled",  # old's last triggers can be read
        "unrecalled",  # old cannot hand them out
        "rehearsed",  # new answered them as old did, or differently where that is intended; or it cannot follow
        "commutes",  # the same, without any difference: new may follow
        "level",  # new has run all but the last of what old has
        "primed",  # new only waits for the end of the log
        "unprimed",  # it cannot be primed
        "took",  # new has the slot
        "not_passed",  # old ended, or is ending, and had not passed the slot on
        "withdrawn",  # the supervisor has taken the token: new will never have the slot
        "taken",  # new has it
        "all_staged",  # every member of a joint reload is staged, or further
        "decided",  # every member is prepared: all switch
        "halted",  # old stopped at a boundary and begins its snapshot
        "snapshot_taken",  # the supervisor has old's snapshot
        "loaded",  # new has migrated and loaded the snapshot
        "went",  # new owns the slot and runs
        "left",  # old has closed the lanes and its log, and does nothing more than exit
        "old_ended",  # old's pidfd is readable: old can no longer touch the slot
        "late",  # the deadline of the stage has passed
    ]
    | Checked
    | NewFailed
)


class ReloadState(msgspec.Struct, frozen=True):
    """Where a reload stands."""

    stage: Stage = "importing"
    is_trial: bool = False
    old_gone: bool = False
    new_gone: bool = False
    is_joint: bool = False
    not_passed: bool = False
    reason: str = ""


class Step(msgspec.Struct, frozen=True):
    """What follows: the plan from now on, the commands in order, and the verdict if the reload has ended."""

    plan: ReloadState
    commands: tuple[Command, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""


OVER: Final = ReloadState("over")

BEFORE_THE_PAUSE: Final[tuple[Stage, ...]] = ("importing", "recalling", "rehearsing", "following", "priming", "staged")
"""The stages in which old runs as always."""

_OLD_ENDED: Final = "the old process ended"
_NO_BOUNDARY: Final = "the engine did not reach a boundary in time"
_NOT_PASSED: Final = "the engine did not reach a boundary, or the new process did not take over, in time"

_STILL: Final = "while the engine stood still; --pause-max and --timeout allow it more"

_LATE: Final[Mapping[Stage, str]] = {
    "importing": "the new code was not imported in time; --timeout waits longer",
    "recalling": "the engine did not hand out its last triggers in time",
    "rehearsing": "the new code did not run the last triggers in time; --rehearse runs fewer, --timeout waits longer",
    "following": "the new code did not come level with the engine in time",
    "priming": "the new process was not ready to take over in time",
    "staged": "another member was not ready in time",
    "freezing": _NO_BOUNDARY,
    "dumping": f"the state was not handed out in time, {_STILL}",
    "adopting": f"the state was not migrated in time, {_STILL}",
    "prepared": "another member was not ready in time, while the engine stood still",
}
"""The reason of a refusal, by the stage that took too long: each in which old can go on as if nothing had happened."""


def advance(plan: ReloadState, happening: Happening) -> Step:
    """The step that `happening` leads to. One that does not belong to the stage (a late answer) changes nothing."""
    match plan.stage, happening:
        case "importing", Checked((), rehearses):
            return _go_to(plan, "recalling", "recall") if rehearses else _freeze(plan)
        case "importing", Checked(problems):
            return _undo(plan, "; ".join(problems))
        case "recalling", "recalled":
            return _go_to(plan, "rehearsing", "rehearse")
        case ("recalling", "unrecalled") | ("rehearsing" | "following", "rehearsed") | ("priming", "unprimed"):
            return _freeze(plan)
        case "rehearsing", "commutes":
            return _go_to(plan, "following", "follow")
        case "following", "level" if not (plan.is_trial or plan.is_joint):
            return _go_to(plan, "priming", "prime")
        case "following", "level":
            return _freeze(plan)
        case "priming", "primed":
            return _go_to(plan, "passing", "pass")
        case "passing", _:
            return _pass(plan, happening)
        case "staged", "all_staged":
            return _go_to(plan, "freezing", "freeze")
        case "freezing", "halted":
            return _go_to(plan, "dumping")
        case "dumping", "snapshot_taken":
            return _go_to(plan, "adopting", "adopt")
        case "adopting", "loaded" if plan.is_trial:
            return Step(OVER, ("kill_new", "thaw"), "tried")
        case "adopting", "loaded" if plan.is_joint:
            return _go_to(plan, "prepared")
        case "prepared", "decided":
            return _go_to(plan, "retiring", "retire")
        case "adopting", "loaded" if not plan.old_gone:
            return _go_to(plan, "retiring", "retire")
        case "adopting", "old_ended" if not (plan.is_trial or plan.is_joint):
            return Step(replace(plan, old_gone=True))
        case stage, "old_ended" if stage in _LATE:
            return _crash(_OLD_ENDED, "kill_new", "restart")
        case stage, NewFailed(reason) if stage in _LATE:
            return _undo(plan, reason)
        case stage, "late" if stage in _LATE:
            return _undo(plan, _LATE[stage])
        case "retiring", "old_ended" if plan.new_gone:
            return _crash("the new process ended before it had the slot", "restart_with_new")
        case ("adopting", "loaded") | ("retiring", "old_ended"):
            return Step(replace(plan, stage="going", old_gone=True), ("go",))
        case "retiring", "left" if not plan.new_gone:
            return Step(replace(plan, stage="going", old_gone=True), ("go",))
        case "retiring", NewFailed():
            return Step(replace(plan, new_gone=True), ("kill_new",))
        case "retiring", "late":
            return Step(plan, ("kill_old",))
        case "going", "went":
            return Step(OVER, (), "switched")
        case "going", NewFailed(reason, ended=True):
            return _crash(reason, "restart_with_new")
        case "going", NewFailed() | "late":
            return Step(plan, ("kill_new",))
    return Step(plan)


def _pass(plan: ReloadState, happening: Happening) -> Step:
    """The step in `passing`: the token decides who has the slot."""
    match happening:
        case "took":
            return Step(replace(plan, stage="going", old_gone=True), ("own",))
        case "old_ended" if plan.not_passed:
            return _crash(_OLD_ENDED, "kill_new", "restart")
        case "old_ended":
            return Step(replace(plan, old_gone=True))
        case "not_passed" if plan.old_gone:
            return _crash(_OLD_ENDED, "kill_new", "restart")
        case "not_passed":
            return Step(replace(plan, not_passed=True))
        case NewFailed() if plan.not_passed:
            return Step(plan)
        case NewFailed(reason, ended):
            return Step(replace(plan, new_gone=ended, reason=reason), ("withdraw",))
        case "late":
            return Step(replace(plan, reason=_NOT_PASSED), ("withdraw",))
        case "withdrawn":
            return _undo(plan, plan.reason)
        case "taken" if not plan.new_gone:
            return Step(replace(plan, stage="going", old_gone=True), ("own",))
        case "taken" if plan.old_gone:
            return _crash(plan.reason, "restart_with_new")
        case "taken":
            return _go_to(plan, "retiring", "kill_old")
    return Step(plan)


def _freeze(plan: ReloadState) -> Step:
    """Old stops now; as a member, once every other one could."""
    if plan.is_joint:
        return _go_to(plan, "staged")
    return _go_to(plan, "freezing", "freeze")


def _go_to(plan: ReloadState, stage: Stage, *commands: Command) -> Step:
    return Step(replace(plan, stage=stage), commands)


def candidate_ended(stage: Stage, at: str, code: int | None, signal: str) -> str:
    """Why the new process cannot go on, having ended by itself in `stage`; `at` is the family or engine it was at."""
    how = f"was killed by {signal}" if signal else "ended" if code is None else f"exited with code {code}"
    match stage:
        case "importing":
            where = f"while importing {at}" if at else "before it imported anything"
        case "adopting":
            where = f"while migrating engine {at}" if at else "before it migrated anything"
        case "rehearsing":
            where = f"while rehearsing engine {at}" if at else "before it rehearsed anything"
        case "following":
            where = f"while following engine {at}" if at else "before it followed anything"
        case "recalling" | "freezing" | "dumping":
            where = "while it waited for the state"
        case "priming" | "passing":
            where = f"while taking over engine {at}" if at else "while it took over"
        case "staged" | "prepared":
            where = "while it waited for other members"
        case _:
            where = "before it ran"
    return f"the new process {how} {where}"


def _undo(plan: ReloadState, reason: str) -> Step:
    """New cannot take over: old goes on, if it is still there."""
    if plan.old_gone:
        return _crash(reason, "kill_new", "restart")
    stands_still = plan.stage not in BEFORE_THE_PAUSE
    return Step(OVER, ("kill_new", "thaw") if stands_still else ("kill_new",), "refused", reason)


def _crash(reason: str, *commands: Command) -> Step:
    return Step(OVER, commands, "crashed", reason)
