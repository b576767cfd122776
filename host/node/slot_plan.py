"""A slot: what each happening leads to, apart from performing it.

A slot is memory that outlives processes, and at most one process owns it. The states, and what ends each of them:

| state      | process | ends with                                                             |
|------------|---------|-----------------------------------------------------------------------|
| starting   | none    | `start_due`: its turn in its group, or its family was inspected       |
|            | wanted  | no process could be requested, which soon counts as its end           |
|            | there   | `engines_ready`, or its end, which the start deadline ensures         |
| running    | there   | its end, a reload, a recall by its group                              |
| freezing   | there   | the verdict of the reload under way                                   |
|            | none    | the same; the candidate has the state, and gets the slot              |
| recalled   | there   | its end, at the latest once its time to exit has passed               |
| restarting | none    | a verdict, at once; then `pause_over`, or its group's next task       |
| degraded   | none    | `start_due`, by hand or with its group: it died too often             |
| finished   | none    | the same: its end asked for no restart                                |
| stopping   | any     | the end of its process; the node stops, or the slot is dissolved      |

A reload under way is a machine of its own (`reload_plan`), which this one feeds: the end of a process means one thing
to a slot alone and another to a slot that is being passed on. `starting`, `recalled` and `restarting` have at most one
timer each, which ends with the state. A happening that does not belong to the state (a late answer, a timer of an
earlier state) changes nothing.

The awkward case: the engines of a dead process are buried before the verdict on its end, and a slot whose last engine
is buried is dissolved. So the verdict is a happening of its own, and may find the slot no longer `restarting`.

Decision and command are apart as in OTP's `supervisor.erl` (`do_restart`, `add_restart`); the form is that of
`reload_plan`. Commands are performed in `host.live.supervisor.perform`, the only place that gives a slot a process or
takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from msgspec.structs import replace

from host.config.spec import SupervisionSpec
from host.node import reload_plan
from host.node.endings import Ended, Kind, Ours, classify, shown, wants_restart
from host.node.reload_plan import Checked, NewFailed, ReloadState
from host.node.slot_state import (
    Bury,
    Conclude,
    Crossing,
    Departure,
    Down,
    Later,
    ProcessEnded,
    SlotCommand,
    SlotHappening,
    SlotState,
    SlotStep,
    StayDown,
)
from host.node.supervision import Budget, Ending, GiveUp, History, Restart, judge

BIRTHS_LOST_MAX: Final = 3
"""Births of one slot in a row that may die with the zygote before one counts as a death like others."""


_CROSSED: Final[Mapping[str, dict[str, str]]] = {
    "freeze": {"state": "freezing"},
    "pass": {"state": "freezing"},
    "thaw": {"state": "running"},
    "go": {"process": "there"},
    "own": {"process": "there"},
}
"""How commands of a reload change the slot."""

_UNSEEN: Final = Departure(0, Ending(), Ended("killed", "it could not take over"))
"""The end of a candidate that failed and was killed so recently that its exit status is not known."""


def advance(slot: SlotState, happening: SlotHappening) -> SlotStep:
    """The step that `happening` leads to."""
    match happening:
        case "start_due":
            return _start(slot)
        case "pause_over" if slot.state == "restarting":
            return _start(slot)
        case "birth_failed" if slot.state == "starting":
            return SlotStep(replace(slot, process="wanted"), ("await_birth",))
        case "engines_ready" if slot.state == "starting" and slot.process == "there":
            return SlotStep(replace(slot, state="running", births_lost=0))
        case "engines_failed":
            return _kill(slot, "start_failed" if slot.state == "starting" else "raised")
        case "start_timeout" | "hung":
            return _kill(slot, happening)
        case ProcessEnded(owned=True) if slot.process != "none":
            return _end(slot, happening)
        case ProcessEnded(owned=False) if slot.crossing is not None:
            return _cross(slot, replace(slot.crossing, new=_departure(happening, "")), _new_ended(happening))
        case Restart() | GiveUp() | StayDown() if slot.state == "restarting":
            return _take_verdict(slot, happening)
        case "recall_asked":
            return _recall(slot)
        case "leave_expired" if slot.state == "recalled":
            return _kill(slot, "shutdown")
        case Down("degrade") if slot.is_vacant and slot.state in ("starting", "restarting", "finished"):
            return SlotStep(replace(slot, state="degraded", process="none"), (happening,))
        case Down("finish") if slot.is_vacant and slot.state in ("starting", "restarting"):
            return SlotStep(replace(slot, state="finished", process="none"), (happening,))
        case "reload_begun" | "trial_begun" | "joint_begun" | "joint_trial_begun" if (
            slot.state == "running" and slot.crossing is None
        ):
            plan = ReloadState(is_trial=happening.endswith("trial_begun"), is_joint=happening.startswith("joint"))
            return SlotStep(replace(slot, crossing=Crossing(plan)), ("set_deadline",))
        case "emptied" if slot.state != "stopping":
            left, commands = _abort(slot, "its engine ended meanwhile")
            follows: SlotCommand = "take_leave" if left.process == "there" else "remove"
            return SlotStep(replace(left, state="stopping", dissolves=True), (*commands, follows))
        case "node_stops":
            left, commands = _abort(slot, "the node stops")
            return SlotStep(replace(left, state="stopping", dissolves=False), commands)
        case Checked() | NewFailed() if slot.crossing is not None:
            return _cross(slot, slot.crossing, happening)
        case "recalled" | "unrecalled" | "rehearsed" | "commutes" | "level" if slot.crossing is not None:
            return _cross(slot, slot.crossing, happening)
        case "primed" | "unprimed" | "took" | "not_passed" | "withdrawn" | "taken" if slot.crossing is not None:
            return _cross(slot, slot.crossing, happening)
        case "halted" | "snapshot_taken" if slot.crossing is not None:
            return _cross(slot, slot.crossing, happening)
        case "all_staged" | "decided" if slot.crossing is not None:
            return _cross(slot, slot.crossing, happening)
        case "loaded" | "left" | "went" | "late" if slot.crossing is not None:
            return _cross(slot, slot.crossing, happening)
    return SlotStep(slot)


def verdict_on(
    ended: Ended, kind: Kind, history: History, limits: SupervisionSpec, budget: Budget, now_ns: int, chance: float
) -> Restart | GiveUp | StayDown:
    """Supervision's verdict on an end: whether it asks for a restart at all, and whether that is one too many."""
    if not wants_restart(kind, ended.reason):
        return StayDown(shown(ended))
    return judge(history, limits, budget, now_ns, chance)


