"""The work of a group going down and up: what its slots are asked for next, given where they stand now.

A group carries out one `GroupWork` at a time: recall slots, leave some out, pause, start the others one after the
other. `next_task` looks at the slots instead of remembering what happened to them, so it can be asked after any
happening and cannot miss one. A death on the way makes a new work, which replaces the one under way and covers what
that had left to do (`strategies`); so does giving up. Dropping a work at any point leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from host.node.endings import Kind
from host.node.slot_state import Down, Later, SlotHappening, SlotState
from host.node.strategies import GroupChild, GroupWork, plan_stop

LEFT_OUT: Final = "its group was restarted"
"""Why a temporary child is finished."""


GroupTask = tuple[int, SlotHappening] | Later
"""A happening to feed to a slot; or a pause after which the work is `resumed`."""


def give_up_work(children: tuple[GroupChild, ...], reason: str) -> GroupWork:
    """Too many restarts: the group stops all of its children, as a supervisor of OTP does."""
    return GroupWork(plan_stop(children), degrade=tuple(child.slot for child in children), reason=reason)


def child_of(number: int, kind: Kind, now: SlotState) -> GroupChild:
    """A slot as `strategies` looks at it. A temporary child that was never born still has its first start before it."""
    is_unborn = now.state == "starting" and now.is_vacant
    waits = is_unborn or now.state in ("recalled", "restarting")
    return GroupChild(number, "transient" if is_unborn else kind, not now.is_vacant, waits)


def resumed(work: GroupWork) -> GroupWork:
    """The work after its pause."""
    return replace(work, pauses=False)


def next_task(work: GroupWork, slots: Mapping[int, SlotState]) -> tuple[GroupWork, GroupTask | None]:
    """The next task, and the work from then on; None: nothing to do until a slot changes or the pause ends."""
    if work.stop:
        return _stop(work, slots)
    if work.over:
        return replace(work, over=work.over[1:]), (work.over[0], Down("finish", LEFT_OUT))
    if work.degrade:
        return replace(work, degrade=work.degrade[1:]), (work.degrade[0], Down("degrade", work.reason))
    if work.pauses:
        return work, None
    if work.pause_ns:
        return replace(work, pause_ns=0, pauses=True), Later("pause", work.pause_ns)
    return _start(work, slots) if work.start else (work, None)


def _stop(work: GroupWork, slots: Mapping[int, SlotState]) -> tuple[GroupWork, GroupTask | None]:
    """Stop one slot after the other, each gone before the next is asked."""
    first, *others = work.stop
    now = slots[first]
    if now.is_vacant and now.process == "none":
        return next_task(replace(work, stop=tuple(others)), slots)
    if now.state in ("recalled", "stopping"):
        return work, None
    return work, (first, "recall_asked")


def _start(work: GroupWork, slots: Mapping[int, SlotState]) -> tuple[GroupWork, GroupTask | None]:
    """Start one slot after the other, each ready before the next is asked; one that finished is not waited for."""
    first, *others = work.start
    now = slots[first]
    if not work.starts and now.is_vacant:
        return replace(work, starts=True), (first, "start_due")
    if now.state in ("starting", "restarting"):
        return replace(work, starts=True), None
    return next_task(replace(work, start=tuple(others), starts=False), slots)
