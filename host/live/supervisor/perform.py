"""Performs the commands for slots and groups that `host.node.slot_plan` and `group_plan` decide, a function each.

Every happening of a slot comes to `feed`, which alone changes `Slot.status`; only this file writes `Slot.process`. So a
slot's process always matches its state, and each interaction of a reload, a group, a death and a failed birth is a line
of text in the tests of the plans. A command with a consequence (a launch without engines, a verdict) feeds that in
turn, as its last act.

The order in `_bury` matters, because the node may stop between any two steps, and because peers must not reach a slot
that gets no further process: the message in flight is remembered, the descendants of engines that begin again are
ended, and only then does supervision decide whether and when another process comes.
"""

from __future__ import annotations

import random
from functools import partial
from signal import SIGKILL
from typing import Final

import msgspec

from host.config.spec import SHUTDOWN_NS
from host.live.supervisor import deaths, links, population
from host.live.supervisor.farewell import take_leave
from host.live.supervisor.node import Node
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Group, Slot
from host.live.wire import Exit
from host.node.endings import Ended, shown, wants_restart
from host.node.group_plan import child_of, give_up_work, next_task, resumed
from host.node.routing import DEGRADED, Resident
from host.node.slot_plan import advance, verdict_on
from host.node.slot_state import Bury, Departure, Down, Later, ProcessEnded, SlotCommand, SlotHappening
from host.node.strategies import GroupChild, GroupWork, plan_restart
from host.node.supervision import Ending, GiveUp, History, Restart
from transport.port import Closed

BIRTH_AGAIN_NS: Final = 100_000_000
"""Delay before a process that could not be requested is treated as one that died."""

LEAVE_NS: Final = 500_000_000
"""For a process to end after its shutdown time."""


def start_all(node: Node) -> None:
    """The first start of every slot, groups in order. Raises OSError, Closed if a process cannot be created."""
    for slot in node.slots.values():
        if slot.group is None:
            feed(node, slot, "start_due")
            if slot.birth_error is not None:
                raise slot.birth_error
    for group in node.groups.values():
        _begin(node, group, GroupWork(start=tuple(group.slots)))


def restart_by_hand(node: Node, slot: Slot) -> None:
    """A user asks for a restart: begin again, with a clean history and the sources as they are."""
    slot.code = ()
    slot.history = History(node.now_ns())
    if slot.group is not None:
        slot.group.history = slot.history
    if slot.status.strategy in (None, "one_for_one"):
        feed(node, slot, "start_due")
    else:
        _restart_group(node, slot, 0)


def end_process(node: Node, slot: Slot, process: Process, ending: Ending) -> None:
    """A process ended. If it is neither the slot's owner nor its candidate, it was replaced, and nothing follows."""
    reload, owned = node.reloads.get(slot.number), process is slot.process
    if owned:
        slot.process = None
    elif reload is None or process is not reload.candidate:
        return
    counted = node.memory_kills.risen() if ending.signal == SIGKILL else ""  # reading takes 0.2 ms
    evidence = node.control_groups.evidence(process.pid) or counted
    is_lost = slot.state == "starting" and process.is_lost_birth
    account = reload.account_of(ending) if reload is not None and process is reload.candidate else ""
    feed(node, slot, ProcessEnded(process.pid, ending, owned, evidence, is_lost, node.phase == "starting", account))


def end_engine(node: Node, name: str) -> None:
    """A worker reports that an engine stopped."""
    resident = node.directory.end(name)
    if resident is not None:
        _bury_engine(node, resident)


def feed(node: Node, slot: Slot, happening: SlotHappening) -> None:
    """Apply a happening to a slot, and all that follows from it."""
    step = advance(slot.status, happening)
    if step.slot.state != slot.state:
        slot.timer.cancel()
    slot.status = step.slot
    for command in step.commands:
        _perform(node, slot, command)
    node.check_settled()
    if slot.group is not None:
        _carry_on(node, slot.group)
    if (joint := node.joints.get(slot.number)) is not None:
        joint.carry_on()


