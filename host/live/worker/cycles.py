"""The cycles of a worker (`host.node.cycle`), and what between two of them is done to its engines and neighbours.

A worker whose engines keep a journal has its log (`journaled`); all others have None there.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Final, assert_never

from host.live import wire
from host.live.worker.loading import failure
from host.live.worker.parts import Outset, WorkerParts
from host.live.worker.queries import answer
from host.node.cell import Cell
from host.node.cycle import CYCLE_MESSAGES_MAX, cycle
from host.node.news import Event
from host.node.routing import Birth
from host.node.scheduler import RUN_NS_MAX
from host.node.set_aside import park
from host.node.snapshot import revive
from transport.port import Broken, Frame

if TYPE_CHECKING:
    from host.live.worker.handover import Inheritance
    from host.live.worker.journaled import WorkerLog
    from host.live.worker.tailing import TailWriter
    from host.node.trigger_ring import TriggerRing

FORGET_CYCLES: Final = 256
"""More than the frames of any lane take, among those of its neighbours, which may never end."""


class WorkerCycles(WorkerParts):
    """The engines of a slot between its lanes and the supervisor's socket. Whoever waits calls `cycle`."""

    def __init__(self, outset: Outset) -> None:
        super().__init__(outset)
        self.queries: list[wire.Query] = []
        self.log: WorkerLog | None = None
        self.tail: TailWriter | None = None
        if outset.own_log is not None:
            from host.live.worker.journaled import WorkerLog  # costs a start more than 10,000 turns

            self.log = WorkerLog(self, outset.own_log, outset.boot, is_alone=outset.own.is_native)

    def write_tail(self, ring: TriggerRing, order: wire.Recall) -> int:
        """Write what the ring gets from now on to a file, and return that. Raises OSError."""
        from host.live.worker.tailing import TailWriter  # only a reload needs it

        self.tail = TailWriter(self, ring, order, self._end_tail)
        return self.tail.file

    def _end_tail(self) -> None:
        self.tail = None

    def bear(self, births: tuple[Birth, ...]) -> None:
        """Give birth, and say for each engine that it is ready or why not. Engines that a log has are there already."""
        if self.log is not None:
            parked = {birth.spec.name for birth in births if birth.parked}
            known = self.log.revive(births, parked, self.telling.at_once)
            self.telling.ready((cell.name, cell.family) for cell in known)
            births = tuple(birth for birth in births if birth.spec.name not in self.scheduler.cells)
        ready = []
        for birth in births:
            try:
                cell = self.births.bear(self.scheduler, birth.spec, birth.parent, birth.birth)
            except BaseException as error:
                self.channel.send(failure(birth.spec.name, error))
                continue
            if cell is not None:
                if birth.parked:
                    park(cell)
                ready.append((cell.name, cell.family))
        self.telling.ready(ready)
        if self.log is not None:
            self.log.write()
            self._tell()

    def take_over(
        self,
        inherited: Inheritance,
        parked: Container[str] = (),
        prepare: Callable[[Cell], None] = lambda cell: None,
    ) -> list[Cell]:
        """Be the slot's process after a reload: the engines that are ready, for `report_ready`. No journaled engine is
        before its new image is in the log."""
        revive(self.scheduler, inherited.image, inherited.revived, prepare)
        inherited_cells = [cell for cell in self.scheduler.cells.values() if cell.recorder is None]
        known = [] if self.log is None else self.log.revive((), parked, lambda: None)
        return [*known, *inherited_cells]

    def report_ready(self, cells: list[Cell]) -> None:
        """Report what was found in the log, children first, and that these engines are ready."""
        self._tell()
        self.telling.ready((cell.name, cell.family) for cell in cells)

    def cycle(self) -> bool:
        """One cycle; whether mail came, or there is more to do at once."""
        return self.turn(self._drain())

    def turn(self, frames: list[Frame], budget_ns: int = RUN_NS_MAX) -> bool:
        """A cycle over frames that were drained; whether any were, or there is more to do at once."""
        for duty in cycle(self.scheduler, self.births, frames, budget_ns):
            match duty:
                case "commit":
                    if self.log is not None:
                        self.log.commit()
                case "heads":
                    self.link.release()
                case "publish":
                    self.link.flush()
                    if self.log is not None:
                        self.log.keeping.flushed()
                case "show":
                    self._tell()
                    if self.queries:
                        self._answer()
                case "born":
                    self._tell()
                case _:
                    assert_never(duty)
        return bool(frames) or not self.scheduler.is_idle

    def _answer(self) -> None:
        self.telling.everything(self.clock())
        queries, self.queries = self.queries, []
        for query in queries:
            answer(self, query)

    def _tell(self) -> None:
        """Tell what others may depend on."""
        if self.log is not None:
            self.log.sift_ends()
        self.telling.at_once()

    def _drain(self) -> list[Frame]:
        try:
            return self.link.drain(CYCLE_MESSAGES_MAX)
        except Broken as error:
            return self._lose_lane(error)

    def attached(self, peer: int) -> None:
        """A slot is linked. What the process before this one told it may lie in the lane yet; a reload stands by it."""
        if self.is_new and self.link.published(peer):
            self.outbox.signals.begin(peer)

    def put_first(self, cell: Cell, sender: str) -> None:
        """An engine that does not run hears this sender next. What it sent lies in its lane, or waits already."""
        for _ in range(FORGET_CYCLES):
            if any(inbox.put_first(sender) for inbox in cell.inboxes.values()) or not self._cycle_with_mail():
                break

    def forget(self, peer: int) -> None:
        """A slot is gone for good; what it had sent lies in its lane until then, and is taken first."""
        for _ in range(FORGET_CYCLES):
            if not self._cycle_with_mail():
                break
        self.link.detach(peer)
        self.outbox.detached(peer)

    def _cycle_with_mail(self) -> bool:
        """A cycle, if mail is there; whether it was."""
        frames = self._drain()
        if frames:
            self.turn(frames)
        return bool(frames)

    def drained(self) -> bool:
        """Whether nothing waits in the lanes, in mailboxes, or to leave."""
        return not any(cell.depth or cell.held for cell in self.scheduler.cells.values())

    def _lose_lane(self, error: Broken) -> list[Frame]:
        self.channel.send(Event("lane_broken", "", {"finding": str(error)}))
        return []