def _start(slot: SlotState) -> SlotStep:
    launched = replace(slot, state="starting", process="there", killing="")
    match slot.state:
        case "starting" if slot.process == "none":
            return SlotStep(launched, ("launch",))
        case "restarting" | "finished":
            return SlotStep(launched, ("relaunch",))
        case "degraded":
            return SlotStep(launched, ("relaunch", "tell_back"))
        case _:
            return SlotStep(slot)


def _kill(slot: SlotState, why: Ours) -> SlotStep:
    """The first reason counts."""
    if slot.process != "there":
        return SlotStep(slot)
    return SlotStep(replace(slot, killing=slot.killing or why), ("kill",))


def _end(slot: SlotState, end: ProcessEnded) -> SlotStep:
    departure = _departure(end, slot.killing)
    gone = replace(slot, process="none", killing="")
    if slot.crossing is not None:
        return _end_while_crossing(gone, slot.crossing, departure, end)
    match slot.state:
        case "starting" if end.is_lost and slot.births_lost < BIRTHS_LOST_MAX:
            again = replace(gone, process="there", births_lost=slot.births_lost + 1)
            return SlotStep(again, ("repeat_launch",))
        case "starting" if end.node_starts:
            return SlotStep(replace(gone, state="degraded"), (Bury("failed_start", departure),))  # no second try
        case "recalled":
            return SlotStep(replace(gone, state="restarting"), (Bury("recalled", departure),))
        case "stopping":
            return SlotStep(gone, ("remove",) if slot.dissolves else ())
        case _:
            return _crash(gone, departure)


