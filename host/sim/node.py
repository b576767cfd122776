"""The simulated node as data: slots, directory, lanes, and the ways to wake and to reach a process.

What `host.live.supervisor.node` is live. Who changes what: `perform` gives slots their processes and takes them away,
`deaths` buries, `links` answers look-ups, `reports` takes what processes report, `cycles` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from host.config.spec import NodeSpec
from host.node.cell import Cell
from host.node.news import SetAside, Trigger, Waits
from host.node.routing import Directory, Resident
from host.node.supervision import Budget
from host.sim.agenda import Agenda, Chance, Entry
from host.sim.faults import Faults
from host.sim.lanes import Lanes
from host.sim.log import Disk
from host.sim.process import Load, SimProcess
from host.sim.record import RunRecord
from host.sim.slots import SimGroup, SimSlot

PACKET_NS: Final = 50_000
"""The most that a packet of the node takes to a process."""

ENDED_MAX: Final = 10_000
"""Engines that ended whose last state is kept."""

OUTSIDE: Final = 0
"""The slot of the world outside."""


class SimNode:
    """Mutable, one a world.

    `is_outside` tells whether a name outside listens, `drain_outside` is called with the time of mail for it,
    `take_report` and `run_cycle` are called with a process that reports, and a slot whose process has something to do.
    """

    def __init__(
        self, spec: NodeSpec, load: Load, agenda: Agenda, chance: Chance, faults: Faults, record: RunRecord
    ) -> None:
        self.spec = spec
        self.load = load
        self.agenda = agenda
        self.record = record
        self.watch = record if record.trace is not None else None
        self.faults = faults
        self.chance = chance
        self.draw = chance.stream("node")
        self.slots: dict[int, SimSlot] = {}
        self.directory = Directory()
        self.groups: dict[str, SimGroup] = {}
        self.ended: dict[str, Cell] = {}
        self.disks: dict[str, Disk] = {}
        self.quarantine: list[SetAside] = []
        self.parked: set[str] = set()
        self.waits: dict[str, Waits] = {}
        self.failures: dict[Trigger, tuple[str, ...]] = {}
        self.life = 0
        self.is_outside: Callable[[str], bool] = lambda name: False
        self.drain_outside: Callable[[int], None] = lambda at_ns: None
        self.on_memory_lost: Callable[[], None] = lambda: None
        self.take_report: Callable[[SimProcess], None] = lambda process: None
        self.run_cycle: Callable[[SimSlot], None] = lambda slot: None
        self.lanes = Lanes(agenda, chance, faults, self.label, spec.transport.lane_bytes)
        self.lanes.ring = self.ring
        self.limits = spec.supervision
        self.budget = Budget(spec.supervision.budget, spec.supervision.period_ns)

    def _run_cycle(self, slot: SimSlot) -> None:
        self.run_cycle(slot)

    def make_slot(self, number: int, residents: list[Resident], group: SimGroup | None = None) -> SimSlot:
        """A slot for these engines, which get their names."""
        slot = self.slots[number] = SimSlot(number, residents[0].name, residents, self.chance, group)
        slot.run = partial(self._run_cycle, slot)
        slot.take_rates(self.faults, frozenset(resident.name for resident in residents))
        if any(resident.spec.durability != "volatile" for resident in residents):
            slot.disk = self.disks.setdefault(slot.label, Disk())
        for resident in residents:
            self.directory.enter(resident)
        return slot

    def lose_memory(self) -> None:
        """Power was lost: only the disks are left, and the entries of the quarantine."""
        self.slots.clear()
        self.directory = Directory()
        self.waits.clear()
        self.ended.clear()
        self.lanes.clear()
        self.life += 1
        self.on_memory_lost()

    def remember_ended(self, cell: Cell) -> None:
        """Keep the last state of an engine that ended, for who looks; beyond `ENDED_MAX` the oldest goes."""
        self.ended[cell.name] = cell
        if len(self.ended) > ENDED_MAX:
            del self.ended[next(iter(self.ended))]

    def label(self, number: int) -> str:
        """A slot's name: that of its first engine."""
        slot = self.slots.get(number)
        return "outside" if slot is None else slot.label

    def tell(self, number: int, packet: Callable[[SimProcess], None]) -> None:
        """Send a packet to the process of a slot; without a process it goes nowhere, as a socket's does."""
        slot = self.slots.get(number)
        if slot is None or slot.process is None:
            return
        packets = slot.process.packets
        arrives_ns = self.agenda.now_ns + self.draw.randrange(1, PACKET_NS)
        if packets:
            arrives_ns = max(arrives_ns, packets[-1][0])
        packets.append((arrives_ns, packet))
        self.ring(number, arrives_ns)

    def ring(self, number: int, at_ns: int) -> None:
        """Wake the process of a slot at a time, if it is not woken before."""
        if number == OUTSIDE:
            self.drain_outside(at_ns)
            return
        slot = self.slots.get(number)
        if slot is None or slot.process is None or slot.is_frozen:
            return
        at_ns = max(at_ns, slot.busy_ns)
        wake = slot.wake
        if wake is not None and wake.call is not None:
            if wake.at_ns <= at_ns:
                return
            self.agenda.cancel(wake)
        slot.wake = self.agenda.at(at_ns, slot.run)

    def rearm(self, slot: SimSlot) -> None:
        """Wake a process when it has something to do, and when a timer of its engines is due."""
        process = slot.process
        if process is None or slot.is_frozen:
            return
        work_ns = process.work_ns()
        if work_ns is not None:
            self.ring(slot.number, work_ns)
        timer_ns, alarm = process.scheduler.wakes_ns, slot.alarm
        if timer_ns is None and alarm is None:
            return
        if timer_ns is not None:
            timer_ns = max(timer_ns, slot.busy_ns, self.agenda.now_ns)
        if alarm is not None and alarm.call is not None:
            if alarm.at_ns == timer_ns:
                return
            self.agenda.cancel(alarm)
        slot.alarm = self._alarm(slot, timer_ns)

    def _alarm(self, slot: SimSlot, timer_ns: int | None) -> Entry | None:
        if timer_ns is None:
            return None
        return self.agenda.at(timer_ns, slot.run, is_patient=True)

    def event(self, kind: str, engine: str, **fields: Any) -> None:
        """RunRecord something that an operator should know."""
        self.record.event(kind, engine, **fields)
