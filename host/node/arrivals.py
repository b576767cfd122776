"""Where arriving mail goes: into a mailbox, into the dead letters, or aside until a child is born.

Mail of one stream (sender, target, mailbox) carries an epoch and a number. A higher epoch begins anew; a lower one
belongs to an earlier life. Messages seen before are dropped, missing ones are reported. A receiver that does not know
the stream, because it was restarted, takes the first number it sees.

The awkward case is mail for an unknown name. Its parent may live here and spawn it at any moment. Such mail waits, with
a bound in time and number, then becomes a dead letter `unknown` like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from engines.model import encode, parent_name
from host.node.cell import Cell
from host.node.early import EarlyMail, Letterbox
from host.node.fallen import Fallen
from host.node.mailbox import Batch, Inbox
from host.node.news import Event, Fatal, Trigger
from host.node.progress import Tally
from host.node.report import Report
from host.node.set_aside import set_aside
from host.node.slot_engines import SlotEngines


class Arrivals:
    """Mutable, one a scheduler. `count`: batches that arrived."""

    __slots__ = ("_clock", "_engines", "_report", "_tally", "count", "early", "fallen")

    def __init__(self, engines: SlotEngines, clock: Callable[[], int], report: Report, tally: Tally) -> None:
        self.early = EarlyMail()
        self.fallen = Fallen()
        self._engines = engines
        self._clock = clock
        self._report = report
        self._tally = tally
        self.count = 0

    def deliver(
        self, peer: int | None, sender: str, target: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any]
    ) -> None:
        """Take the messages of a frame from slot `peer`: encoded, numbered `first_n`, `first_n + 1`, …

        `peer` None: from a neighbour in this slot, to a journaled engine.
        """
        cell = self._engines.cells.get(target)
        if cell is None:
            assert peer is not None
            self._deliver_nowhere(Letterbox(peer, sender, target, mailbox, epoch, first_n, payloads))
            return
        inbox = cell.inboxes.get(mailbox)
        if inbox is None:
            self._bury("undeclared_mailbox", sender, target, mailbox, payloads)
            return
        recorder = cell.recorder
        mark = cell.marks.get((sender, mailbox))
        if recorder is None and mark is not None and mark.next_n == first_n and mark.epoch == epoch:
            mark.next_n = first_n + len(payloads)
        else:
            payloads, first_n = self._align(cell, sender, mailbox, epoch, first_n, payloads)
            if recorder is not None and payloads:
                recorder.mail(sender, mailbox, epoch, first_n, payloads)
        cell.received += len(payloads)
        self._tally.received += len(payloads)
        self.wait_in(cell, inbox, Batch(0, sender, epoch, first_n, payloads, True), peer)

    def wait_in(self, cell: Cell, inbox: Inbox, batch: Batch, peer: int | None) -> None:
        """Put new mail into its mailbox, without the messages that killed an earlier process."""
        if self.fallen.is_expected:
            self._leave_out_fallen(cell, inbox, batch)
        if batch.payloads:
            self.count += 1
            batch.arrival = self.count
            inbox.add(batch)
            self._engines.arrived(cell, inbox, peer)

    def deliver_here(self, cell: Cell, inbox: Inbox, sender: str, epoch: int, n: int, message: Any) -> None:
        """Take a message object of a neighbour in this slot; its class is one of the mailbox's."""
        if cell.recorder is not None:
            self.deliver(None, sender, cell.name, inbox.number, epoch, n, [encode(message)])
            return
        self.count += 1
        cell.received += 1
        self._tally.received += 1
        inbox.add_message(self.count, sender, epoch, n, message)
        self._engines.arrived(cell, inbox, None)

    def expect(self, fallen: Iterable[Fatal]) -> None:
        """Predecessors died handling these messages: when they come again, they are not tried again."""
        self.fallen.expect(fallen, self._clock())

    @property
    def deadline_ns(self) -> int:
        """When `expire` has something to do."""
        return min(self.early.deadline_ns, self.fallen.until_ns)

    def continue_after(self, cell: Cell) -> None:
        """Order mail that arrives from now on behind the mail that `cell` brings with it."""
        for inbox in cell.inboxes.values():
            for batch in inbox.batches:
                self.count = max(self.count, batch.arrival)

    def born(self, name: str) -> None:
        """Deliver what waited for a birth."""
        for letter in self.early.take(name):
            self.deliver(*letter)

    def expire(self, now_ns: int) -> None:
        """Bury mail that waited too long for a birth, and messages lost with an earlier process."""
        if self.fallen.until_ns <= now_ns:
            for trigger, _ in self.fallen.take_late():
                self._lose(trigger)
        for letter in self.early.expired(now_ns):
            self._bury("unknown", letter.sender, letter.target, letter.mailbox, letter.payloads)

    def count_handled(self, cell: Cell, messages: int) -> None:
        """A driver took messages."""
        cell.handled += messages
        self._tally.handled += messages

    def count_dropped(self, messages: int) -> None:
        """Messages left a mailbox without reaching the engine."""
        self._tally.handled += messages

    def _align(
        self, cell: Cell, sender: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any]
    ) -> tuple[list[Any], int]:
        """Align a stream that is new or out of step: drop messages seen before, report missing ones."""
        taken = cell.take(sender, mailbox, epoch, first_n, len(payloads))
        if taken.verdict == "old_epoch":
            self._happened("old_epoch", cell, sender=sender, epoch=epoch, messages=len(payloads))
        elif taken.verdict == "gap":
            self._happened("gap", cell, sender=sender, expected=first_n - taken.missing, found=first_n)
        return (payloads[taken.skip :], first_n + taken.skip) if taken.skip else (payloads, first_n)

    def _leave_out_fallen(self, cell: Cell, inbox: Inbox, batch: Batch) -> None:
        """Take messages that killed an earlier process out of a batch; the messages around them run."""
        stream = (cell.name, batch.sender, inbox.number, batch.epoch)
        lost, here = self.fallen.take(stream, batch.first_n, len(batch.payloads))
        for trigger, _ in lost:
            self._lose(trigger)
        for trigger, how in here:
            index = trigger.n - batch.first_n
            if index > 0:
                self.count += 1
                inbox.add(Batch(self.count, batch.sender, batch.epoch, batch.first_n, batch.payloads[:index], True))
                self._engines.arrived(cell, inbox, None)
            self._lay_to_rest(cell, trigger, how, batch.payloads[index])
            batch.payloads, batch.first_n = batch.payloads[index + 1 :], trigger.n + 1
            if cell.is_ended:
                self._engines.end(cell)
                self._bury("ended", batch.sender, cell.name, inbox.number, batch.payloads)
                batch.payloads = []
                return

    def _lay_to_rest(self, cell: Cell, trigger: Trigger, how: str, payload: Any) -> None:
        """A message that killed becomes a dead letter, or, of a journaled engine and not for the first time, poison."""
        if cell.recorder is not None:
            cell.recorder.skipped(trigger.sender, trigger.mailbox, trigger.epoch, trigger.n, self._clock())
        if how and cell.poison:
            set_aside(self._report, cell, trigger, payload, how, self._clock())
        else:
            self._bury("crashed", trigger.sender, cell.name, trigger.mailbox, [payload])
        self.count_dropped(1)
        self._report.rested.append(trigger)

    def _lose(self, lost: Trigger) -> None:
        """A message that killed was off its lane: nothing of it is left but its address."""
        detail = f"message {lost.n} of epoch {lost.epoch}; its content died with the process"
        self._report.bury(
            "crashed", lost.sender, lost.engine, lost.mailbox, self._clock(), None, is_encoded=False, detail=detail
        )
        self._report.rested.append(lost)

    def _deliver_nowhere(self, letter: Letterbox) -> None:
        name = letter.target
        if name not in self._engines.ended and self._may_be_born(name) and self.early.keep(letter, self._clock()):
            return
        reason = "ended" if name in self._engines.ended else "unknown"
        self._bury(reason, letter.sender, name, letter.mailbox, letter.payloads)

    def _may_be_born(self, name: str) -> bool:
        """Whether an engine that lives here could be the parent of `name`."""
        parent = parent_name(name)
        return parent is not None and parent in self._engines.cells

    def _bury(self, reason: str, sender: str, target: str, mailbox: int, payloads: list[Any]) -> None:
        now_ns = self._clock()
        for payload in payloads:
            self._report.bury(reason, sender, target, mailbox, now_ns, payload, is_encoded=True)

    def _happened(self, kind: str, cell: Cell, **fields: Any) -> None:
        self._report.events.append(Event(kind, cell.name, fields))
