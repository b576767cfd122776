"""What a property sees of a world: `engines.model.system_view`, read-only, made when it is looked at.

An engine whose process is down is shown as its next process will find it: with the state in its log, or, if it is
volatile, with the state it is born with. So a property need not know about crashes. One that ended is `stopped`, with
its last state; one that died with its process for good, such as a child, is not shown.

In transit are the messages in lanes and mailboxes, and those held by their senders. A world keeps no history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from engines.model import Configuration, Environment, birth
from engines.model.system import Envelope
from engines.model.system_view import EngineStatus, EngineView, SystemView
from host.config.engine_values import convert_engine
from host.node.cell import Cell
from host.node.routing import Missing, Resident
from host.sim.log import UNREADABLE, read_log
from host.sim.node import SimNode
from host.sim.slots import SimSlot

Decode = Callable[[str, Any, str], Any]
"""A message from its sender, its bytes, and its target."""


def view_of(node: SimNode, decode: Decode) -> SystemView:
    """The system as it is now."""
    return SystemView(SeenEngines(node), lambda: _in_transit(node, decode), now_ns=node.agenda.now_ns)


class SeenEngines(Mapping[str, EngineView]):
    """All engines by name, in order of the names; each is looked at when it is asked for."""

    def __init__(self, node: SimNode) -> None:
        self._node = node

    def __getitem__(self, name: str) -> EngineView:
        node = self._node
        for cells in _cells(node):
            if (cell := cells.get(name)) is not None:
                return _seen(cell)
        found = node.directory.find(name)
        if isinstance(found, Missing):
            return _seen(node.ended[name])
        slot = node.slots[found.slot]
        if slot.process is not None:
            raise KeyError(name)
        return _seen_down(node, slot, found)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> set[str]:
        node = self._node
        names = {name for name in node.ended if isinstance(node.directory.find(name), Missing)}
        names.update(*_cells(node))
        for slot in node.slots.values():
            if slot.process is None:
                names.update(resident.name for resident in node.directory.in_slot(slot.number))
        return names


def _cells(node: SimNode) -> Iterator[dict[str, Cell]]:
    return (slot.process.scheduler.cells for slot in node.slots.values() if slot.process is not None)


def _seen(cell: Cell) -> EngineView:
    status: EngineStatus = "stopped" if cell.is_ended else "running" if cell.suspension is None else "suspended"
    return _shown(cell.configuration, cell.family.name, cell.env, status)


def _seen_down(node: SimNode, slot: SimSlot, resident: Resident) -> EngineView:
    """An engine without a process, as its next one will find it."""
    if slot.disk is not None and resident.spec.durability != "volatile":
        if slot.remembered is None:
            try:
                slot.remembered = read_log(slot.disk, node.spec.node, node.load).replay.streams
            except UNREADABLE:
                slot.remembered = {}
        stream = slot.remembered.get(resident.name)
        if stream is not None:
            return _seen(stream.cell)
    family: Any = node.load(resident.spec.family)
    params, state = convert_engine(family, resident.spec.params, resident.spec.state)
    configuration = Configuration(node.spec.node, resident.name, resident.parent, params, resident.birth)
    env = birth(family, configuration, now_ns=node.agenda.now_ns, state=state)
    return _shown(configuration, family.name, env, "running")


def _shown(configuration: Configuration[Any], family: str, env: Environment[Any], status: EngineStatus) -> EngineView:
    return EngineView(
        configuration.name,
        family,
        configuration.params,
        env.state,
        status,
        tuple(env.timers),
        tuple(stored.message for box in env.mailboxes if box is not None for stored in box.stored),
        tuple(None if box is None else box.state for box in env.mailboxes),
    )


# --- messages in transit ----------------------------------------------------------------------------------------------


def _in_transit(node: SimNode, decode: Decode) -> tuple[Envelope, ...]:
    found = [
        Envelope(frame.target, decode(frame.sender, payload, frame.target), frame.sender, frame.mailbox)
        for frame in node.lanes.in_transit()
        for payload in frame.payloads
    ]
    for cell in sorted((cell for cells in _cells(node) for cell in cells.values()), key=lambda cell: cell.name):
        found += [*_waiting(cell), *_held(cell, decode)]
    return tuple(found)


def _waiting(cell: Cell) -> Iterator[Envelope]:
    for number, inbox in cell.inboxes.items():
        for batch in inbox.batches:
            for item in batch.payloads[batch.position :]:
                message = inbox.box.decode(item) if batch.is_encoded else item
                yield Envelope(cell.name, message, batch.sender, number)


def _held(cell: Cell, decode: Decode) -> Iterator[Envelope]:
    for target, queue in cell.held.items():
        for mailbox, message in queue:
            what = getattr(message, "message", message)
            shown = decode(cell.name, bytes(what), target) if isinstance(what, msgspec.Raw) else what
            yield Envelope(target, shown, cell.name, mailbox)
