"""Performs what `host.node.slot_plan` and `group_plan` decide, as `host.live.supervisor.perform` does live.

A new process takes `START_NS` to begin, in which its slot has nobody. Not simulated: deadlines of starts and
transitions, limits of memory and time, processes that cannot be had.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from host.config.placement import SlotPlan
from host.config.spec import SHUTDOWN_NS
from host.node.endings import Ended
from host.node.group_plan import child_of, give_up_work, next_task, resumed
from host.node.journal.marks import epoch_before
from host.node.routing import Birth, Missing, Resident
from host.node.slot_plan import advance, verdict_on
from host.node.slot_state import Bury, Departure, Down, Later, ProcessEnded, SlotCommand, SlotHappening
from host.node.strategies import GroupChild, GroupWork, plan_restart
from host.node.supervision import Ending, GiveUp, Restart
from host.sim import deaths, links
from host.sim.lanes import SimLink
from host.sim.log import UNREADABLE, SimLog, read_log
from host.sim.node import SimNode
from host.sim.process import SimProcess, SlotBoot
from host.sim.slots import SimGroup, SimSlot

START_NS: Final = 2_000_000
"""From a restart to the first cycle of the new process."""

LEAVE_NS: Final = 1_000_000
"""Between two looks whether the last mail of a leaving process is handled."""

KILLED: Final = Ending(signal=9)


def start_all(node: SimNode, plans: tuple[SlotPlan, ...]) -> None:
    """Make the slots of the node file, and start their processes."""
    specs = {spec.name: spec for spec in node.spec.engines}
    limits = node.limits
    node.groups = {
        group.name: SimGroup(group, replace(limits, intensity=group.intensity, period_ns=group.period_ns))
        for group in node.spec.supervision.groups
    }
    of_engine = {name: group for group in node.groups.values() for name in group.spec.engines}
    node.slots.clear()
    for plan in plans:
        residents = [Resident(specs[name], plan.slot) for name in plan.engines]
        node.make_slot(plan.slot, residents, next((of_engine[n] for n in plan.engines if n in of_engine), None))
    for group in node.groups.values():
        found = [node.directory.find(name) for name in group.spec.engines]
        group.slots = list(dict.fromkeys(one.slot for one in found if not isinstance(one, Missing)))
    for slot in tuple(node.slots.values()):
        if slot.group is None:
            feed(node, slot, "start_due")
    for group in node.groups.values():
        _begin(node, group, GroupWork(start=tuple(group.slots)))


def feed(node: SimNode, slot: SimSlot, happening: SlotHappening) -> None:
    """Apply a happening to a slot, and all that follows from it."""
    step = advance(slot.status, happening)
    if step.slot.state != slot.status.state:
        node.agenda.cancel(slot.timer)
    slot.status = step.slot
    for command in step.commands:
        _perform(node, slot, command)
    if slot.group is not None:
        _carry_on(node, slot.group)


def _perform(node: SimNode, slot: SimSlot, command: SlotCommand) -> None:
    match command:
        case "launch" | "repeat_launch":
            _launch(node, slot, 0)
        case "relaunch":
            slot.restarts += 1
            _launch(node, slot, START_NS)
            links.tell_restarted(node, slot)
        case "tell_back":
            links.tell_back(node, slot)
        case "await_birth":
            raise AssertionError("a simulated process can always be had")
        case "dismiss":
            slot.timer = node.agenda.after(LEAVE_NS, partial(_drain_and_exit, node, slot, SHUTDOWN_NS))
        case "kill":
            kill_process(node, slot)
        case "take_leave":
            slot.timer = node.agenda.after(LEAVE_NS, partial(_drain_and_exit, node, slot, None))
        case "remove":
            slot.rest(node.agenda)
            del node.slots[slot.number]
            links.detach(node, slot)
        case Bury(how, departure):
            _bury(node, slot, how, departure)
        case Later("pause", pause_ns):
            slot.timer = node.agenda.after(pause_ns, partial(feed, node, slot, "pause_over"))
        case Later(_, pause_ns):
            _restart_group(node, slot, pause_ns)
        case Down("finish", reason):
            _finish(node, slot, reason)
        case Down("degrade", reason):
            for resident in node.directory.in_slot(slot.number):
                node.event("degraded", resident.name, reason=reason)
            links.tell_degraded(node, slot)
        case Down(_, reason):
            assert slot.group is not None
            _begin(node, slot.group, give_up_work(_children(node, slot.group, slot), reason))
        case _:
            assert slot.reload is not None
            slot.reload.perform(command)


# --- processes --------------------------------------------------------------------------------------------------------


def _launch(node: SimNode, slot: SimSlot, after_ns: int) -> None:
    slot.epoch = max(slot.epoch, epoch_before(node.life)) + 1
    slot.history = replace(slot.history, started_ns=node.agenda.now_ns)
    slot.pids += 1
    if after_ns:
        slot.timer = node.agenda.after(after_ns, partial(_boot, node, slot))
    else:
        _boot(node, slot)


def _boot(node: SimNode, slot: SimSlot) -> None:
    slot.page.clear()
    if (slot.pids > 1 or node.life) and (name := _strikes_in_start(node, slot)):
        _die_in_start(node, slot, name)
        return
    try:
        process = make_process(node, slot, boot_of(node, slot))
        ready = process.start()
    except UNREADABLE as error:
        node.event("engine_failed", slot.label, reason=f"journal: {error}")
        slot.process = None
        feed(node, slot, ProcessEnded(slot.pids, Ending(code=1)))
        return
    for name, reason in process.failed.items():
        node.event("engine_failed", name, reason=reason)
    if process.failed and not ready:
        feed(node, slot, "engines_failed")
        return
    links.attach_all(slot, process)
    feed(node, slot, "engines_ready")
    node.rearm(slot)


def _strikes_in_start(node: SimNode, slot: SimSlot) -> str:
    """The id of the fault that kills this start, if one does."""
    rate = dict(slot.rates).get("crash")
    return "" if rate is None else node.faults.strikes("crash", f"{slot.label}/start", rate, slot.draw)


def _die_in_start(node: SimNode, slot: SimSlot, name: str) -> None:
    """Kill the new process in its start: before it records itself in its log, or once its engines are revived."""
    where = node.faults.detail(name).choice(("opened", "revived"))
    node.event("kill", slot.label, at=f"start, {where}")
    with suppress(*UNREADABLE):
        if where == "revived":
            make_process(node, slot, boot_of(node, slot)).start()
        elif slot.disk is not None:
            found = read_log(slot.disk, node.spec.node, node.load)
            SimLog(slot.disk, found, lambda: node.agenda.now_ns, durable=False, lives=False)
    kill_process(node, slot)


def boot_of(node: SimNode, slot: SimSlot, *, is_new: bool = True) -> SlotBoot:
    """What a process of a slot is started with. `is_new`: no other process hands the slot over."""
    residents = node.directory.in_slot(slot.number)
    births = [Birth(one.spec, one.parent, one.birth, one.name in node.parked) for one in residents]
    return SlotBoot(
        node.spec.node,
        slot.number,
        slot.epoch,
        tuple(births),
        tuple(slot.fallen.items()) if is_new else (),
        node.spec.spawned == "parent",
        slot.disk,
        node.spec.journal.unacked_bytes,
        is_new,
    )


def make_process(node: SimNode, slot: SimSlot, boot: SlotBoot, **more: Any) -> SimProcess:
    """A process that owns a slot from now on."""
    link = SimLink(node.lanes, node.agenda, slot.number)
    process = slot.process = SimProcess(
        slot.pids, boot, slot.page, link, node.agenda, slot.roll, node.load, node.take_report, node.watch, **more
    )
    return process


def kill_process(node: SimNode, slot: SimSlot) -> None:
    """The process of a slot is killed, or never came up."""
    slot.rest(node.agenda)
    node.agenda.cancel(slot.timer)
    slot.process = None
    feed(node, slot, ProcessEnded(slot.pids, KILLED))


def exit_process(node: SimNode, slot: SimSlot) -> None:
    """The process of a slot exits normally."""
    if slot.process is not None:
        slot.process.exit()
    slot.rest(node.agenda)
    slot.process = None
    feed(node, slot, ProcessEnded(slot.pids, Ending(code=0)))


def _drain_and_exit(node: SimNode, slot: SimSlot, left_ns: int | None) -> None:
    """Exit once nothing is left to handle; at the latest after `left_ns`, if there is such a bound."""
    process = slot.process
    if process is None or slot.status.state not in ("recalled", "stopping"):
        return
    is_done = process.is_drained and process.link.arrives_ns() is None
    if is_done or (left_ns is not None and left_ns <= 0):
        exit_process(node, slot)
        return
    again = partial(_drain_and_exit, node, slot, None if left_ns is None else left_ns - LEAVE_NS)
    slot.timer = node.agenda.after(LEAVE_NS, again)


# --- ends -------------------------------------------------------------------------------------------------------------


def _bury(node: SimNode, slot: SimSlot, how: str, departure: Departure) -> None:
    if how == "recalled":
        deaths.remember(node, slot, departure, Ended("killed", "shutdown"))
        deaths.report(node, slot, "recalled", departure.ended)
        _succeed(node, slot)
        return
    deaths.remember(node, slot, departure, departure.ended)
    deaths.report(node, slot, "crashed", departure.ended)
    _succeed(node, slot)
    if slot.status.state == "restarting":
        _judge(node, slot, departure.ended)


def _judge(node: SimNode, slot: SimSlot, ended: Ended) -> None:
    """A group counts the restarts of all its slots together."""
    holder, limits = (slot, node.limits) if slot.group is None else (slot.group, slot.group.limits)
    drawn = node.draw.random()
    verdict = verdict_on(ended, slot.kind, holder.history, limits, node.budget, node.agenda.now_ns, drawn)
    if isinstance(verdict, Restart | GiveUp):
        holder.history = verdict.history
    if isinstance(verdict, Restart):
        node.budget = verdict.budget
    feed(node, slot, verdict)


def _succeed(node: SimNode, slot: SimSlot) -> None:
    for resident in deaths.succeed(node, slot):
        _bury_engine(node, resident)


def end_engine(node: SimNode, name: str) -> None:
    """A process reports that an engine stopped."""
    resident = node.directory.end(name)
    if resident is not None:
        _bury_engine(node, resident)


def _bury_engine(node: SimNode, resident: Resident) -> None:
    """An engine ended: a slot that was made for it ends too."""
    deaths.bury_engine(node, resident)
    slot = node.slots.get(resident.slot)
    if slot is not None and slot.spawned and not node.directory.in_slot(slot.number):
        feed(node, slot, "emptied")


def _finish(node: SimNode, slot: SimSlot, reason: str) -> None:
    for resident in node.directory.in_slot(slot.number):
        node.event("finished", resident.name, reason=reason)
        links.tell_gone(node, slot, resident.name)
        if slot.kind == "temporary":
            end_engine(node, resident.name)


# --- groups -----------------------------------------------------------------------------------------------------------


def _restart_group(node: SimNode, slot: SimSlot, pause_ns: int) -> None:
    assert slot.group is not None
    children = _children(node, slot.group, slot)
    _begin(node, slot.group, plan_restart(slot.group.spec.strategy, children, slot.number, pause_ns))


def _children(node: SimNode, group: SimGroup, failed: SimSlot) -> tuple[GroupChild, ...]:
    slots = [node.slots[number] for number in group.slots]
    there = [slot for slot in slots if slot is failed or node.directory.in_slot(slot.number)]
    return tuple(child_of(slot.number, slot.kind, slot.status) for slot in there)


def _begin(node: SimNode, group: SimGroup, work: GroupWork) -> None:
    node.agenda.cancel(group.timer)
    group.work = work
    _carry_on(node, group)


def _carry_on(node: SimNode, group: SimGroup) -> None:
    while True:
        group.work, task = next_task(group.work, {number: node.slots[number].status for number in group.slots})
        match task:
            case None:
                return
            case Later(_, pause_ns):
                group.timer = node.agenda.after(pause_ns, lambda: _begin(node, group, resumed(group.work)))
            case (number, happening):
                feed(node, node.slots[number], happening)
