"""A simulated process: the scheduler of a worker between simulated lanes, a log in memory, and the node.

What it does at each duty of a cycle is what `host.live.worker.cycles` and `journaled` do there. It is killed by an
exception in the middle of a cycle (`Killed`, `KilledInRun`), after which nothing of it is used any more; its crash
points are those of the table in `host.sim`. It does not wait: the node asks it when it has something to do
(`work_ns`, `timer_ns`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final, Literal, Protocol

import msgspec

from engines.model import Declaration, Output
from engines.model.blame import blame
from host.node.births import Births
from host.node.cell import Cell
from host.node.circles import Stuck
from host.node.cycle import CYCLE_MESSAGES_MAX, Duty, cycle
from host.node.journal.checksum import CRC32, PURE
from host.node.journal.digest import Digest
from host.node.journal.replay import LogState, log_state
from host.node.journal.state_digest import DigestWriter
from host.node.journaled.ends import Ends
from host.node.journaled.keeping import Keeping
from host.node.journaled.revival import LogContent, Revival
from host.node.news import Fatal
from host.node.outbox import Outbox
from host.node.report import Report
from host.node.routing import Birth
from host.node.scheduler import Scheduler
from host.node.set_aside import park
from host.node.snapshot import Families, Revived, SlotImage, read_snapshot, revive, take_snapshot
from host.sim.agenda import Agenda
from host.sim.lanes import SimLink
from host.sim.log import Disk, SimLog, encode_mail, read_log
from host.sim.page import KilledInRun, Page
from transport.port import Frame

Load = Callable[[str], Declaration[Any, Any, Any]]
Where = Literal["run", "commit", "append", "sync", "heads", "born", "publish", "show"]
PLACES: Final[tuple[Where, ...]] = ("run", "commit", "append", "sync", "heads", "born", "publish", "show")
"""The crash points of a cycle, in order; the table in `host.sim` says what each leaves."""

ACK_NS: Final = 1_000_000
"""Between two looks for acknowledgements while something waits for them: they ring no bell."""

DIGEST_CYCLES: Final = 16
"""Cycles between digests of changed states in a log."""

_ORDER: Final = {"commit": 0, "heads": 1, "born": 2, "publish": 3, "show": 4}
_FROM: Final = {"run": 0, "commit": 0, "append": 0, "sync": 0, "heads": 1, "born": 2, "publish": 3, "show": 4}


class CycleWatch(Protocol):
    """Who looks at the cycles of a process."""

    def drained(self, frames: list[Frame], cells: dict[str, Cell], /) -> None:
        """A cycle begins with these frames."""

    def committed(self, outputs: list[tuple[Cell, tuple[Output, ...]]], /) -> None:
        """Its transitions were run, and made these outputs."""


class Killed(Exception):
    """The process was killed in a cycle."""


class Kill(msgspec.Struct, frozen=True):
    """Where a process is killed; `messages`: how many it still handles when that is in a run."""

    where: Where
    messages: int
    draw: Random


class SlotBoot(msgspec.Struct, frozen=True):
    """What a process is started with. `disk` is its slot's log, None if no engine there has a journal."""

    node: str
    slot: int
    epoch: int
    births: tuple[Birth, ...]
    fallen: tuple[Fatal, ...]
    are_children_here: bool
    disk: Disk | None
    unacked_bytes: int
    is_new: bool = True


class Inherited(msgspec.Struct, frozen=True):
    """What a candidate has read and migrated: the volatile engines of a slot, and its log."""

    image: SlotImage
    revived: list[Revived]
    found: LogContent | None


