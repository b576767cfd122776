"""One reload under way: performs what `host.node.reload_plan` decides; stages and crash points are described there.

A `Reload` owns the candidate process until that takes over the slot, the snapshot, and one timer, the deadline of the
present stage. Its inputs (packets of both processes, the timer) are fed to the slot, whose state includes it
(`host.node.slot_plan`); `perform` hands it the commands that concern only a reload. It ends exactly once, with a
`Verdict`. The candidate gets the slot's memory with `Go`, after the old process has sent `Left` or its pidfd was
readable, never before. One that has left and does not exit is killed at the end.

A candidate that is primed has mapped that memory already, and takes the slot itself (`passing`). What is sent to the
slot's process meanwhile is kept, and goes to the one that has it in the end.

An engine may end meanwhile, by itself or because its parent died. If its slot was made for it, the reload ends with the
slot; otherwise its neighbours cross over without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from engines.model.store.interface import Interface
from engines.model.store.interface_changes import interface_changes, interface_fingerprint
from host.config.spec import ReloadSpec
from host.live import wire
from host.live.control_page import new_control_page, read_control_page
from host.live.journal.versions import version_path
from host.live.packets import channel_pair
from host.live.supervisor import links, population
from host.live.supervisor.deaths import signal_name
from host.live.supervisor.interfaces import check_interfaces
from host.live.supervisor.memory import SlotMemory
from host.live.supervisor.node import Node
from host.live.supervisor.perform import feed
from host.live.supervisor.processes import Process
from host.live.supervisor.slots import Alarm, Slot
from host.node import reload_plan
from host.node.news import RehearsalResult
from host.node.routing import Birth, Missing, Resident
from host.node.slot_state import Conclude, ReloadDeed
from host.node.supervision import Ending

FREEZE_NS: Final = 5_000_000_000
"""For the old process to reach a boundary: one batch. An engine that needs longer is stuck, and keeps the old code."""

RETIRE_NS: Final = 1_000_000_000
"""For the old process to exit after the handover; then it is killed."""

SEEN_NS: Final = 200_000_000
"""For the end of an old process to be seen, of which the new one saw that its end of their socket was closed."""

MAY_CHANGE: Final = "keep what may be queued or sent (docs/guides/reloading.md, What may change)"

DO_NOT_COMMUTE: Final = "migration and transitions do not commute"
TOO_SLOW: Final = "its turns take longer to run again than they took"
NOT_KEPT: Final = "its process could not keep all triggers meanwhile"

NO_TRIGGER: Final = "it had no trigger since its process began"

VERSION_SHOWN: Final = 12
"""Digits shown of a version digest."""


class ReloadOrder(NamedTuple):
    """How to reload: the time-out, how many triggers to rehearse, and whether to stop short of the cut.

    `pause_ns` bounds how long the engine stands still while its state is handed out and migrated, or its slot passed
    on; None: `timeout_ns`.
    `code` are the kept versions to run; () runs the sources. `probation` are the terms of what follows the cut.
    """

    timeout_ns: int
    rehearse: int = 0
    is_trial: bool = False
    pause_ns: int | None = None
    code: tuple[str, ...] = ()
    probation: ReloadSpec = ReloadSpec()


class Before(NamedTuple):
    """The version before a cut, and the files of its code; `forward_only` is why there is no way back."""

    family: str
    running: wire.Running
    code: tuple[str, ...]
    forward_only: str


class Members(Protocol):
    """The joint reload that a reload is a part of."""

    def learned(self) -> None:
        """The interfaces of a candidate are known."""

    def concluded(self, slot: Slot, outcome: Conclude) -> None:
        """The reload of a member ended."""


class Reload:
    """From the birth of the candidate to the verdict. `engine` gets `family`, its neighbours keep theirs.

    `pause_ns`: from sending `Freeze` to the new process's report that it runs. `queued`: messages that waited.

    Raises OSError, Closed if no candidate can be created.
    """

    def __init__(
        self, node: Node, slot: Slot, engine: str, family: str, order: ReloadOrder, joint: Members | None = None
    ) -> None:
        self.done: asyncio.Future[Conclude] = asyncio.get_running_loop().create_future()
        self._node = node
        self._slot = slot
        self._old = slot.process
        self._engine = engine
        self._family = family
        self._order = order
        self._joint = joint
        self._ready: set[str] = set()
        self._would_run: dict[str, wire.Running] = {}
        self._until_ns = node.now_ns() + order.timeout_ns
        self._snapshot = -1
        self._log_end = self._tail_end = 0
        self._past = self._tail = self._token = -1
        self._is_withdrawn = False
        self._baton: socket.socket | None = None
        self._attached: dict[int, SlotMemory] = {}
        self.rehearsal: tuple[RehearsalResult, ...] = ()
        self.is_followed = False
        self.not_followed = ""
        self._from_log = self._has_tail = False
        self._large: tuple[str, ...] = ()
        self.states: dict[str, str] = {}
        self.forward_only: dict[str, str] = {}
        self.queued = 0
        self._is_retiring = False
        self.has_cut = False
        self.pause_ns = 0
        self._frozen_at_ns = 0
        self._timer = Alarm()
        self.is_other_code = False
        self.after_cut: Callable[[], None] = lambda: None
        self._code_before = self._kept(node.running)
        self._births = [self._changed(birth) for birth in population.births(node, self._told())]
        self._page = new_control_page()
        try:
            self.candidate = population.bear(node, slot, "candidate")
        except BaseException:
            os.close(self._page)
            raise
        node.reloads[slot.number] = self
        if joint is None:
            feed(node, slot, "trial_begun" if order.is_trial else "reload_begun")
        else:
            feed(node, slot, "joint_trial_begun" if order.is_trial else "joint_begun")
        population.send_boot(node, slot, self.candidate, self._births, candidate_page=self._page, code=order.code)

    @property
    def is_handing_over(self) -> bool:
        """Whether the slot's process hands over, stands still, or begins: only the deadlines here bound that."""
        return self._stage not in (*reload_plan.BEFORE_THE_PAUSE, "freezing")

    @property
    def keeps_code_before(self) -> bool:
        """Whether the code in force can be run again, whatever the sources are."""
        return all(map(os.path.exists, self._code_before))

    @property
    def leads_to_probation(self) -> bool:
        """Whether a probation follows the cut: it was asked for, and there is another version to go back to."""
        return self._order.probation.is_on and not self._order.is_trial and self.is_other_code

    @property
    def version(self) -> str:
        """The engine's family and version in the candidate."""
        return version_label(self._would_run[self._family])

    def findings(self, before: wire.Running) -> dict[str, Any]:
        """What was found on the way: the changes of the interface, how the state came over, and the rehearsal."""
        after = self._would_run[self._family].interface
        found: dict[str, Any] = {
            "interface": [interface_fingerprint(one) for one in (before.interface, after)],
            "changes": interface_changes(before.interface, after),
            "state": self.states.get(self._family, ""),
            "forward_only": self._forward_only(),
        }
        if self.rehearsal:
            found["rehearsal"] = [msgspec.structs.asdict(result) for result in self.rehearsal]
        return found

    def _forward_only(self) -> str:
        is_lost = self.has_cut and self.leads_to_probation and not self.keeps_code_before
        reasons = [f"{ref}: {why}" for ref, why in sorted(self.forward_only.items())]
        return "; ".join([*reasons, *(["its code could not be kept"] if is_lost else [])])

    def _kept(self, running: Mapping[str, wire.Running]) -> tuple[str, ...]:
        """Where the code of the slot's engines is kept, if it is."""
        folder = population.code_folder(self._node, self._slot)
        names = [resident.spec.name for resident in self._residents()]
        versions = {running[name].version for name in names if name in running}
        return tuple(sorted(version_path(folder, version) for version in versions))

    def before(self, family: str, running: Mapping[str, wire.Running]) -> Before:
        """The version before this reload, of which `family` and `running` were noted before it."""
        return Before(family, running[self._engine], self._code_before, self._forward_only())

    def take(self, process: Process, packet: wire.ToSupervisor, descriptors: list[int]) -> bool:
        """Whether the packet was for the reload; otherwise it is handled as usual."""
        if process is self.candidate:
            return self._take_from_new(packet)
        if process is self._old:
            return self._take_from_old(packet, descriptors)
        return False

    def account_of(self, ending: Ending) -> str:
        """How the candidate ended, and in which engine."""
        at = read_control_page(self._page).engine
        return reload_plan.candidate_ended(self._stage, at, ending.code, signal_name(ending) or "")

    def _take_from_old(self, packet: wire.ToSupervisor, descriptors: list[int]) -> bool:
        """A packet that does not fit the stage is left over from an earlier reload, or is handled as usual."""
        match packet:
            case wire.Recalled(reason) if self._stage == "recalling":
                self._take_past(reason, descriptors)
            case wire.AtBoundary():
                self._feed("halted")
            case wire.Frozen(queued, log_end, tail_end) if self._stage == "dumping":
                self._snapshot = os.dup(descriptors[0])
                self.queued, self._log_end, self._tail_end = queued, log_end, tail_end
                self._feed("snapshot_taken")
            case wire.Left():
                self._feed("left")
            case wire.EngineFailed(_, reason, detail) if self._stage == "dumping":
                self._feed(reload_plan.NewFailed(f"{reason}: {detail}"))
            case _:
                return False
        return True

    def _take_past(self, reason: str, descriptors: list[int]) -> None:
        if reason:
            self.rehearsal = (RehearsalResult(self._engine, lost=reason),)
            self._feed("unrecalled")
        else:
            self._past = os.dup(descriptors[0])
            if descriptors[1:]:
                self._tail = os.dup(descriptors[1])
            self._feed("recalled")

    def _take_from_new(self, packet: wire.ToSupervisor) -> bool:
        match packet:
            case wire.Ready(engines) if self._stage == "importing":
                self._learn(engines)
            case wire.Ready() if self._stage == "going":
                self._feed("went")
                return False
            case wire.EngineFailed(engine, reason, detail):
                where = f"{engine}: " if engine not in ("", self._engine) else ""
                self._feed(reload_plan.NewFailed(f"{where}{reason}: {detail}" if detail else f"{where}{reason}"))
            case wire.Rehearsed(results):
                self._take_results(results)
            case wire.Level(reason, follows_tail, large):
                self._from_log, self._large = self._from_log and not reason, large
                too_slow = "" if follows_tail or not self._has_tail else TOO_SLOW
                self.not_followed = self.not_followed or reason or too_slow
                self._feed("level" if self._from_log or follows_tail else "rehearsed")
            case wire.Primed(states, forward_only, reason):
                self.states, self.forward_only, self.is_followed = states, forward_only, not reason
                self._feed("unprimed" if reason else "primed")
            case wire.Took(queued):
                if self._old is not None:
                    self._old.hear_all()
                self.queued = queued
                self._feed("took")
            case wire.NotPassed():
                self._feed("not_passed")
                if self._stage == "passing":
                    self._timer.set(SEEN_NS, lambda: self._feed("late"))
            case wire.Adopted(states, forward_only, followed):
                self.states, self.forward_only = states, forward_only
                self.is_followed = self._from_log if self._is_journaled(self._engine) else self._engine in followed
                not_kept = NOT_KEPT if self._has_tail else ""
                self.not_followed = "" if self.is_followed else self.not_followed or not_kept
                self._feed("loaded")
            case _:
                return self._slot.process is not self.candidate
        return True

    def _learn(self, engines: tuple[tuple[wire.Running, tuple[str, ...]], ...]) -> None:
        """Collect what the candidate would run. Once it is complete, check whether that may take over."""
        for running, names in engines:
            self._ready.update(names)
            interface = running.interface or self._node.interfaces[running.family, running.version]
            self._would_run.setdefault(running.family, msgspec.structs.replace(running, interface=interface))
        if self.has_learned:
            self.is_other_code = any(map(self._gets_other_code, self._residents()))
            if self._joint is None:
                self.compare(self.interfaces())
            else:
                self._joint.learned()

    @property
    def has_learned(self) -> bool:
        """Whether the interfaces in the candidate are known."""
        return len(self._ready) == len(self._births)

    def interfaces(self) -> dict[str, Interface]:
        """The interfaces in the candidate, by engine."""
        return {resident.name: interface for resident, interface in self._candidates()}

    def compare(self, instead: Mapping[str, Interface]) -> None:
        """Check whether the candidate may take over, where these engines are replaced at the same boundary."""
        problems = check_interfaces(self._node, self._candidates(), instead)
        advice = [MAY_CHANGE] if problems else []
        self._feed(reload_plan.Checked((*problems, *advice), rehearses=bool(self._changing())))

    def _changing(self) -> tuple[str, ...]:
        """The engines that get other code, and of which triggers are kept, if they are to be rehearsed."""
        return tuple(
            resident.name
            for resident in self._residents()
            if self._order.rehearse > 0 and self._keeps_triggers(resident) and self._gets_other_code(resident)
        )

    def _keeps_triggers(self, resident: Resident) -> bool:
        is_in_ring = bool(self._node.spec.reload.volatile_triggers) and not self._slot.device
        return is_in_ring or self._is_journaled(resident.name)

    def _gets_other_code(self, resident: Resident) -> bool:
        """One whose family was first spawned meanwhile is not compared: the candidate was not asked for that."""
        running, family = self._node.running.get(resident.name), self._family_of(resident)
        if running is None or family not in self._would_run:
            return False
        return (family, self._would_run[family].version) != (running.family, running.version)

    def _changes_layout(self) -> bool:
        """Whether a state has another layout in the candidate."""
        return any(
            running.interface["state_layout"] != self._would_run[birth.spec.family].interface["state_layout"]
            for birth in self._births
            if (running := self._node.running.get(birth.spec.name)) is not None
        )

    def _take_results(self, results: tuple[RehearsalResult, ...]) -> None:
        """Choose what new follows: the log, if that makes the migrated states of all engines in it; and the tail, which
        has each volatile engine for itself."""
        self.rehearsal = (*results, *self._unrehearsed(results))
        volatile = [result for result in results if not self._is_journaled(result.engine)]
        reason = self._why_log_not_followed(result for result in results if result not in volatile)
        self._from_log = not reason and any(map(self._is_journaled, self._changing()))
        self._has_tail = self._tail >= 0 and any(result.commutes for result in volatile)
        if self._is_journaled(self._engine):
            self.not_followed = reason
        else:
            self.not_followed = _why_not(result for result in volatile if result.engine == self._engine)
        self._feed("commutes" if self._from_log or self._has_tail else "rehearsed")

    def _unrehearsed(self, results: Iterable[RehearsalResult]) -> Iterator[RehearsalResult]:
        """Volatile engines that get other code, and of which no trigger is kept."""
        known = {result.engine for result in results}
        for name in self._changing():
            if name not in known and not self._is_journaled(name):
                yield RehearsalResult(name, lost=NO_TRIGGER)

    def _why_log_not_followed(self, results: Iterable[RehearsalResult]) -> str:
        """Why the new code, run on the log, might not make the migrated state; "" if it does. Another family is in
        force by its images only (`host.live.worker.handover`)."""
        found = self._node.directory.find(self._engine)
        if isinstance(found, Missing) or found.spec.family != self._family:
            return "it is of another family"
        return _why_not(results)

    def _is_journaled(self, engine: str) -> bool:
        found = self._node.directory.find(engine)
        return not isinstance(found, Missing) and found.spec.durability != "volatile"

    def _candidates(self) -> Iterator[tuple[Resident, Interface]]:
        for resident in self._residents():
            family = self._family_of(resident)
            if family in self._would_run:
                yield resident, self._would_run[family].interface

    def _family_of(self, resident: Resident) -> str:
        return self._family if resident.name == self._engine else resident.spec.family

    def perform(self, command: ReloadDeed | Conclude) -> None:
        """Perform a command of `host.node.slot_plan`."""
        match command:
            case "set_deadline":
                self._set_deadline()
            case Conclude():
                self._finish(command)
            case "recall":
                left_ns = max(0, self._until_ns - self._node.now_ns())
                self._tell_old(wire.Recall(self._changing(), self._order.rehearse, left_ns))
            case "rehearse":
                self.candidate.send(wire.Rehearse(), self._past, *([self._tail] if self._tail >= 0 else []))
            case "follow":
                half_ns = max(0, self._until_ns - self._node.now_ns()) // 2  # the other half is for a migration
                self.candidate.send(wire.Follow(self._from_log, half_ns))
            case "freeze":
                self._frozen_at_ns = self._node.now_ns()
                keep = self._kept_for_return()
                self._tell_old(wire.Freeze(self._changes_layout(), self._from_log, keep, self._large))
            case "prime":
                self._prime()
            case "pass":
                self._pass()
            case "withdraw":
                self._feed("withdrawn" if self._withdraw() else "taken")
            case "own":
                self._let_own()
            case "thaw":
                self._tell_old(wire.Thaw())
            case "adopt":
                self.candidate.send(wire.Adopt(self._log_end, self._tail_end), self._snapshot)
            case "retire":
                self._is_retiring = True
                self._tell_old(wire.Exit())
            case "go":
                self._hand_over()
            case "kill_new":
                if self._token >= 0 and not self._withdraw():
                    self._change_directory()
                self.candidate.kill()
            case "enforce":
                self._change_directory()

    @property
    def _stage(self) -> reload_plan.Stage:
        crossing = self._slot.status.crossing
        return "over" if crossing is None else crossing.plan.stage

    def _feed(self, happening: reload_plan.Happening) -> None:
        feed(self._node, self._slot, happening)

    def _hand_over(self) -> None:
        """The old process has let go: the candidate becomes the slot's process, with everything such a process owns."""
        slot = self._slot
        self._change_directory()
        parked = tuple(self._node.quarantine.parked())
        self.candidate.send(wire.Go(parked), *slot.memory.own_descriptors())
        links.attach_all(self._node, slot, self.candidate)
        links.tell_routes(self._node, slot, self.candidate)

    def _prime(self) -> None:
        """Let the candidate map what it will own. What no log has is handed over the long way."""
        is_in_log = self._from_log and all(self._is_journaled(one.name) for one in self._residents())
        if not (is_in_log and self._node.transport.native):
            self._feed("unprimed")
            return
        self._token = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._baton, theirs = channel_pair()
        with theirs:
            own = self._slot.memory.own_descriptors()
            self.candidate.send(wire.Prime(), *own, theirs.fileno(), self._token)
        self._attached = links.attach_changed(self._node, self._slot, self.candidate, {})

    def _pass(self) -> None:
        """Let the old process pass the slot to the candidate, which gets first what changed around it."""
        assert self._baton is not None, "pass before prime"
        node, slot = self._node, self._slot
        self._attached = links.attach_changed(node, slot, self.candidate, self._attached)
        links.tell_routes(node, slot, self.candidate)
        self._frozen_at_ns = node.now_ns()
        if self._old is not None:
            self._old.send(wire.Pass(self._kept_for_return()), self._baton.fileno())
            self._old.keep_packets()
        self._baton.close()  # once the old process is gone, the candidate sees an end of file

    def _withdraw(self) -> bool:
        """Whether the candidate can no longer take the slot; False: it has it. Idempotent."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._token)
            self._is_withdrawn = True
        return self._is_withdrawn

    def _let_own(self) -> None:
        """The candidate has the slot."""
        self._change_directory()
        links.detach_left(self._slot, self.candidate)
        if self._old is not None:
            self._old.send_kept(self.candidate)
            self._old.kill()

    def _kept_for_return(self) -> str:
        """Where the old process keeps its code, if the new one is on probation."""
        return population.code_folder(self._node, self._slot) if self.leads_to_probation else ""

    def _change_directory(self) -> None:
        self._node.directory.change_family(self._engine, self._family)
        self._slot.code = self._order.code
        for running in self._would_run.values():
            population.note_code(self._node, self._slot, running.version)
        self.has_cut = True

    def _finish(self, outcome: Conclude) -> None:
        node, slot = self._node, self._slot
        del node.reloads[slot.number]
        self._timer.cancel()
        if outcome.verdict == "switched" and self._old is not None and self._old.is_alive:
            self._old.kill()
        if self._tail >= 0 and outcome.verdict != "switched":
            self._tell_old(wire.Recall())
        for descriptor in (self._snapshot, self._past, self._tail, self._token):
            if descriptor >= 0:
                os.close(descriptor)
        if self._baton is not None:
            self._baton.close()
        if self._old is not None:
            self._old.send_kept(self._old)
        os.close(self._page)
        self.pause_ns = node.now_ns() - self._frozen_at_ns if self._frozen_at_ns else 0
        if self._is_retiring and not self.has_cut:
            self._change_directory()  # the slot was taken away behind the decision
        if self.has_cut:
            self.after_cut()
        self.done.set_result(outcome)
        if self._joint is not None:
            self._joint.concluded(slot, outcome)

    def _set_deadline(self) -> None:
        """Up to `adopting` all stages share one time-out, after which the old process continues, and those in which it
        stands still share the bound of the pause. The new process has the whole time-out again to begin, since the old
        one is gone by then."""
        now_ns = self._node.now_ns()
        left_ns = max(0, self._until_ns - now_ns)
        pause_ns = self._order.timeout_ns if self._order.pause_ns is None else self._order.pause_ns
        paused_ns = max(0, min(left_ns, self._frozen_at_ns + pause_ns - now_ns))
        limits: dict[reload_plan.Stage, int] = {
            "passing": min(FREEZE_NS, pause_ns, left_ns),
            "freezing": min(FREEZE_NS, left_ns),
            "dumping": paused_ns,
            "adopting": paused_ns,
            "retiring": RETIRE_NS,
            "going": self._order.timeout_ns,
        }
        self._timer.set(limits.get(self._stage, left_ns), lambda: self._feed("late"))

    def _tell_old(self, packet: wire.Recall | wire.Pass | wire.Freeze | wire.Thaw | wire.Exit) -> None:
        if self._old is not None:
            self._old.send(packet)

    def _residents(self) -> tuple[Resident, ...]:
        return self._node.directory.in_slot(self._slot.number)

    def _told(self) -> tuple[Resident, ...]:
        """The engines that the candidate is sent before it gets their state: the reloaded one, which may get another
        family, and one a family. No spawned one stands for one of the node file."""
        residents = self._residents()
        others = sorted((one for one in residents if one.name != self._engine), key=lambda one: one.parent is None)
        of_family = {resident.spec.family: resident for resident in others}
        return (*(one for one in residents if one.name == self._engine), *of_family.values())

    def _changed(self, birth: Birth) -> Birth:
        if birth.spec.name != self._engine:
            return birth
        return msgspec.structs.replace(birth, spec=msgspec.structs.replace(birth.spec, family=self._family))


def version_label(running: wire.Running) -> str:
    """A version for display: the family and the first digits of its digest."""
    return f"{running.family}@{running.version[:VERSION_SHOWN]}"


def _why_not(results: Iterable[RehearsalResult]) -> str:
    """Why engines with these results cannot be followed; "" if they can."""
    found = next((result for result in results if not result.commutes), None)
    if found is None:
        return ""
    return f"there was nothing to rehearse: {found.lost}" if found.lost else DO_NOT_COMMUTE
