"""Takes what processes report: spawns, look-ups, ends, choices, quarantine, and what only people read."""

from __future__ import annotations

from host.config.placement import free_slot
from host.node.news import Letter, SetAside
from host.node.report import Offspring, Report
from host.node.routing import Missing, Resident
from host.sim import links
from host.sim.node import SimNode
from host.sim.perform import end_engine, feed
from host.sim.process import SimProcess
from host.sim.slots import SimSlot

NO_SLOT = "no_slot"
"""Why a spawned engine has no route: every slot was taken."""


def take_report(node: SimNode, process: SimProcess) -> None:
    """Take all of a process's report, in the order of `host.live.worker.telling`."""
    report, slot = process.report, node.slots[process.boot.slot]
    if report.spawned:
        children, report.spawned = report.spawned, []
        for child in children:
            _take_spawn(node, slot, child)
    if report.resolve:
        names, report.resolve = report.resolve, []
        for name in names:
            links.resolve(node, slot, name)
    while process.gone:
        node.remember_ended(process.gone.pop(0))
    if report.waits or report.set_aside or report.stopped:
        _take_news(node, report)
    if report.events or report.notes or report.rested or report.has_letters:
        _take_texts(node, slot, report)


def _take_news(node: SimNode, report: Report) -> None:
    for waits in report.waits:
        if waits.options:
            node.waits[waits.engine] = waits
            node.record.say(f"* {waits.engine} waits for {', '.join(waits.options)}")
        else:
            node.waits.pop(waits.engine, None)
    report.waits.clear()
    for one, _ in report.set_aside:
        _set_aside(node, one)
    report.set_aside.clear()
    stopped, report.stopped = report.stopped, []
    for name in stopped:
        end_engine(node, name)


def _set_aside(node: SimNode, one: SetAside) -> None:
    """A trigger goes to quarantine; a second report of it, after a crash, is the same entry."""
    if any(known.trigger == one.trigger for known in node.quarantine):
        return
    node.quarantine.append(one)
    engine = one.trigger.engine
    found = node.directory.find(engine)
    if not isinstance(found, Missing) and found.spec.child.poison == "park":
        node.parked.add(engine)
    reason = one.detail.strip().rpartition("\n")[2]
    node.event("quarantined", engine, sender=one.trigger.sender, n=one.trigger.n, reason=reason)


def _take_texts(node: SimNode, slot: SimSlot, report: Report) -> None:
    node.record.took(report.events)
    report.events.clear()
    for trigger in report.rested:
        slot.fallen.pop(trigger, None)
    report.rested.clear()
    if report.has_letters:
        node.record.bury(*report.take_letters())
    if report.notes:
        node.record.noted(report.take_notes()[0])


def _take_spawn(node: SimNode, slot: SimSlot, child: Offspring) -> None:
    """A child was spawned. If its process did not place it, it gets a slot of its own."""
    spec = child.spec
    known = node.directory.find(spec.name)
    if known == Missing("ended") and not child.is_here and spec.durability != "volatile":
        links.tell_child_ended(node, slot.number, child.parent, spec.name)
    if known != Missing("unknown"):
        return
    if child.is_here:
        node.directory.enter(Resident(spec, slot.number, child.parent))
        node.event("spawned", spec.name, parent=child.parent)
        return
    number = free_slot(node.slots)
    if number is None:
        detail = f"{spec.name} cannot live: every slot is taken"
        letter = Letter(NO_SLOT, child.parent, spec.name, 0, node.agenda.now_ns, None, detail)
        node.record.bury({NO_SLOT: 1}, [letter])
        return
    node.event("spawned", spec.name, parent=child.parent)
    made = node.make_slot(number, [Resident(spec, number, child.parent)])
    made.spawned = True
    feed(node, made, "start_due")
