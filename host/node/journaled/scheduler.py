"""The scheduler of a slot with a journal: births and ends are written down, and what waits is in the log."""

from __future__ import annotations

from collections.abc import Callable

from host.node.answers import AnswerLog
from host.node.cell import Cell
from host.node.journal.records import Ended
from host.node.journaled.arrivals import JournaledArrivals
from host.node.journaled.keeping import Keeping
from host.node.journaled.outbox import JournaledOutbox
from host.node.journaled.turns import JournaledTurns
from host.node.progress import PARKED, UNSENT, Progress
from host.node.report import Report
from host.node.scheduler import Scheduler


class JournaledScheduler(Scheduler):
    """As `Scheduler`. Engines that are in no keeping are volatile."""

    turns: JournaledTurns
    arrivals: JournaledArrivals

    def __init__(
        self,
        clock: Callable[[], int],
        chance: Callable[[int], int],
        answers: AnswerLog,
        progress: Progress,
        report: Report,
        outbox: JournaledOutbox,
        keeping: Keeping,
    ) -> None:
        super().__init__(clock, chance, answers, progress, report, outbox)
        self._keeping = keeping
        self.turns = JournaledTurns(clock, chance, answers, progress, report, self.deadlines, self.tally)
        self.turns.keep(keeping)
        self.arrivals = JournaledArrivals(self, clock, report, self.tally)
        self.arrivals.keep(keeping, self.turns)
        self.deliver = self.arrivals.deliver

    def settle(self, cell: Cell, prepare: Callable[[Cell], None] | None = None) -> bool:
        """As `Scheduler.settle`; a child is kept as its parent is."""

        def enrol(born: Cell) -> None:
            parent = self._keeping.kept.get(born.configuration.parent or "")
            mode = self._keeping.modes.get(born.name) or (parent.mode if parent is not None else None)
            if mode is not None:
                born.poison = born.poison or "skip"
                self._keeping.enrol(born, mode, self.outbox.epoch, self.clock())
            if prepare is not None:
                prepare(born)

        return super().settle(cell, enrol)

    def end(self, cell: Cell) -> None:
        """As `Scheduler.end`. An end that no transition said is a record of its own."""
        kept = self._keeping.kept.get(cell.name)
        super().end(cell)
        if kept is None:
            return
        if not kept.has_stopped:
            self._keeping.log.record(cell.name, Ended("ended from outside"))
        self._keeping.end(cell.name)
        if cell.configuration.parent is not None:
            self._keeping.child_ended(cell.configuration.parent, cell.name)

    def show(self) -> None:
        """As `Scheduler.show`; mail of journaled engines that waits does not die with the process."""
        super().show()
        self._show_lost()

    def park(self) -> None:
        """As `Scheduler.park`."""
        super().park()
        self._show_lost()

    def _show_lost(self) -> None:
        lost = [cell for name, cell in self.cells.items() if name not in self._keeping.kept]
        self._words[PARKED] = sum([cell.depth for cell in lost])
        if not lost:
            self._words[UNSENT] = 0

    def _apply_bounds(self, cell: Cell) -> None:
        """As `Scheduler._apply_bounds`. What a bound costs a journaled engine leaves its log as it leaves its box."""
        if cell.name not in self._keeping.kept or all(box.depth <= box.capacity for box in cell.inboxes.values()):
            super()._apply_bounds(cell)
            return
        before = _waiting(cell)
        super()._apply_bounds(cell)
        for sender, mailbox, epoch, n in sorted(before - _waiting(cell)):
            self.turns.skip(cell, sender, mailbox, epoch, n, self.clock())


def _waiting(cell: Cell) -> set[tuple[str, int, int, int]]:
    """Sender, mailbox, epoch and number of each message that waits."""
    return {
        (batch.sender, inbox.number, batch.epoch, batch.first_n + at)
        for inbox in cell.inboxes.values()
        for batch in inbox.batches
        for at in range(batch.position, len(batch.payloads))
    }
