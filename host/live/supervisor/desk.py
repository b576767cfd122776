"""Dispatches the packets of workers, each to the module in charge of its subject.

A slot may have two processes, its owner and the candidate of a reload. A reload under way is offered every packet
first; packets of the owner that it does not take are handled as usual. Packets of any other process are dropped: it was
replaced.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, assert_never

import msgspec

from host.live import wire
from host.live.supervisor import links, perform, population, quarantined
from host.live.supervisor.node import Node
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Slot
from host.node.news import DIVERGED, Event, NoteLine, SetAside, Waits
from host.node.reload_plan import NewFailed
from host.node.routing import Missing
from host.node.supervision import Ending
from transport.port import Closed

LOOK_AGAIN_S: Final = 0.1
"""Between two tries to inspect a spawned family, while the supervisor is short of a resource."""


class PacketDesk:
    """Takes the packets and the ends of a node's processes."""

    def __init__(self, node: Node, is_device: Callable[[str], Awaitable[bool]]) -> None:
        self._node = node
        self._is_device = is_device

    def take(self, slot: Slot, process: Process, packet: wire.ToSupervisor, descriptors: list[int]) -> None:
        """Take a packet of a process. A reload that fails at one is refused: it would wait for what does not come."""
        reload = self._node.reloads.get(slot.number)
        try:
            if reload is not None and reload.take(process, packet, descriptors):
                return
        except Exception as error:
            perform.feed(self._node, slot, NewFailed(f"internal error: {error!r}, of which supervisor.log has more"))
            raise
        if process is slot.process:
            self._take_from_owner(slot, packet, descriptors)

    def ended(self, slot: Slot, process: Process, ending: Ending) -> None:
        """A process ended."""
        self._node.queries.forget(process)
        perform.end_process(self._node, slot, process, ending)

    def _take_from_owner(self, slot: Slot, packet: wire.ToSupervisor, descriptors: list[int]) -> None:
        node = self._node
        match packet:
            case wire.Ready(engines):
                for running, names in engines:
                    self._take_ready(slot, running, names)
                self._settle(slot)
            case wire.EngineFailed(engine, reason, detail):
                self._take_failed(slot, engine, reason, detail)
            case wire.Resolve(name):
                links.resolve(node, slot, name)
            case wire.ChildrenSpawned(children):
                self._take_spawned(slot, children)
            case wire.EngineEnded(name):
                perform.end_engine(node, name)
                self._settle(slot)
            case wire.Letters(counts, letters):
                node.letters.add(counts, letters)
                node.sessions.take_letters(letters)
                for letter in letters:
                    if letter.reason == "failed":
                        self._report_failure(slot, letter.target, letter.detail)
            case wire.Notes(notes, dropped):
                self._take_notes(slot, notes, dropped)
            case Waits(engine, options):
                node.waits.pop(engine, None)
                if options:
                    node.waits[engine] = packet
            case wire.Rested(fallen):
                for message in fallen:
                    slot.fallen.pop(message, None)
            case SetAside(at, _, _, _, detail):
                quarantined.take(node, packet, descriptors)
                self._report_failure(slot, at.engine, detail)
            case wire.Reply():
                node.queries.take(packet, descriptors)
            case Event(kind, engine, fields):
                node.event(kind, engine, **fields)
                self._take_news(slot, kind, engine, fields)
            case (
                wire.Hello()
                | wire.Recalled()
                | wire.Rehearsed()
                | wire.Level()
                | wire.Primed()
                | wire.Took()
                | wire.NotPassed()
                | wire.AtBoundary()
                | wire.Frozen()
                | wire.Adopted()
                | wire.Left()
            ):
                pass  # a second introduction, or the echo of a reload that was given up
            case _:
                assert_never(packet)

    def _report_failure(self, slot: Slot, engine: str, detail: str) -> None:
        probation = self._node.probations.get(slot.number)
        if probation is not None:
            probation.failed(engine, detail)

    def _take_news(self, slot: Slot, kind: str, engine: str, fields: dict[str, Any]) -> None:
        """Act on an event that concerns the supervisor."""
        if kind == "failed" and engine in slot.unready:
            self._node.faults[engine] = f"{fields['reason']}: {fields['detail']}"
        elif kind == DIVERGED:
            how = f"turn {fields['turn']}: recorded {fields['recorded']}; the replay gives {fields['found']}"
            self._node.diverged[engine] = f"{DIVERGED}: {how}"
        elif kind == wire.JOURNAL_GONE:
            what = "its state is in a new one" if fields["saved"] else f"its state is lost: {fields['reason']}"
            slot.rests = f"the log in {fields['journal']} was removed; {what}"
        elif kind == wire.JOURNAL_MOVED:
            self._node.data = os.path.dirname(os.path.dirname(fields["journal"]))

    def _take_ready(self, slot: Slot, running: wire.Running, names: Iterable[str]) -> None:
        node = self._node
        assert slot.process is not None
        running = self._sharing_interface(running)
        population.note_code(node, slot, running.version)
        for name in names:
            if isinstance(node.directory.find(name), Missing):
                continue
            if name in slot.unready or name not in node.running:
                node.rates.begin(name, node.now_ns())
            node.running[name] = running
            node.directory.follow_family(name, running.family)
            node.faults.pop(name, None)
            slot.device = bool(running.interface["device"])
            if name in slot.unready:
                slot.unready.discard(name)
                kind = "restarted" if slot.restarts else "started"
                node.event(kind, name, slot=slot.number, pid=slot.process.pid, version=running.version)
                node.on_ready(name, slot.process.pid)

    def _sharing_interface(self, running: wire.Running) -> wire.Running:
        """One interface for all engines of a family and version: the one that the first engine reported."""
        key = (running.family, running.version)
        if running.interface is not None:
            self._node.interfaces.setdefault(key, running.interface)
        return msgspec.structs.replace(running, interface=self._node.interfaces[key])

    def _take_failed(self, slot: Slot, engine: str, reason: str, detail: str) -> None:
        node = self._node
        node.faults[engine] = f"{reason}: {detail}" if detail else reason
        node.event("failed", engine, slot=slot.number, reason=reason, detail=detail)
        slot.unready.discard(engine)
        if node.phase == "starting" and reason == "journal" and node.spec.without_damaged:
            slot.rests = node.faults[engine]
        elif node.phase == "starting":
            node.on_fault(engine, reason, detail)
            self._settle(slot)
            return
        if not slot.unready and all(r.name in node.faults for r in node.directory.in_slot(slot.number)):
            perform.feed(node, slot, "engines_failed")
            return
        self._settle(slot)

    def _settle(self, slot: Slot) -> None:
        """A slot is up once all its engines have reported, the node once all slots are up."""
        if slot.state == "starting" and not slot.unready:
            perform.feed(self._node, slot, "engines_ready")
            if (probation := self._node.probations.get(slot.number)) is not None:
                probation.ready()

    def _take_spawned(self, slot: Slot, children: tuple[wire.Born, ...]) -> None:
        for child in children:
            self._take_child(slot, child)
        for child in children:
            if child.running is not None:
                self._take_ready(slot, child.running, [child.birth.spec.name])
        self._settle(slot)

    def _take_child(self, slot: Slot, child: wire.Born) -> None:
        made = population.take_spawn(self._node, slot, child)
        if made is not None:
            self._node.run_aside(self._start_child(made, child.birth.spec.family))

    async def _start_child(self, slot: Slot, family: str) -> None:
        """Start the process of a slot made for a child; mail for it may already be in the lanes."""
        while slot.state == "starting":
            try:
                slot.device = await self._is_device(family)
                break
            except (OSError, Closed) as error:
                population.tell_birth_failed(self._node, slot, error)
                await asyncio.sleep(LOOK_AGAIN_S)
        perform.feed(self._node, slot, "start_due")

    def _take_notes(self, slot: Slot, notes: tuple[NoteLine, ...], dropped: int) -> None:
        lines = [{"time": n.now_ns, "engine": n.engine, "text": n.text, "fields": n.fields} for n in notes]
        self._node.logs.append(lines)
        if dropped:
            self._node.event("log_lines_dropped", "", slot=slot.number, count=dropped)
