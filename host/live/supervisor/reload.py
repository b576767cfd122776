"""One reload under way: the deeds to the decisions of `host.node.reload_plan`, where stages and crash points stand.

A `Reload` owns the candidate process until the slot is its own, the snapshot, and one timer, the deadline of the
stage it is in. What happens to it (packets of both processes, the timer) is fed to the slot, whose state it is part of
(`host.node.slot_plan`); `perform` has it do what only a reload does. It ends exactly once, with a `Verdict`. The slot's
memory is handed to the candidate with `Go`, after the old process's pidfd was readable, never before.

An engine may end meanwhile, by itself or because its parent died. If its slot was made for it, the reload is over with
the slot; else its neighbours cross over without it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engines.model.store.interface import Interface
from host.live.control.protocol import ControlError
from host.live.control_page import new_control_page, read_control_page
from host.live.supervisor import links, population
from host.live.supervisor.deaths import signal_name
from host.live.supervisor.interfaces import check_interfaces
from host.live.supervisor.node import Node
from host.live.supervisor.perform import feed
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Alarm, Slot
from host.live.wire import (
    Adopt,
    Adopted,
    AtBoundary,
    Birth,
    EngineFailed,
    Exit,
    Freeze,
    Frozen,
    Go,
    Ready,
    Running,
    Thaw,
    ToSupervisor,
)
from host.node.reload_plan import (
    Checked,
    Halted,
    Happening,
    Late,
    Loaded,
    NewFailed,
    SnapshotTaken,
    Stage,
    Verdict,
    Went,
    candidate_ended,
)
from host.node.routing import Missing, Resident
from host.node.slot_state import Conclude, ReloadDeed
from host.node.supervision import Ending

FREEZE_NS: Final = 5_000_000_000
"""To reach a boundary: one batch. An engine that needs longer is stuck, and stays with the old code."""

NAMES_SHOWN: Final = 20
"""Neighbours named in the answer and in the event of a reload; of more there is the number."""

RETIRE_NS: Final = 1_000_000_000
"""To leave after everything was handed over; then it is killed."""

VERSION_SHOWN: Final = 12
"""Digits of a version digest that people see."""


class Outcome(msgspec.Struct, frozen=True):
    """How a reload ended. `pause_ns`: from the order to freeze to the word that the new process runs."""

    verdict: Verdict
    reason: str = ""
    pause_ns: int = 0
    queued: int = 0


class Reload:
    """From the birth of the candidate to the verdict. `engine` gets `family`, its neighbours keep theirs.

    Raises OSError, Closed when there is no candidate to be had.
    """

    def __init__(self, node: Node, slot: Slot, engine: str, family: str, timeout_ns: int) -> None:
        self.done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._node = node
        self._slot = slot
        self._old = slot.process
        self._engine = engine
        self._family = family
        self._timeout_ns = timeout_ns
        self._ready: set[str] = set()
        self._would_run: dict[str, Running] = {}
        self._until_ns = node.now_ns() + timeout_ns
        self._snapshot = -1
        self._queued = 0
        self._frozen_at_ns = 0
        self._timer = Alarm()
        told = self._told(node.directory.in_slot(slot.number))
        self._births = [self._changed(birth) for birth in population.births(node, told)]
        self._page = new_control_page()
        try:
            self.candidate = population.bear(node, slot, "candidate")
        except BaseException:
            os.close(self._page)
            raise
        node.reloads[slot.number] = self
        feed(node, slot, "reload_begun")
        population.send_boot(node, slot, self.candidate, self._births, candidate_page=self._page)

    @property
    def is_handing_over(self) -> bool:
        """Whether the slot's process hands out, stands, or begins: the deadlines here bound that, and nothing else."""
        return self._stage not in ("importing", "freezing")

    @property
    def version(self) -> str:
        """The family and version that the candidate has for the engine."""
        return _label(self._would_run[self._family])

    def take(self, process: Process, packet: ToSupervisor, descriptors: list[int]) -> bool:
        """Whether the packet was ours; else it goes the ordinary way."""
        if process is self.candidate:
            return self._take_from_new(packet)
        if process is self._old:
            return self._take_from_old(packet, descriptors)
        return False

    def account_of(self, ending: Ending) -> str:
        """How the candidate ended, and where it was."""
        at = read_control_page(self._page).engine
        return candidate_ended(self._stage, at, ending.code, signal_name(ending) or "")

    def _take_from_old(self, packet: ToSupervisor, descriptors: list[int]) -> bool:
        """What is not of this stage is the echo of a reload before this one, or goes the ordinary way."""
        match packet:
            case AtBoundary():
                self._feed(Halted())
            case Frozen(queued) if self._stage == "dumping":
                self._snapshot = os.dup(descriptors[0])
                self._queued = queued
                self._feed(SnapshotTaken())
            case EngineFailed(_, reason, detail) if self._stage == "dumping":
                self._feed(NewFailed(f"{reason}: {detail}"))
            case _:
                return False
        return True

    def _take_from_new(self, packet: ToSupervisor) -> bool:
        match packet:
            case Ready(engines) if self._stage == "importing":
                self._learn(engines)
            case Ready() if self._stage == "going":
                self._feed(Went())
                return False
            case EngineFailed(engine, reason, detail):
                where = f"{engine}: " if engine not in ("", self._engine) else ""
                self._feed(NewFailed(f"{where}{reason}: {detail}" if detail else f"{where}{reason}"))
            case Adopted():
                self._feed(Loaded())
            case _:
                return self._slot.process is not self.candidate
        return True

    def _learn(self, engines: tuple[Running, ...]) -> None:
        """What the candidate would run. Once it is complete, whether that may take over."""
        for engine in engines:
            self._ready.add(engine.name)
            if engine.family not in self._would_run:
                interface = engine.interface or self._node.interfaces[engine.family, engine.version]
                self._would_run[engine.family] = msgspec.structs.replace(engine, interface=interface)
        if len(self._ready) == len(self._births):
            self._feed(Checked(tuple(check_interfaces(self._node, self._candidates()))))

    def _candidates(self) -> Iterator[tuple[Resident, Interface]]:
        for resident in self._node.directory.in_slot(self._slot.number):
            family = self._family if resident.name == self._engine else resident.spec.family
            if family in self._would_run:
                yield resident, self._would_run[family].interface

    def perform(self, command: ReloadDeed | Conclude) -> None:
        """Do as `host.node.slot_plan` says."""
        match command:
            case "set_deadline":
                self._set_deadline()
            case Conclude(verdict, reason):
                self._finish(verdict, reason)
            case "freeze":
                self._frozen_at_ns = self._node.now_ns()
                self._tell_old(Freeze())
            case "thaw":
                self._tell_old(Thaw())
            case "adopt":
                self.candidate.send(Adopt(), self._snapshot)
            case "retire":
                self._tell_old(Exit())
            case "go":
                self._hand_over()
            case "kill_new":
                self.candidate.kill()
            case "enforce":
                self._change_directory()

    @property
    def _stage(self) -> Stage:
        crossing = self._slot.status.crossing
        return "over" if crossing is None else crossing.plan.stage

    def _feed(self, happening: Happening) -> None:
        feed(self._node, self._slot, happening)

    def _hand_over(self) -> None:
        """Old is gone: the candidate becomes the slot's process, with everything a process of the slot has."""
        slot = self._slot
        self._change_directory()
        parked = tuple(self._node.quarantine.parked())
        self.candidate.send(Go(parked), *slot.memory.own_descriptors())
        links.attach_all(self._node, slot, self.candidate)

    def _change_directory(self) -> None:
        self._node.directory.change_family(self._engine, self._family)

    def _finish(self, verdict: Verdict, reason: str) -> None:
        node, slot = self._node, self._slot
        del node.reloads[slot.number]
        self._timer.cancel()
        if self._snapshot >= 0:
            os.close(self._snapshot)
        os.close(self._page)
        pause_ns = node.now_ns() - self._frozen_at_ns if self._frozen_at_ns else 0
        self.done.set_result(Outcome(verdict, reason, pause_ns, self._queued))

    def _set_deadline(self) -> None:
        """Up to `adopting` one time-out is for all stages, and then the old process goes on; the new one has as much
        again to begin, since nothing could be done without it."""
        left_ns = max(0, self._until_ns - self._node.now_ns())
        limits: dict[Stage, int] = {
            "freezing": min(FREEZE_NS, left_ns),
            "retiring": RETIRE_NS,
            "going": self._timeout_ns,
        }
        self._timer.set(limits.get(self._stage, left_ns), lambda: self._feed(Late()))

    def _tell_old(self, packet: Freeze | Thaw | Exit) -> None:
        if self._old is not None:
            self._old.send(packet)

    def _told(self, residents: tuple[Resident, ...]) -> tuple[Resident, ...]:
        """Those that the candidate needs to know before it gets the engines themselves: of a log all, else one a
        family, and the engine that is reloaded, which may have another family from now on."""
        if any(resident.spec.durability != "volatile" for resident in residents):
            return residents
        of_family = {resident.spec.family: resident for resident in residents if resident.name != self._engine}
        return (*(one for one in residents if one.name == self._engine), *of_family.values())

    def _changed(self, birth: Birth) -> Birth:
        if birth.spec.name != self._engine:
            return birth
        return msgspec.structs.replace(birth, spec=msgspec.structs.replace(birth.spec, family=self._family))