class SimProcess:
    """Mutable. `failed` collects the engines that could not start, with the reason; `tell` takes the report.

    `gone` are engines that ended, for those who look at the last state of one.
    """

    def __init__(
        self,
        pid: int,
        boot: SlotBoot,
        page: Page,
        link: SimLink,
        agenda: Agenda,
        roll: Callable[[int], int],
        load: Load,
        tell: Callable[[SimProcess], None],
        watch: CycleWatch | None = None,
        found: LogContent | None = None,
    ) -> None:
        """Reads the log, unless `found` is its content. Raises `host.sim.log.UNREADABLE`, and as loading does."""
        self.pid = pid
        self.boot = boot
        self.page = page
        self.link = link
        self.report = Report()
        self.packets: list[tuple[int, Callable[[SimProcess], None]]] = []
        self.failed: dict[str, str] = {}
        self.gone: list[Cell] = []
        self._ended = 0
        self.trigger_ns = 0
        self._agenda = agenda
        self._began_ns = self._before = 0
        self._is_in_cycle = False
        self.births = Births(boot.node, load, are_here=boot.are_children_here)
        self.outbox = Outbox(boot.slot, boot.epoch, link)  # type: ignore[arg-type]
        self.log: SimLog | None = None
        self.keeping: Keeping | None = None
        self._found = found
        self._cycles = 0
        self._tell = tell
        self._watch = watch
        if boot.disk is not None:
            self._open_log(boot, boot.disk, load)
        self.scheduler = Scheduler(self.clock, roll, page, self.report, self.outbox, self.keeping)
        self.scheduler.arrivals.expect(boot.fallen)

    def clock(self) -> int:
        """Engine time. In a cycle each trigger takes `trigger_ns`; what is handled is counted after each stride."""
        if self._is_in_cycle:
            return self._began_ns + self.trigger_ns * (self.scheduler.tally.handled - self._before)
        return max(self._agenda.now_ns, self._began_ns)

    def _open_log(self, boot: SlotBoot, disk: Disk, load: Load) -> None:
        if self._found is None:
            self._found = read_log(disk, boot.node, load)
        modes = [birth.spec.durability for birth in boot.births]
        modes += [stream.kept.mode for stream in self._found.replay.streams.values()]
        self.log = SimLog(disk, self._found, self.clock, durable="durable" in modes)
        keeping = self.keeping = Keeping(self.log.batch, Digest(PURE[CRC32]), encode_mail, self.link)  # type: ignore[arg-type]
        keeping.unacked_bytes_max = boot.unacked_bytes
        keeping.modes = {b.spec.name: b.spec.durability for b in boot.births if b.spec.durability != "volatile"}
        self.births.durability_of = keeping.durability_of
        self._ends = Ends(keeping, self.report, self.clock, lambda: None)
        self._digests = DigestWriter(self.log.batch.changed, self._kept_cell, self.log.batch.record, self.clock)

    # --- births -------------------------------------------------------------------------------------------------------

    def start(self) -> list[str]:
        """Give birth to the engines, or revive those a log has; the names of those that are ready."""
        births = self.boot.births
        ready = [cell.name for cell in self._revive(births)]
        return ready + self.bear(tuple(birth for birth in births if birth.spec.name not in self.scheduler.cells))

    def take_over(self, inherited: Inherited) -> None:
        """Go on with the engines of the process before, in a reload."""
        revive(self.scheduler, inherited.image, inherited.revived)
        self._revive(self.boot.births)
        self._tell_now()

    def bear(self, births: Iterable[Birth]) -> list[str]:
        """Give birth; the names of those that are ready. Errors are in `failed`."""
        ready = []
        for birth in births:
            if birth.spec.name in self.scheduler.ended:
                continue
            try:
                cell = self.births.bear(self.scheduler, birth.spec, birth.parent, birth.birth)
            except BaseException as error:
                self.failed[birth.spec.name] = blame(error)[0]
                continue
            if cell is not None:
                if birth.parked:
                    park(cell)
                ready.append(cell.name)
        if self.log is not None:
            self.write()
        self._tell_now()
        return ready

    def _revive(self, births: tuple[Birth, ...]) -> list[Cell]:
        found, self._found = self._found, None
        if found is None or self.keeping is None:
            return []
        by_name = {birth.spec.name: birth for birth in births}
        parked = {birth.spec.name for birth in births if birth.parked}
        revival = Revival(
            self.scheduler, self.births, self.keeping, self._tell_now, parked=parked, is_new=self.boot.is_new
        )
        known = revival.run(found, by_name)
        self.write()
        self.report.stopped.extend(name for name in by_name if name in self.scheduler.ended)
        return known

    # --- a cycle ------------------------------------------------------------------------------------------------------

    def cycle(self, kill: Kill | None, cycle_ns: int = 0, trigger_ns: int = 0) -> int:
        """One cycle; when it ends. It takes `cycle_ns`, and `trigger_ns` for each trigger; then its outputs leave.

        Raises `Killed` where `kill` has it.
        """
        while self.packets and self.packets[0][0] <= self._agenda.now_ns:
            self.packets.pop(0)[1](self)
        frames = self.link.drain(CYCLE_MESSAGES_MAX)
        self._began_ns, self._before = max(self._agenda.now_ns, self._began_ns), self.scheduler.tally.handled
        self.trigger_ns, self._is_in_cycle = trigger_ns, True
        try:
            self._go_through(kill, frames, cycle_ns)
        except KilledInRun:
            raise Killed from None
        self._began_ns = self.clock() + cycle_ns
        self._is_in_cycle = False
        return self._began_ns

    def _go_through(self, kill: Kill | None, frames: list[Frame], cycle_ns: int) -> None:
        if self._watch is not None:
            self._watch.drained(frames, self.scheduler.cells)
        if kill is not None and kill.where == "run":
            self.page.light(kill.messages)
        for duty in cycle(self.scheduler, self.births, frames):
            if kill is not None:
                self._die(kill, duty)
            self._perform(duty, cycle_ns)

    def _die(self, kill: Kill, duty: Duty) -> None:
        """Be killed if this is the place, or the first duty behind it."""
        if _ORDER[duty] < _FROM[kill.where]:
            return
        if self.log is not None and kill.where == "append":
            self.log.append_part(kill.draw)
        elif self.log is not None and kill.where == "sync":
            self.log.append()
        raise Killed

    def _perform(self, duty: Duty, cycle_ns: int) -> None:
        if duty == "commit":
            if len(self.scheduler.ended) != self._ended:
                self._ended = len(self.scheduler.ended)
                self.gone += [cell for cell, _ in self.scheduler.turns.outputs if cell.is_ended]
            if self._watch is not None:
                self._watch.committed(self.scheduler.turns.outputs)
            if self.log is not None:
                self._commit()
        elif duty == "heads":
            self.link.release()
        elif duty == "publish":
            self.link.flush(self.clock() + cycle_ns)
            if self.keeping is not None:
                self.keeping.flushed()
        else:
            self._tell_now()

    def _commit(self) -> None:
        assert self.keeping is not None
        acks = self.keeping.acks
        acks.hear_released()
        for cell in acks.free(self.keeping.unacked_bytes_max):
            self.scheduler.wake(cell)
        self._cycles += 1
        if self._cycles % DIGEST_CYCLES == 0:
            self._digests.write_all()
        self.write()

    def write(self) -> None:
        """Append what happened to the log, and sync it where that is promised."""
        assert self.log is not None
        assert self.keeping is not None
        self.log.append()
        if self.log.is_durable:
            self.log.sync()
        self.keeping.acks.appended()

    def _tell_now(self) -> None:
        if self.log is not None:
            self._ends.sift(len(self.scheduler.cells))
        self._tell(self)

    # --- waiting ------------------------------------------------------------------------------------------------------

    def work_ns(self) -> int | None:
        """When it has something to do; None: not before mail, a packet, a timer."""
        now_ns = self.clock()
        if not self.scheduler.is_idle:
            return now_ns
        due = self.link.arrives_ns()
        if self.packets and (due is None or self.packets[0][0] < due):
            due = self.packets[0][0]
        if self.keeping is not None and (self.keeping.acks.has_full or self._ends.are_waiting):
            due = now_ns + ACK_NS if due is None else min(due, now_ns + ACK_NS)
        return due

    @property
    def is_drained(self) -> bool:
        """Whether nothing waits in its mailboxes, or to leave."""
        return not any(cell.depth or cell.held for cell in self.scheduler.cells.values())

    def stuck(self) -> list[Stuck]:
        """Its engines that may be in a circle."""
        return self.outbox.relief.stuck(self.outbox.waiting, self.pid)

    # --- leaving ------------------------------------------------------------------------------------------------------

    def exit(self) -> None:
        """Exit normally, between two cycles."""
        if self.log is not None:
            self._digests.write_all()
            self.log.close()

    def hand_out(self) -> list[bytes]:
        """The state of the slot for its next process: a snapshot of the log, and the parts that are in no log."""
        if self.log is None:
            return list(take_snapshot(self.scheduler))
        self.write()
        self.log.take_snapshot(self._state)
        return list(take_snapshot(self.scheduler, lambda cell: cell.recorder is None))

    def _state(self) -> LogState:
        assert self.keeping is not None
        now_ns = self.clock()
        turns = sum(kept.turns for kept in self.keeping.kept.values())
        images = self.keeping.images(now_ns)
        return log_state(self.boot.node, self.scheduler.arrivals.count, now_ns, images, self.scheduler.ended, turns)

    def _kept_cell(self, name: str) -> Cell | None:
        kept = None if self.keeping is None else self.keeping.kept.get(name)
        return None if kept is None else kept.cell


def inherit(parts: list[bytes], boot: SlotBoot, load: Load, families: Families) -> Inherited:
    """Read what `hand_out` gave, in the versions of `families`. Raises as `read_snapshot` and `read_log`."""
    image, revived = read_snapshot(parts, boot.node, load, families)
    found = None if boot.disk is None else read_log(boot.disk, boot.node, load, families)
    return Inherited(image, revived, found)
