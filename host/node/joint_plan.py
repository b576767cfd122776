"""A joint reload: several slots get other code at one boundary, or none does. What its slots are fed next.

Each *member* is a slot with a reload of its own (`reload_plan`). They wait for each other twice, and the rest of their
ways is their own:

| members   | stand still | version in force | then                                                              |
|-----------|-------------|------------------|-------------------------------------------------------------------|
| any       | none        | old              | all are `staged`: imported, compared with each other, rehearsed   |
| freezing… | each        | old              | all are `prepared`: old has stopped, new has its state            |
| prepared  | all         | old, then new    | it is *decided*, here and nowhere else                            |
| retiring… | each        | new              | each ends by itself                                               |

So no message of new code is handled by old code of a member, nor the other way round, but for what is queued at the
decision, and that fits by the interfaces of each member, as in any reload.

Who decides: the supervisor, in one step. Two slots are fed one after the other, but nothing else happens in between.

Crash points. Before the decision the end of a process, a refusal, or a slot that is taken away fails the joint reload;
every other member is refused, and thaws. The member whose old process ended starts again with its old code, which was
kept before (`Reload`). After it each slot gets the new version, whatever dies: by `go`, or by `restart_with_new`. The
supervisor's death ends every process. The next life runs all engines with the sources as they are then, so there is
nothing to write down: a decision is about the slots of one life.

As for a group of slots (`group_plan`), the next task follows from how the slots stand, not from what happened, so no
happening can be missed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from host.node.reload_plan import BEFORE_THE_PAUSE, NewFailed, Verdict
from host.node.slot_state import SlotHappening, SlotState

JointTask = tuple[int, SlotHappening]
"""A happening to feed to a slot."""


class JointState(msgspec.Struct, frozen=True):
    """Where a joint reload of the slots `members` stands. `failed` is why it was given up, "" if it was not."""

    members: tuple[int, ...]
    is_decided: bool = False
    failed: str = ""


def concluded(joint: JointState, name: str, verdict: Verdict, reason: str) -> JointState:
    """The reload of a member, known to people by `name`, came to a verdict."""
    if joint.is_decided or joint.failed or verdict == "tried":
        return joint
    return replace(joint, failed=f"{name}: {reason}")


def next_task(joint: JointState, slots: Mapping[int, SlotState]) -> tuple[JointState, JointTask | None]:
    """The next task, and the state from then on; None: nothing to do until a slot changes."""
    plans = {
        number: crossing.plan
        for number in joint.members
        if number in slots and (crossing := slots[number].crossing) is not None
    }
    if joint.failed:
        return joint, next(((number, NewFailed(joint.failed)) for number in plans), None)
    prepared = [number for number, plan in plans.items() if plan.stage == "prepared"]
    if joint.is_decided or len(prepared) == len(joint.members):
        joint = replace(joint, is_decided=True)
        return joint, next(((number, "decided") for number in prepared), None)
    staged = [number for number, plan in plans.items() if plan.stage == "staged"]
    waits = any(plan.stage in BEFORE_THE_PAUSE and plan.stage != "staged" for plan in plans.values())
    if waits or len(plans) < len(joint.members):
        return joint, None
    return joint, next(((number, "all_staged") for number in staged), None)
