"""Slots as the simulated node holds them: what outlives processes, and the process of the moment."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from host.config.spec import GroupSpec, SupervisionSpec
from host.node.endings import Kind, strongest
from host.node.journal.stream import Stream
from host.node.news import Trigger
from host.node.routing import Resident
from host.node.slot_state import Conclude, ReloadDeed, SlotState
from host.node.strategies import GroupWork
from host.node.supervision import History
from host.sim.agenda import Agenda, Chance, Entry
from host.sim.faults import FaultKind, FaultRate, Faults
from host.sim.log import Disk
from host.sim.page import Page
from host.sim.process import SimProcess


class ReloadUnderWay(Protocol):
    """A reload of a slot (`host.sim.reloads`)."""

    def perform(self, command: ReloadDeed | Conclude, /) -> None:
        """Perform a command that concerns only the reload."""


class SimGroup:
    """Mutable: slots that are supervised together."""

    def __init__(self, spec: GroupSpec, limits: SupervisionSpec) -> None:
        self.spec = spec
        self.limits = limits
        self.slots: list[int] = []
        self.history = History()
        self.work = GroupWork()
        self.timer: Entry | None = None


class SimSlot:
    """Mutable. `label` names it in faults and in the trace; `busy_ns` is when its process has done its last cycle.

    `run` has its process run a cycle; `wake` is when that has something to do, `alarm` the next timer of its engines;
    `timer` is that of its state. `is_frozen`: its process stands still for a reload. `left`: slots that were linked and
    are gone. `remembered`: what its log says of its engines, while it has no process and somebody looks.
    """

    def __init__(
        self, number: int, label: str, residents: list[Resident], chance: Chance, group: SimGroup | None = None
    ) -> None:
        self.number = number
        self.label = label
        self.group = group
        self.status = SlotState(strategy=None if group is None else group.spec.strategy)
        self.kind: Kind = strongest(frozenset(resident.spec.child.restart for resident in residents))
        self.page = Page()
        self.disk: Disk | None = None
        self.draw: Random = chance.stream("slot", label)
        self.rolls: Random = chance.stream("rolls", label)
        self.process: SimProcess | None = None
        self.history = History()
        self.spawned = False
        self.epoch = 0
        self.pids = 0
        self.restarts = 0
        self.busy_ns = 0
        self.run: Callable[[], None] = lambda: None
        self.wake: Entry | None = None
        self.alarm: Entry | None = None
        self.timer: Entry | None = None
        self.is_frozen = False
        self.reload: ReloadUnderWay | None = None
        self.remembered: dict[str, Stream] | None = None
        self.fallen: dict[Trigger, str] = {}
        self.linked: set[int] = set()
        self.left: set[int] = set()
        self.rates: tuple[tuple[FaultKind, FaultRate], ...] = ()
        self.slow: FaultRate | None = None

    def roll(self, sides: int) -> int:
        """The answer to a question of chance, from 0."""
        return self.rolls.randrange(sides)

    def take_rates(self, faults: Faults, engines: frozenset[str]) -> None:
        """Look up the faults that may happen in cycles here."""
        kinds: tuple[FaultKind, ...] = ("node", "power", "partition", "reload", "crash")
        found = [(kind, faults.rate(kind, engines)) for kind in kinds]
        self.rates = tuple((kind, rate) for kind, rate in found if rate is not None)
        self.slow = faults.rate("slow", engines)

    def rest(self, agenda: Agenda) -> None:
        """No process, so nothing to wake."""
        agenda.cancel(self.wake)
        agenda.cancel(self.alarm)
        self.wake = self.alarm = None
        self.remembered = None
        self.is_frozen = False