def _perform(node: Node, slot: Slot, command: SlotCommand) -> None:
    match command:
        case "launch":
            _launch(node, slot)
        case "repeat_launch":
            node.event("birth_repeated", "", slot=slot.number)
            _launch(node, slot)
        case "relaunch":
            _relaunch(node, slot)
        case "tell_back":
            links.tell_all(node, slot, "")
        case "await_birth":
            slot.timer.set(BIRTH_AGAIN_NS, lambda: _end_wait(node, slot))
        case "dismiss":
            _dismiss(node, slot)
        case "kill":
            assert slot.process is not None
            slot.process.kill()
        case "take_leave":
            _take_leave(node, slot)
        case "remove":
            del node.slots[slot.number]
            if (probation := node.probations.get(slot.number)) is not None:
                probation.drop()
            links.detach(node, slot)
            slot.memory.close()
        case Bury(how, departure):
            _bury(node, slot, how, departure)
        case Later("pause", pause_ns):
            slot.timer.set(pause_ns, partial(feed, node, slot, "pause_over"))
        case Later(_, pause_ns):
            _restart_group(node, slot, pause_ns)
        case Down("finish", reason):
            _finish(node, slot, reason)
        case Down("degrade", reason):
            _degrade(node, slot, reason)
        case Down(_, reason):
            _give_up_group(node, slot, reason)
        case _:
            reload = node.reloads[slot.number]
            if command in ("go", "own"):
                slot.process = reload.candidate
            reload.perform(command)


def _launch(node: Node, slot: Slot) -> None:
    """Create a process for all engines of a slot. A process that was born but could not be booted is killed."""
    slot.timer.cancel()
    births = population.births(node, node.directory.in_slot(slot.number))
    slot.epoch = max(slot.epoch, node.epoch) + 1
    slot.history = msgspec.structs.replace(slot.history, started_ns=node.now_ns())
    slot.unready = {birth.spec.name for birth in births}
    slot.birth_error = None
    try:
        slot.process = population.bear(node, slot)
        fallen, code = tuple(slot.fallen.items()), population.code_left(slot)
        population.send_boot(node, slot, slot.process, births, fallen=fallen, code=code)
    except (OSError, Closed) as error:
        slot.birth_error = error
        population.tell_birth_failed(node, slot, error)
        if slot.process is not None:
            slot.process.kill()
        else:
            feed(node, slot, "birth_failed")
        return
    links.attach_all(node, slot, slot.process)
    if not births:
        feed(node, slot, "engines_ready")


def _relaunch(node: Node, slot: Slot) -> None:
    slot.restarts += 1
    slot.rests = ""
    for resident in node.directory.in_slot(slot.number):
        node.faults.pop(resident.name, None)
        node.diverged.pop(resident.name, None)
    _launch(node, slot)
    links.tell_restarted(node, slot)


def _end_wait(node: Node, slot: Slot) -> None:
    """Treat a process that could not be created as one that ended."""
    feed(node, slot, ProcessEnded(0, Ending(), node_starts=node.phase == "starting"))


def _dismiss(node: Node, slot: Slot) -> None:
    """Let the process drain for its shutdown time; with a time of 0 it is killed at once."""
    assert slot.process is not None
    shutdown_ns = node.shutdown_ns(slot, SHUTDOWN_NS)
    slot.process.send(Exit(shutdown_ns))
    slot.timer.set(shutdown_ns + LEAVE_NS if shutdown_ns else 0, partial(feed, node, slot, "leave_expired"))


def _take_leave(node: Node, slot: Slot) -> None:
    assert slot.process is not None
    assert slot.last is not None
    node.run_aside(take_leave(node, slot, slot.process, slot.last))


def _bury(node: Node, slot: Slot, how: str, departure: Departure) -> None:
    match how:
        case "failed_start" if slot.rests:
            _degrade(node, slot, slot.rests)
        case "failed_start":
            deaths.report(node, slot, departure)
            deaths.fail_start(node, slot, departure)
            _halt_group(node, slot)
        case "recalled":
            deaths.remember(node, slot, departure, Ended("killed", "shutdown"))  # a recalled process is not to blame
            deaths.report_recalled(node, slot, departure)
            _succeed(node, slot)
            if (probation := node.probations.get(slot.number)) is not None:
                probation.recalled()
        case _:
            died_in = deaths.remember(node, slot, departure, departure.ended)
            deaths.report(node, slot, departure, died_in)
            _succeed(node, slot)
            if (probation := node.probations.get(slot.number)) is not None:
                if wants_restart(slot.kind, departure.ended.reason):
                    probation.ended(shown(departure.ended))
                else:
                    probation.drop()
            if slot.state == "restarting" and slot.rests:
                feed(node, slot, Down("degrade", slot.rests))
            elif slot.state == "restarting":
                _judge(node, slot, departure.ended)


