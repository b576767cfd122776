"""Runs the cycles of simulated processes, and has the faults that strike in them.

A cycle takes time: `CYCLE_NS` with some spread, `TRIGGER_NS` for each trigger, and what the fault `slow` adds to that.
Engines see it pass, the budget of a run is spent by it, and what the cycle sends leaves at its end. So time passes
whatever engines do, and a slow engine's mailbox fills.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from host.config.placement import SlotPlan
from host.node.circles import LOOK_NS, Allowance, Looks, Loss
from host.node.progress import STUCK
from host.node.slot_state import ProcessEnded
from host.node.strategies import GroupWork
from host.sim.faults import FaultKind
from host.sim.node import SimNode
from host.sim.perform import KILLED, feed, kill_process, start_all
from host.sim.process import PLACES, Kill, Killed, SimProcess
from host.sim.reloads import SimReload
from host.sim.slots import SimSlot

CYCLE_NS: Final = 1_000
TRIGGER_NS: Final = 500

RUN_MESSAGES_MAX: Final = 8
"""A kill in a run comes within so many messages."""

POWER_BACK_NS: Final = 1_000_000_000
"""Between a loss of power and the next start of the node."""


class Cycles:
    """Mutable, one a world. `triggers` counts messages handled, and cycles without mail, which are those of timers."""

    def __init__(self, node: SimNode, plans: tuple[SlotPlan, ...]) -> None:
        """`plans` are the slots that a new start of the node makes."""
        self.triggers = 0
        self.cycles = 0
        self._node = node
        self._agenda = node.agenda
        self._plans = plans
        self._looks = Looks()
        self._is_looking = False

    def run(self, slot: SimSlot) -> None:
        """The process of a slot has something to do."""
        agenda, process = self._agenda, slot.process
        if process is None or slot.is_frozen:
            return
        if agenda.now_ns < slot.busy_ns:
            self._node.rearm(slot)
            return
        kill = self._strikes(slot) if slot.rates else None
        if slot.process is not process or slot.is_frozen:
            return
        tally = process.scheduler.tally
        before = tally.handled
        cycle_ns = CYCLE_NS + slot.draw.getrandbits(9)
        trigger_ns = TRIGGER_NS if slot.slow is None else TRIGGER_NS + self._slowness(slot)
        try:
            slot.busy_ns = process.cycle(kill, cycle_ns, trigger_ns)
        except Killed:
            assert kill is not None
            self._node.event("kill", slot.label, at=kill.where)
            kill_process(self._node, slot)
            return
        self.triggers += (tally.handled - before) or 1
        self.cycles += 1
        self._node.rearm(slot)
        if slot.page.words[STUCK] and not self._is_looking:
            self._is_looking = True
            agenda.after(LOOK_NS, self._look)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _slowness(self, slot: SimSlot) -> int:
        assert slot.slow is not None
        name = self._node.faults.strikes("slow", slot.label, slot.slow, slot.draw)
        return self._node.faults.detail(name).randrange(1, slot.slow.lasts_ns + 1) if name else 0

    def _strikes(self, slot: SimSlot) -> Kill | None:
        """The faults that happen at this cycle. All of them are drawn, whatever the first of them does."""
        faults = self._node.faults
        kill: Kill | None = None
        for kind, rate in slot.rates:
            name = faults.strikes(kind, slot.label, rate, slot.draw)
            if not name:
                continue
            if kind == "crash":
                detail = faults.detail(name)
                kill = Kill(detail.choice(PLACES), detail.randrange(RUN_MESSAGES_MAX), detail)
            else:
                self._do(kind, name, slot, rate.lasts_ns)
        return kill

    def _do(self, kind: FaultKind, name: str, slot: SimSlot, lasts_ns: int) -> None:
        match kind:
            case "node" | "power":
                self.kill_all(name, loses_power=kind == "power")
            case "partition":
                self._part(name, lasts_ns)
            case "reload":
                self.reload(slot)

    def reload(self, slot: SimSlot, engine: str = "", family: str = "") -> SimReload | None:
        """Reload a slot, by default every engine of it with its own family; None if it is not up."""
        residents = self._node.directory.in_slot(slot.number)
        if slot.status.state != "running" or slot.status.crossing is not None or not residents:
            return None
        chosen = next((one for one in residents if one.name == engine), residents[0])
        return SimReload(self._node, slot, chosen.name, family or chosen.spec.family)

    def _part(self, name: str, lasts_ns: int) -> None:
        node = self._node
        if node.lanes.apart and self._agenda.now_ns < node.lanes.apart_until_ns:
            return
        detail = node.faults.detail(name)
        numbers = sorted(node.slots)
        if len(numbers) < 2:
            return
        apart = frozenset(detail.sample(numbers, detail.randrange(1, len(numbers))))
        self.part(apart, detail.randrange(1, lasts_ns + 1))

    def part(self, apart: frozenset[int], lasts_ns: int) -> None:
        """Cut slots off from all others for a while."""
        node = self._node
        node.lanes.part(apart, self._agenda.now_ns + lasts_ns)
        node.event("partition", "", apart=" ".join(node.label(number) for number in sorted(apart)), lasts_ns=lasts_ns)
        self._agenda.after(lasts_ns, partial(node.lanes.part, frozenset(), 0))

    def kill_all(self, name: str, *, loses_power: bool) -> None:
        """All processes are killed, and lanes are gone; with the power what was not synced, too. Then the node starts
        again."""
        node = self._node
        detail = node.faults.detail(name)
        node.event("power_lost" if loses_power else "node_killed", "")
        for group in node.groups.values():
            self._agenda.cancel(group.timer)
            group.work = GroupWork()
        for slot in tuple(node.slots.values()):
            slot.rest(self._agenda)
            self._agenda.cancel(slot.timer)
            feed(node, slot, "node_stops")
            slot.process = None
            feed(node, slot, ProcessEnded(slot.pids, KILLED))
        for disk in node.disks.values() if loses_power else ():
            disk.lose_power(detail)
        node.lose_memory()
        self._agenda.after(POWER_BACK_NS, partial(start_all, node, self._plans))

    # --- circles of stopped engines -----------------------------------------------------------------------------------

    def _look(self) -> None:
        """Look for engines that stop each other, as `host.live.supervisor.circles` does."""
        node = self._node
        self._is_looking = False
        slots = [slot for slot in node.slots.values() if slot.process is not None and slot.page.words[STUCK]]
        stuck = [one for slot in slots if slot.process is not None for one in slot.process.stuck()]
        for relief in self._looks.reliefs(stuck):
            self._relieve(relief)
        if slots:
            self._is_looking = True
            self._agenda.after(LOOK_NS, self._look)

    def _relieve(self, relief: Allowance | Loss) -> None:
        node = self._node
        found = node.directory.find(relief.engine)
        number = getattr(found, "slot", None)
        if number is None:
            return
        what = "allowance" if isinstance(relief, Allowance) else "loss"
        node.event("circle", relief.engine, relief=what, engines=" ".join(relief.circle))
        node.tell(number, partial(_relief, relief))


def _relief(relief: Allowance | Loss, process: SimProcess) -> None:
    if isinstance(relief, Allowance):
        process.outbox.relief.allow(process.scheduler, relief.engine)
    else:
        process.outbox.lose(relief.engine, relief.target)