def _end_while_crossing(gone: SlotState, crossing: Crossing, departure: Departure, end: ProcessEnded) -> SlotStep:
    if crossing.plan.stage == "going":
        return _cross(gone, replace(crossing, new=departure), _new_ended(end))
    return _cross(gone, replace(crossing, old=departure), "old_ended")


def _new_ended(end: ProcessEnded) -> NewFailed:
    return NewFailed(end.account or "the new process ended before it ran", ended=True)


def _departure(end: ProcessEnded, ours: Ours) -> Departure:
    ended = classify(end.ending, ours=ours, memory_evidence=end.memory_evidence, ran=end.pid != 0)
    return Departure(end.pid, end.ending, ended)


def _crash(slot: SlotState, departure: Departure) -> SlotStep:
    crashed = replace(slot, state="restarting", process="none")
    return SlotStep(crashed, (Bury("crashed", departure),))


def _take_verdict(slot: SlotState, verdict: Restart | GiveUp | StayDown) -> SlotStep:
    match verdict:
        case StayDown(reason):
            return SlotStep(replace(slot, state="finished"), (Down("finish", reason),))
        case GiveUp(reason) if slot.strategy is None:
            return SlotStep(replace(slot, state="degraded"), (Down("degrade", reason),))
        case GiveUp(reason):
            return SlotStep(slot, (Down("give_up", reason),))
        case Restart(pause_ns) if slot.strategy not in (None, "one_for_one"):
            return SlotStep(slot, (Later("restart_group", pause_ns),))
        case Restart(0):
            return _start(slot)
        case Restart(pause_ns):
            return SlotStep(slot, (Later("pause", pause_ns),))
        case _:
            assert_never(verdict)


def _recall(slot: SlotState) -> SlotStep:
    reason = "its group is restarted"
    if slot.crossing is not None and slot.process == "none":
        return _cross(slot, slot.crossing, NewFailed(reason))
    slot, commands = _abort(slot, reason)
    if slot.process == "there" and slot.state in ("starting", "running", "freezing"):
        return SlotStep(replace(slot, state="recalled"), (*commands, "dismiss"))
    return SlotStep(replace(slot, process="none") if slot.process == "wanted" else slot)


def _abort(slot: SlotState, reason: str) -> tuple[SlotState, tuple[SlotCommand, ...]]:
    """The slot without its reload, whatever the stage: a candidate that does not own the slot is killed."""
    if slot.crossing is None:
        return slot, ()
    kills: tuple[SlotCommand, ...] = () if slot.crossing.plan.stage == "going" else ("kill_new",)
    return replace(slot, crossing=None), (*kills, Conclude("refused", reason))


def _cross(slot: SlotState, crossing: Crossing, happening: reload_plan.Happening) -> SlotStep:
    """The step of the reload, in terms of the slot; a reload that lost both processes ends in a crash."""
    step = reload_plan.advance(crossing.plan, happening)
    is_over, is_new_stage = step.verdict is not None, step.plan.stage != crossing.plan.stage
    slot = replace(slot, crossing=None if is_over else replace(crossing, plan=step.plan))
    deeds: list[SlotCommand] = ["set_deadline"] if is_new_stage and not is_over else []
    crashed: Departure | None = None
    for command in step.commands:
        match command:
            case "restart":
                crashed = crossing.old
            case "restart_with_new":
                crashed = crossing.new or _UNSEEN  # the old one was asked to exit, and exited normally
                deeds.append("enforce")
            case "kill_old":
                deeds.append("kill")
            case _:
                slot = replace(slot, **_CROSSED.get(command, {}))
                deeds.append(command)
    if step.verdict is None:
        return SlotStep(slot, tuple(deeds))
    concluded = (*deeds, Conclude(step.verdict, step.reason))
    if crashed is None:
        return SlotStep(replace(slot, state="running" if step.verdict == "switched" else slot.state), concluded)
    crash = _crash(slot, crashed)
    return SlotStep(crash.slot, (*concluded, *crash.commands))
