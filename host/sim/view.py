"""What a property sees of a world: read-only, made when it is looked at.

An engine whose process is down is shown as its next process will find it: with the state in its log, or, if it is
volatile, with the state it is born with. So a property need not know about crashes. One that ended is `stopped`, with
its last state; one that died with its process for good, such as a child, is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from engines.model import Configuration, Environment, birth
from host.config.engine_values import convert_engine
from host.node.cell import Cell
from host.node.routing import Missing, Resident
from host.sim.log import UNREADABLE, read_log
from host.sim.node import SimNode
from host.sim.slots import SimSlot

Status = Literal["running", "suspended", "stopped"]


class SeenEngine(msgspec.Struct, frozen=True):
    """One engine: its last committed state, and what stands beside it.

    `family` is the family's name, `timers` the names of those pending, `stored` all stored messages in order of
    mailbox and arrival, `mailbox_states` the states of its mailboxes by number (None for a gap).
    """

    name: str
    family: str
    config: Any
    state: Any
    status: Status
    timers: tuple[str, ...] = ()
    stored: tuple[Any, ...] = ()
    mailbox_states: tuple[Any, ...] = ()


class SeenEnvelope(msgspec.Struct, frozen=True):
    """A message that has left its sender and was not handled yet."""

    sender: str
    target: str
    mailbox: int
    message: Any


class SeenSystem:
    """All engines by name, and the messages in transit."""

    __slots__ = ("_decode", "_node", "now_ns")

    def __init__(self, node: SimNode, decode: Callable[[str, Any, str], Any]) -> None:
        self._node = node
        self._decode = decode
        self.now_ns = node.agenda.now_ns

    def engine(self, name: str) -> SeenEngine:
        """The engine of this name. Raises KeyError, naming those there are."""
        for slot in self._node.slots.values():
            if slot.process is not None and (cell := slot.process.scheduler.cells.get(name)) is not None:
                return _seen(cell)
        found = next((one for one in self.engines() if one.name == name), None)
        if found is None:
            raise KeyError(f"no engine {name!r}; there are {', '.join(one.name for one in self.engines())}")
        return found

    def state(self, name: str) -> Any:
        """The state of the engine of this name. Raises KeyError."""
        return self.engine(name).state

    def engines(self, family: str = "") -> tuple[SeenEngine, ...]:
        """All engines, or those of a family by its name, in order of their names."""
        found = sorted(self._engines(), key=lambda one: one.name)
        return tuple(one for one in found if not family or one.family == family)

    @property
    def in_transit(self) -> tuple[SeenEnvelope, ...]:
        """Messages in lanes and mailboxes, and those held by their senders."""
        found = [
            SeenEnvelope(frame.sender, frame.target, frame.mailbox, self._decode(frame.sender, payload, frame.target))
            for frame in self._node.lanes.in_transit()
            for payload in frame.payloads
        ]
        for cell in sorted(self._cells(), key=lambda cell: cell.name):
            found += [*_waiting(cell), *self._held(cell)]
        return tuple(found)

    def __contains__(self, name: object) -> bool:
        return any(one.name == name for one in self._engines())

    def _cells(self) -> Iterator[Cell]:
        for slot in self._node.slots.values():
            if slot.process is not None:
                yield from slot.process.scheduler.cells.values()

    def _engines(self) -> Iterator[SeenEngine]:
        find = self._node.directory.find
        yield from (_seen(cell) for name, cell in self._node.ended.items() if isinstance(find(name), Missing))
        for slot in tuple(self._node.slots.values()):
            if slot.process is not None:
                yield from map(_seen, slot.process.scheduler.cells.values())
            else:
                for resident in self._node.directory.in_slot(slot.number):
                    yield _seen_down(self._node, slot, resident)

    def _held(self, cell: Cell) -> Iterator[SeenEnvelope]:
        for target, queue in cell.held.items():
            for mailbox, message in queue:
                what = getattr(message, "message", message)
                shown = self._decode(cell.name, bytes(what), target) if isinstance(what, msgspec.Raw) else what
                yield SeenEnvelope(cell.name, target, mailbox, shown)


def _seen(cell: Cell) -> SeenEngine:
    status: Status = "stopped" if cell.is_ended else "running" if cell.suspension is None else "suspended"
    return _shown(cell.configuration, cell.family.name, cell.env, status)


def _seen_down(node: SimNode, slot: SimSlot, resident: Resident) -> SeenEngine:
    """An engine without a process, as its next one will find it."""
    if slot.disk is not None and resident.spec.durability != "volatile":
        if slot.remembered is None:
            try:
                slot.remembered = read_log(slot.disk, node.spec.node, node.load).streams
            except UNREADABLE:
                slot.remembered = {}
        stream = slot.remembered.get(resident.name)
        if stream is not None:
            status: Status = "running" if stream.question is None else "suspended"
            return _shown(stream.configuration, stream.family.name, stream.env, status)
    family: Any = node.load(resident.spec.family)
    params, state = convert_engine(family, resident.spec.params, resident.spec.state)
    configuration = Configuration(node.spec.node, resident.name, resident.parent, params, resident.birth)
    env = birth(family, configuration, now_ns=node.agenda.now_ns, state=state)
    return _shown(configuration, family.name, env, "running")


def _shown(configuration: Configuration[Any], family: str, env: Environment[Any], status: Status) -> SeenEngine:
    return SeenEngine(
        configuration.name,
        family,
        configuration.params,
        env.state,
        status,
        tuple(env.timers),
        tuple(stored.message for box in env.mailboxes if box is not None for stored in box.stored),
        tuple(None if box is None else box.state for box in env.mailboxes),
    )


def _waiting(cell: Cell) -> Iterator[SeenEnvelope]:
    for number, inbox in cell.inboxes.items():
        for batch in inbox.batches:
            for item in batch.payloads[batch.position :]:
                message = inbox.box.decode(item) if batch.is_encoded else item
                yield SeenEnvelope(batch.sender, cell.name, number, message)
