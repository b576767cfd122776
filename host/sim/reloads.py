"""A reload of a simulated slot, stage by stage, as `host.live.supervisor.reload` performs it live.

Each stage of `host.node.reload_plan` takes a while, in which the old process may be killed like any other, as long as
it runs cycles; and between two stages the fault `crash` may end either process (`_strike`). The candidate is data until
it gets the slot: what it would run, then what it has read and migrated (`Inherited`). Deadlines are not simulated.

Journaled engines are rehearsed whether or not their code differs, so that every reload of any test also checks that an
engine's own code reproduces its past.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, Final, Literal

from engines.model import Family
from engines.model.blame import blame
from engines.model.store.interface import compatible
from host.node.past import PastEnd, encode_past
from host.node.rehearsal import Differs, rehearse
from host.node.reload_plan import Checked, Happening, NewFailed
from host.node.slot_state import Conclude, ProcessEnded, ReloadDeed
from host.node.supervision import Ending
from host.sim import links
from host.sim.log import UNREADABLE, read_past
from host.sim.node import SimNode
from host.sim.perform import boot_of, feed, kill_process, make_process
from host.sim.process import Inherited, inherit
from host.sim.slots import SimSlot

STAGE_NS: Final = 1_000_000
"""The most that a stage takes."""

REHEARSED: Final = 200
"""The last turns of an engine that are rehearsed."""

CANDIDATE_KILLED: Final = "the new process was killed"


class SimReload:
    """From the candidate to the verdict. `engine` gets `family`; its neighbours keep theirs."""

    def __init__(self, node: SimNode, slot: SimSlot, engine: str, family: str) -> None:
        self.verdict = ""
        self.reason = ""
        self._node = node
        self._slot = slot
        self._engine = engine
        self._family = family
        self._draw = node.chance.stream("reload", slot.label, slot.pids, node.agenda.now_ns)
        self._parts: list[bytes] = []
        self._past: list[bytes] = []
        self._inherited: Inherited | None = None
        slot.reload = self
        feed(node, slot, "reload_begun")
        self._later(self._check, "new")

    def perform(self, command: ReloadDeed | Conclude) -> None:
        """Perform a command of `host.node.slot_plan`."""
        match command:
            case "set_deadline" | "kill_new":
                pass
            case "recall":
                self._later(self._recall, "old")
            case "rehearse":
                self._later(self._rehearse, "new")
            case "freeze":
                self._later(self._freeze, "old")
            case "thaw":
                self._thaw()
            case "adopt":
                self._later(self._adopt, "new")
            case "retire":
                self._later(self._retire, "old")
            case "go":
                self._later(self._go, "new")
            case "enforce":
                self._node.directory.change_family(self._engine, self._family)
            case Conclude(verdict, reason):
                self._conclude(verdict, reason)

    def _later(self, act: Callable[[], None], who: Literal["old", "new"]) -> None:
        """The next stage, performed by one of the two processes, unless that is killed or the reload has ended."""

        def begin() -> None:
            if not self.verdict and self._strike() != who and not self.verdict:
                act()

        self._node.agenda.after(self._draw.randrange(1, STAGE_NS), begin)

    def _strike(self) -> Literal["", "old", "new"]:
        """The process that is killed here, if one is."""
        node, slot = self._node, self._slot
        rate = dict(slot.rates).get("crash")
        name = "" if rate is None else node.faults.strikes("crash", f"{slot.label}/reload", rate, self._draw)
        if not name:
            return ""
        crossing = slot.status.crossing
        stage = "over" if crossing is None else crossing.plan.stage
        if slot.process is not None and node.faults.detail(name).random() < 0.5:
            node.event("kill", slot.label, at=f"reload, {stage}")
            kill_process(node, slot)
            return "old"
        node.event("kill", slot.label, at=f"reload, the new process, {stage}")
        if stage == "going":
            kill_process(node, slot)  # it owns the slot already
        else:
            feed(node, slot, ProcessEnded(0, Ending(signal=9), owned=False, account=CANDIDATE_KILLED))
        return "new"

    def _feed(self, happening: Happening) -> None:
        feed(self._node, self._slot, happening)

    def _check(self) -> None:
        """The candidate has imported its families: may they take over?"""
        node = self._node
        found: list[str] = []
        for resident in node.directory.in_slot(self._slot.number):
            family = self._family if resident.name == self._engine else resident.spec.family
            try:
                old, new = node.load(resident.spec.family), node.load(family)
            except Exception as error:
                self._feed(NewFailed(f"import: {blame(error)[0]}"))
                return
            if isinstance(old, Family) and isinstance(new, Family):
                found += [f"{resident.name}: {text}" for text in compatible(old.interface(), new.interface())]
        self._feed(Checked(tuple(found), rehearses=bool(self._journaled())))

    def _journaled(self) -> list[str]:
        disk = boot_of(self._node, self._slot, is_new=False).disk
        residents = self._node.directory.in_slot(self._slot.number)
        return [one.name for one in residents if one.spec.durability != "volatile"] if disk is not None else []

    def _recall(self) -> None:
        """The old process reads its log, as far as it is written."""
        node, boot = self._node, boot_of(self._node, self._slot, is_new=False)
        assert boot.disk is not None
        try:
            pasts = [read_past(boot.disk, boot.node, node.load, name, REHEARSED) for name in self._journaled()]
        except (KeyError, *UNREADABLE):  # an engine that was just born, or whose log has turns of other code
            self._feed("unrecalled")
            return
        self._past = [*chain.from_iterable(pasts), encode_past(PastEnd())]
        self._feed("recalled")

    def _rehearse(self) -> None:
        try:
            rehearse(self._past, self._rehearsed)
        except Differs as error:
            self._feed(NewFailed(f"rehearsal: {error}"))
        else:
            self._feed("rehearsed")

    def _rehearsed(self, engine: str, _before: str) -> Family[Any, Any, Any, Any]:
        family = self._node.load(self._family_of(engine) or "")
        assert isinstance(family, Family)
        return family

    def _freeze(self) -> None:
        """The old process stops at a boundary and hands out its state."""
        process = self._slot.process
        if process is None:
            return
        process.cycle(None)
        self._slot.rest(self._node.agenda)
        self._slot.is_frozen = True
        self._feed("halted")
        self._later(self._dump, "old")

    def _dump(self) -> None:
        process = self._slot.process
        if process is not None:
            self._parts = process.hand_out()
            self._feed("snapshot_taken")

    def _retire(self) -> None:
        """The old process exits; its log, if there is one, begins with the snapshot it handed out."""
        slot = self._slot
        if slot.process is not None:
            slot.rest(self._node.agenda)
            slot.process = None
            feed(self._node, slot, ProcessEnded(slot.pids, Ending(code=0)))

    def _adopt(self) -> None:
        node, slot = self._node, self._slot
        boot = boot_of(node, slot, is_new=False)
        try:
            self._inherited = inherit(self._parts, boot, node.load, self._family_of)
        except Exception as error:
            self._feed(NewFailed(f"adopt: {blame(error)[0]}"))
            return
        self._feed("loaded")

    def _family_of(self, engine: str) -> str | None:
        if engine == self._engine:
            return self._family
        found = next((one for one in self._node.directory.in_slot(self._slot.number) if one.name == engine), None)
        return None if found is None else found.spec.family

    def _go(self) -> None:
        """The old process is gone: the candidate becomes the slot's process."""
        node, slot, inherited = self._node, self._slot, self._inherited
        assert inherited is not None
        node.directory.change_family(self._engine, self._family)
        slot.pids += 1
        slot.is_frozen = False
        process = make_process(node, slot, boot_of(node, slot, is_new=False), found=inherited.found)
        links.attach_all(slot, process)
        process.take_over(inherited)
        self._feed("went")
        node.rearm(slot)

    def _thaw(self) -> None:
        self._slot.is_frozen = False
        self._node.rearm(self._slot)

    def _conclude(self, verdict: str, reason: str) -> None:
        self.verdict, self.reason = verdict, reason
        self._slot.reload = None
        kind = {"switched": "reloaded", "refused": "reload_refused"}.get(verdict, "reload_failed")
        self._node.event(kind, self._engine, **({"reason": reason} if reason else {"to": self._family}))