async def reload_engine(node: Node, resident: Resident, to: str, timeout_ns: int) -> dict[str, Any]:
    """Replace the code of an engine, and say what it cost. Raises `ControlError`; the old engine is then untouched."""
    name, slot = resident.name, node.slots[resident.slot]
    if slot.number in node.reloads:
        raise ControlError("conflict", f"{name}: its process is being reloaded already")
    if slot.state != "running" or name not in node.running:
        raise ControlError("not_ready", f"{name} is not running: {node.faults.get(name, slot.state)}")
    before = node.running[name]
    family = to or resident.spec.family
    shared = [other.name for other in node.directory.in_slot(slot.number) if other.name != name]
    reload = Reload(node, slot, name, family, timeout_ns)
    outcome = await reload.done
    if isinstance(node.directory.find(name), Missing):
        raise ControlError("not_found", f"{name} ended while it was reloaded")
    if outcome.verdict != "switched":
        node.event("reload_refused" if outcome.verdict == "refused" else "reload_failed", name, reason=outcome.reason)
        what = "refused" if outcome.verdict == "refused" else "failed"
        untouched = "; the old one goes on untouched" if outcome.verdict == "refused" else "; it was restarted"
        raise ControlError(what, f"{name} keeps its code: {outcome.reason}{untouched}")
    if name not in node.running:
        raise ControlError("failed", f"{name}: its process ended as soon as the new code ran")
    item: dict[str, Any] = {
        "engine": name,
        "from": _label(before),
        "to": reload.version,
        "pause_ns": outcome.pause_ns,
        "queued": outcome.queued,
        "shared_with": shared[:NAMES_SHOWN],
        "shared": len(shared),
    }
    node.event("reloaded", **item)
    return item


def _label(running: Running) -> str:
    """A version for people: the family and the beginning of its digest."""
    return f"{running.family}@{running.version[:VERSION_SHOWN]}"