def _judge(node: Node, slot: Slot, ended: Ended) -> None:
    """A group counts the restarts of all its slots together."""
    holder, limits = (slot, node.spec.supervision) if slot.group is None else (slot.group, slot.group.limits)
    verdict = verdict_on(ended, slot.kind, holder.history, limits, node.budget, node.now_ns(), random.random())
    if isinstance(verdict, Restart | GiveUp):
        holder.history = verdict.history
    if isinstance(verdict, Restart):
        node.budget = verdict.budget
    feed(node, slot, verdict)


def _succeed(node: Node, slot: Slot) -> None:
    for resident in deaths.succeed(node, slot):
        _bury_engine(node, resident)


def _bury_engine(node: Node, resident: Resident) -> None:
    """An engine ended: a slot that was made for it ends too."""
    deaths.bury_engine(node, resident)
    slot = node.slots.get(resident.slot)
    if slot is not None and slot.spawned and not node.directory.in_slot(slot.number):
        slot.last = resident
        feed(node, slot, "emptied")


def _finish(node: Node, slot: Slot, reason: str) -> None:
    """Record that a slot's engines have finished; those of a temporary child end."""
    for resident in node.directory.in_slot(slot.number):
        node.event("finished", resident.name, slot=slot.number, reason=reason)
        links.tell_gone(node, slot, resident.name, "ended")
        if slot.kind == "temporary":
            end_engine(node, resident.name)


def _degrade(node: Node, slot: Slot, reason: str) -> None:
    """Record that a slot's engines are degraded, an event each: an operator has to act."""
    for resident in node.directory.in_slot(slot.number):
        node.faults.setdefault(resident.name, reason)
        node.event("degraded", resident.name, reason=reason, slot=slot.number)
    links.tell_restarted(node, slot)
    links.tell_all(node, slot, DEGRADED)  # its lanes keep what they hold, and no sender waits for room in them


def _restart_group(node: Node, slot: Slot, pause_ns: int) -> None:
    assert slot.group is not None
    strategy, children = slot.group.spec.strategy, _children(node, slot.group, slot)
    _begin(node, slot.group, plan_restart(strategy, children, slot.number, pause_ns))


def _give_up_group(node: Node, slot: Slot, reason: str) -> None:
    assert slot.group is not None
    _begin(node, slot.group, give_up_work(_children(node, slot.group, slot), reason))


def _halt_group(node: Node, slot: Slot) -> None:
    """The start of the node fails: slots that wait for their turn are given up."""
    if slot.group is None:
        return
    slot.group.begin(GroupWork())
    for other in (node.slots[number] for number in slot.group.slots):
        if other.state == "starting":
            feed(node, other, Down("degrade", "the start of its group failed"))


def _children(node: Node, group: Group, failed: Slot) -> tuple[GroupChild, ...]:
    """Slots of the group in its order, without those that have no engine left."""
    slots = [node.slots[number] for number in group.slots]
    there = [slot for slot in slots if slot is failed or node.directory.in_slot(slot.number)]
    return tuple(child_of(slot.number, slot.kind, slot.status) for slot in there)


def _begin(node: Node, group: Group, work: GroupWork) -> None:
    group.begin(work)
    _carry_on(node, group)


def _carry_on(node: Node, group: Group) -> None:
    """Perform all that the group can do now."""
    while True:
        group.work, task = next_task(group.work, {number: node.slots[number].status for number in group.slots})
        match task:
            case None:
                return
            case Later(_, pause_ns):
                group.timer.set(pause_ns, lambda: _begin(node, group, resumed(group.work)))
            case (number, happening):
                feed(node, node.slots[number], happening)
