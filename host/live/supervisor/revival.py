"""What a slot whose process is gone can become: launched again, degraded, or finished. Deeds, decided elsewhere."""

from __future__ import annotations

from host.live.supervisor import links, population
from host.live.supervisor.node import Node
from host.live.supervisor.slots import Slot


def relaunch(node: Node, slot: Slot) -> None:
    """A new process for a slot without one; peers that were told of its end are told of it."""
    was_degraded = slot.state == "degraded"
    slot.move("launch")
    slot.rests = ""
    slot.restarts += 1
    for resident in node.directory.in_slot(slot.number):
        node.faults.pop(resident.name, None)
        node.diverged.pop(resident.name, None)
    population.launch(node, slot)
    links.tell_restarted(node, slot)
    if was_degraded:
        links.tell_back(node, slot)


def finish(node: Node, slot: Slot, reason: str) -> None:
    """The end of a process asked for no restart. A temporary one's engines are gone for good; nobody waits for it."""
    if slot.state != "restarting":
        return
    slot.move("finish")
    slot.settled.set()
    for resident in node.directory.in_slot(slot.number):
        node.event("finished", resident.name, slot=slot.number, reason=reason)
        links.tell_gone(node, slot, resident.name, "ended")
        if slot.kind == "temporary":
            node.directory.end(resident.name)
            population.bury(node, resident)


def degrade(node: Node, slot: Slot, reason: str) -> None:
    """No new process comes by itself; loud, because somebody has to look at it."""
    slot.move("give_up")
    slot.settled.set()
    for resident in node.directory.in_slot(slot.number):
        node.faults.setdefault(resident.name, reason)
        node.event("degraded", resident.name, reason=reason, slot=slot.number)
    links.tell_degraded(node, slot)
