"""Resolves names to slots and attaches slots to each other, as `host.live.supervisor.links` does."""

from __future__ import annotations

from functools import partial

from host.node.routing import DEGRADED, Missing
from host.sim.node import OUTSIDE, SimNode
from host.sim.process import SimProcess
from host.sim.slots import SimSlot


def resolve(node: SimNode, slot: SimSlot, name: str) -> None:
    """Answer a process's look-up of `name`. Spawns are reported before look-ups, so an unknown name is unknown."""
    if node.is_outside(name):
        link(node, slot.number, OUTSIDE)
        _route(node, slot.number, name, OUTSIDE)
        return
    found = node.directory.find(name)
    if isinstance(found, Missing):
        _route(node, slot.number, name, None, found.reason)
    elif node.slots[found.slot].status.state == "finished":
        _route(node, slot.number, name, None, "ended")
    else:
        link(node, slot.number, found.slot)
        is_degraded = node.slots[found.slot].status.state == "degraded"
        _route(node, slot.number, name, found.slot, DEGRADED if is_degraded else "")


def link(node: SimNode, one: int, other: int) -> None:
    """Attach two slots to each other, once."""
    if one == other or other in node.slots[one].linked:
        return
    _link(node.slots[one], other)
    if other != OUTSIDE:
        _link(node.slots[other], one)


def attach_all(slot: SimSlot, process: SimProcess) -> None:
    """Attach a new process to all peers of its slot, and detach it from those that are gone."""
    for peer in sorted(slot.linked):
        _attach(process, peer)
    for peer in sorted(slot.left):
        _detach(peer, process)


def tell_restarted(node: SimNode, slot: SimSlot) -> None:
    """Peers drop the stops sent by the engines of the dead process."""
    for peer in sorted(slot.linked - {OUTSIDE}):
        node.tell(peer, partial(_restarted, slot.number))


def tell_gone(node: SimNode, slot: SimSlot, name: str) -> None:
    """Every peer learns that `name` is not in `slot` any more."""
    for peer in sorted(slot.linked - {OUTSIDE}):
        _route(node, peer, name, None, "ended")


def tell_degraded(node: SimNode, slot: SimSlot) -> None:
    """Nobody reads this slot's lanes for now."""
    tell_restarted(node, slot)
    _tell_all(node, slot, DEGRADED)


def tell_back(node: SimNode, slot: SimSlot) -> None:
    """A degraded slot is back."""
    _tell_all(node, slot, "")


def tell_child_ended(node: SimNode, number: int, parent: str, child: str) -> None:
    """A journaled parent need not spawn a child again."""
    node.tell(number, partial(_child_ended, parent, child))


def end(node: SimNode, number: int, name: str) -> None:
    """An engine ends because an ancestor of it began again."""
    node.tell(number, partial(_end, name))


def detach(node: SimNode, slot: SimSlot) -> None:
    """A slot is dissolved: its peers forget it."""
    for peer in sorted(slot.linked - {OUTSIDE}):
        node.slots[peer].linked.discard(slot.number)
        node.slots[peer].left.add(slot.number)
        node.tell(peer, partial(_detach, slot.number))
    node.lanes.forget(slot.number)


def _tell_all(node: SimNode, slot: SimSlot, reason: str) -> None:
    for resident in node.directory.in_slot(slot.number):
        for peer in sorted(slot.linked - {OUTSIDE}):
            _route(node, peer, resident.name, slot.number, reason)


def _route(node: SimNode, number: int, name: str, slot: int | None, reason: str = "") -> None:
    node.tell(number, partial(_take_route, name, slot, reason))


def _link(slot: SimSlot, peer: int) -> None:
    slot.linked.add(peer)
    slot.left.discard(peer)
    if slot.process is not None:
        _attach(slot.process, peer)


def _attach(process: SimProcess, peer: int) -> None:
    process.link.attach(peer)
    if process.boot.is_new and process.link.published(peer):
        process.outbox.signals.begin(peer)


# --- packets, in the process that reads them --------------------------------------------------------------------------


def _take_route(name: str, slot: int | None, reason: str, process: SimProcess) -> None:
    process.outbox.route(name, slot, reason)


def _restarted(slot: int, process: SimProcess) -> None:
    process.outbox.restarted(slot)


def _child_ended(parent: str, child: str, process: SimProcess) -> None:
    if process.keeping is not None:
        process.keeping.child_ended(parent, child)


def _end(name: str, process: SimProcess) -> None:
    cell = process.scheduler.cells.get(name)
    if cell is not None:
        process.scheduler.end(cell)
        process.gone.append(cell)


def _detach(slot: int, process: SimProcess) -> None:
    process.link.detach(slot)
    process.outbox.detached(slot)
