"""Resolves names to slots, and attaches slots to each other.

A worker looks up a name it has not sent to before (`Resolve`). Both ends are attached to each other before it gets the
route, each through its own socket. The target may therefore see the first doorbell before its `Attach`; it reads every
lane when it attaches one. Attachments belong to slots, not to processes: a new process in a slot is attached to the
same peers at its birth.

The awkward case: a parent spawns a child and sends its name to a third engine, which looks the name up before we have
read the parent's `Spawn`. The parent's worker wrote the `Spawn` before any message left it, so it lies in the worker's
socket: an unknown name is looked up again after the ancestor's worker has answered a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Final

from host.live.supervisor.memory import SlotMemory
from host.live.supervisor.node import SLOT_SUPERVISOR, Node
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Slot
from host.live.wire import Attach, Detach, Restarted, Route
from host.node.routing import DEGRADED, Missing, Resident

ANSWER_NS: Final = 1_000_000_000
"""How long a lookup of an unknown name waits for the process that may have spawned it."""

ROUTES_TOLD_MAX: Final = 64
"""Routes sent to a process before it asks."""

NO_SLOT: Final = "no_slot"
"""Why a spawned engine has no route: every slot was taken."""


def resolve(node: Node, slot: Slot, name: str) -> None:
    """Answer a worker's lookup of `name`, at once or after the process that may have spawned it has answered."""
    if not _answer(node, slot, name, is_final=False):
        node.run_aside(_look_again(node, slot, name))


def link(node: Node, one: int, other: int) -> None:
    """Attach two slots to each other, once."""
    if one == other or other in node.slots[one].linked:
        return
    _link(node, node.slots[one], other)
    if other == SLOT_SUPERVISOR:
        node.sessions.attach(node.slots[one])
    else:
        _link(node, node.slots[other], one)


def attach_all(node: Node, slot: Slot, process: Process) -> None:
    """Attach a new process in `slot` to all peers of the slot, and detach it from those that are gone: they own large
    messages until then, and the first `Detach` may have reached no process, or one that handed over."""
    for peer in sorted(slot.linked):
        _attach(node, process, peer)
    detach_left(slot, process)


def detach_left(slot: Slot, process: Process) -> None:
    """Detach a process from all peers of the slot that are gone."""
    for peer in sorted(slot.left):
        process.send(Detach(peer))


def attach_changed(
    node: Node, slot: Slot, process: Process, attached: Mapping[int, SlotMemory]
) -> dict[int, SlotMemory]:
    """Attach a process that is to have the slot to the slot's present peers; it was attached to others before."""
    now = {peer: _memory(node, peer) for peer in sorted(slot.linked)}
    for peer, memory in attached.items():
        if now.get(peer) is not memory:
            process.send(Detach(peer))
    for peer, memory in now.items():
        if attached.get(peer) is not memory:
            _attach(node, process, peer)
    return now


def tell_routes(node: Node, slot: Slot, process: Process) -> None:
    """Send a process in place of another the routes that this one probably had, before it asks for them one by one."""
    peers = sorted(slot.linked - {SLOT_SUPERVISOR})
    residents = (resident for peer in peers for resident in node.directory.in_slot(peer))
    for resident in islice(residents, ROUTES_TOLD_MAX):
        _answer(node, slot, resident.name, is_final=True, process=process)


def tell_restarted(node: Node, slot: Slot) -> None:
    """Peers drop the stops sent by the engines of the dead process."""
    for peer in slot.linked - {SLOT_SUPERVISOR}:
        node.tell(peer, Restarted(slot.number))
    node.sessions.peer_restarted(slot.number)


def tell_gone(node: Node, slot: Slot, name: str, reason: str) -> None:
    """Notify every peer that may have the route: `name` is not in `slot` any more."""
    for peer in slot.linked - {SLOT_SUPERVISOR}:
        node.tell(peer, Route(name, None, reason))


def tell_all(node: Node, slot: Slot, reason: str) -> None:
    """Send peers the routes to a slot anew: it is `DEGRADED`, or back ("")."""
    for resident in node.directory.in_slot(slot.number):
        for peer in slot.linked - {SLOT_SUPERVISOR}:
            node.tell(peer, Route(resident.name, slot.number, reason))


def detach(node: Node, slot: Slot) -> None:
    """A slot is dissolved: its peers forget it."""
    for peer in slot.linked - {SLOT_SUPERVISOR}:
        node.slots[peer].linked.discard(slot.number)
        node.slots[peer].left.add(slot.number)
        node.tell(peer, Detach(slot.number))
    if SLOT_SUPERVISOR in slot.linked:
        node.sessions.detach(slot.number)


def _answer(node: Node, slot: Slot, name: str, *, is_final: bool, process: Process | None = None) -> bool:
    """Send the route to `process`, by default the slot's."""
    tell = partial(node.tell, slot.number) if process is None else process.send
    if node.sessions.has(name):
        link(node, slot.number, SLOT_SUPERVISOR)
        tell(Route(name, SLOT_SUPERVISOR))
        return True
    found = node.directory.find(name)
    if isinstance(found, Missing):
        reason = "ended" if node.sessions.had(name) else found.reason
        if reason == "unknown" and not is_final:
            return False
        tell(Route(name, None, reason))
    elif node.slots[found.slot].state == "finished":
        tell(Route(name, None, "ended"))
    else:
        link(node, slot.number, found.slot)
        is_degraded = node.slots[found.slot].state == "degraded"
        tell(Route(name, found.slot, DEGRADED if is_degraded else ""))
    return True


async def _look_again(node: Node, slot: Slot, name: str) -> None:
    heard = ""
    while (ancestor := _ancestor(node, name)) is not None and ancestor.name != heard and ancestor.slot != slot.number:
        heard = ancestor.name
        process = node.slots[ancestor.slot].process
        if process is not None:
            await node.queries.ask(process, "stats", heard, ANSWER_NS)
    if node.slots.get(slot.number) is slot:
        _answer(node, slot, name, is_final=True)


def _ancestor(node: Node, name: str) -> Resident | None:
    """`name` itself or its nearest known ancestor; None for a name that no engine can have spawned."""
    from engines.model.names import parent_name  # brings the model with it: not on the way to the first engine

    above: str | None = name
    while above is not None:
        found = node.directory.find(above)
        if not isinstance(found, Missing):
            return found
        above = parent_name(above)
    return None


def _link(node: Node, slot: Slot, peer: int) -> None:
    slot.linked.add(peer)
    slot.left.discard(peer)
    _attach(node, slot.process, peer)


def _attach(node: Node, process: Process | None, peer: int) -> None:
    if process is None:
        return
    memory = _memory(node, peer)
    process.send(Attach(peer, memory.address), *memory.peer_descriptors())


def _memory(node: Node, peer: int) -> SlotMemory:
    return node.sessions.memory if peer == SLOT_SUPERVISOR else node.slots[peer].memory
