"""The engines of one slot: which of them gets the next trigger, and where arriving mail goes.

`host.node.cycle` defines when each method is called. Mail that is not run within the budget waits in mailboxes,
bounded, and is counted as parked.

A due timer comes before mail, delayed by one transition at most. Cells take turns, a stride each. Mail of one sender
reaches an engine in the order of its numbers.

Timers without delay do not keep mail out. A transition at time t sets deadlines after t (the model's law), so once the
timers that are due at t have run, mail runs at the same t. A run has a bound in time and in outputs, whatever its
triggers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from engines.model import Configuration, Delivery, Environment, Family
from host.config.spec import MailboxSpec
from host.node.arrivals import Arrivals
from host.node.cell import NEVER, STRIDE_MAX, Cell, new_cell
from host.node.deadlines import Deadlines
from host.node.mailbox import Inbox
from host.node.outbox import Outbox
from host.node.progress import CYCLES, PARKED, STUCK, UNSENT, Progress, Tally
from host.node.recording import Recording
from host.node.report import Report
from host.node.routing import TOMBSTONES_MAX
from host.node.turns import OUTPUTS_MAX, Turns

RUN_NS_MAX: Final = 5_000_000
"""Budget of one `run`: how long a slow engine may keep its neighbours' outputs back."""

DUE_MAX: Final = 256
"""Engines whose timers fire between two readings of the clock: even very many of them keep within the budget."""

STRIDE_SLOW_NS: Final = 1_000_000
"""A stride that takes longer is shortened, so that engine time and turns stay that fine."""


class Scheduler:
    """Mutable, one thread. Time and chance are arguments; `clock` never goes back."""

    def __init__(
        self,
        clock: Callable[[], int],
        chance: Callable[[int], int],
        progress: Progress,
        report: Report,
        outbox: Outbox,
        recording: Recording | None = None,
    ) -> None:
        """`recording` is the journal of the slot, if it has one."""
        self.cells: dict[str, Cell] = {}
        self.ended: dict[str, None] = {}
        self.report = report
        self.outbox = outbox
        self.recording = recording
        self.deadlines = Deadlines()
        self.tally = Tally()
        self.turns = Turns(clock, chance, progress, report, self.deadlines, self.tally)
        self.clock = clock
        self.arrivals = Arrivals(self, clock, report, self.tally)
        self.deliver = self.arrivals.deliver
        self.deliver_here = self.arrivals.deliver_here
        self.ready: deque[Cell] = deque()
        self._stopping: dict[Cell, None] = {}
        self._words = progress.words
        outbox.attach(self)

    def give_birth(
        self,
        family: Family[Any, Any, Any, Any],
        configuration: Configuration[Any],
        env: Environment[Any],
        mailboxes: Mapping[int, MailboxSpec],
    ) -> Cell | None:
        """A new engine; mail that waited for it is delivered. None when the name is or was in use."""
        cell = new_cell(family, configuration, env, mailboxes)
        return cell if self.settle(cell) else None

    def settle(self, cell: Cell, prepare: Callable[[Cell], None] | None = None) -> bool:
        """Take a new cell in; False when its name is or was in use. `prepare` runs before it gets any mail."""
        if cell.name in self.cells or cell.name in self.ended:
            return False
        if self.recording is not None:
            self.recording.begin(cell, self.outbox.epoch, self.clock())
        if prepare is not None:
            prepare(cell)
        self.cells[cell.name] = cell
        self.turns.rearm(cell)
        self.arrivals.born(cell.name)
        return True

    def take_in(self, cell: Cell) -> None:
        """Take in an engine from another process, with its mail; one that ended only has outputs left."""
        if not cell.is_ended:
            self.cells[cell.name] = cell
            self.tally.received += cell.depth
            self.turns.count_standing(cell, 1)
            if cell.is_stopping:
                self._stopping[cell] = None
        self.arrivals.continue_after(cell)
        self.outbox.take_in(cell)
        self.wake(cell)

    def end(self, cell: Cell) -> None:
        """End the cell: it leaves a tombstone, and its held outputs still leave.

        Its waiting mail, and the message with which it waited for a choice, become dead letters.
        """
        cell.is_ended = True
        del self.cells[cell.name]
        self.ended[cell.name] = None
        if len(self.ended) > TOMBSTONES_MAX:
            del self.ended[next(iter(self.ended))]
        self.turns.rearm(cell)
        for inbox in cell.inboxes.values():
            dropped = inbox.take_all()
            self.arrivals.count_dropped(len(dropped))
            self.report.bury_all("ended", cell.name, inbox.number, self.clock(), dropped)
        self.turns.bury_suspended(cell)
        if cell.is_stopping:
            self.say_go(cell)
        if cell.recorder is not None:
            cell.recorder.ended()

    def answer(self, engine: str, choice: str) -> str:
        """Give an engine a user's choice; "" when it was taken, else why not."""
        cell = self.cells.get(engine)
        if cell is None:
            return f"there is no engine {engine}"
        error = self.turns.answer(cell, choice)
        if cell.is_ended:
            self.end(cell)
        else:
            self.wake(cell)
        return error

    def wake(self, cell: Cell) -> None:
        """Let a cell that may be runnable again run: arm its deadline, and queue it if it has mail."""
        self.turns.rearm(cell)
        self._queue(cell)

    def _queue(self, cell: Cell) -> None:
        """Queue a cell that may be runnable again, if it has mail."""
        if cell.notify is not None:
            cell.notify()
        elif not cell.is_queued and cell.is_runnable and cell.depth and not cell.is_ended:
            cell.is_queued = True
            self.ready.append(cell)

    def take_mail(self, cell: Cell) -> Delivery[Any] | None:
        """The next message of an engine with a driver; None when none waits. Mail of a wrong type is buried."""
        while (inbox := cell.next_inbox()) is not None:
            batch = inbox.batches[0]
            item = batch.payloads[batch.position]
            inbox.advance(1)
            self.arrivals.count_handled(cell, 1)
            try:
                message = inbox.box.decode(item) if batch.is_encoded else item
            except BaseException as error:
                self.turns.bury_unreadable(cell, batch.sender, inbox.number, item, error)
                continue
            return Delivery(batch.sender, inbox.number, message)
        return None

    @property
    def is_idle(self) -> bool:
        """Whether nothing can run before new mail, an answer, room, or `wakes_ns`."""
        return not self.ready and not self.turns.outputs and self.deadlines.earliest > self.clock()

    @property
    def is_calm(self) -> bool:
        """Whether there is only mail, that waits or will come, and future deadlines: no letter, no output waits."""
        if self._stopping or self.turns.outputs:
            return False
        return self.arrivals.deadline_ns == NEVER and self.deadlines.earliest > self.clock()

    @property
    def wakes_ns(self) -> int | None:
        """When to run again if nothing else happens, at the latest; None: no timer is pending."""
        earliest = min(self.deadlines.earliest, self.arrivals.deadline_ns)
        return None if earliest == NEVER else earliest

    def run(self, budget_ns: int = RUN_NS_MAX) -> None:
        """Give triggers until nothing is runnable, the budget is spent, or `OUTPUTS_MAX` outputs wait to leave."""
        ready, turns, clock = self.ready, self.turns, self.clock
        now_ns = clock()
        until_ns = now_ns + budget_ns
        while True:
            if self.deadlines.earliest <= now_ns:
                self._fire_due(now_ns)
            if ready:
                cell = ready.popleft()
                cell.is_queued = False
                if not cell.held and cell.suspension is None and not cell.is_ended:
                    self._run_next(cell, now_ns)
            if not ready and self.deadlines.earliest == NEVER:
                break
            now_ns = clock()
            if not ready and self.deadlines.earliest > now_ns:
                break
            if now_ns >= until_ns or turns.outputs_count >= OUTPUTS_MAX:
                break
        arrivals = self.arrivals
        if arrivals.early.deadline_ns <= now_ns or arrivals.fallen.until_ns <= now_ns:
            arrivals.expire(now_ns)

    def park(self) -> None:
        """Account for mail that waits beyond the lanes: apply the bounds, send go where there is room again, count.

        Usually no mail waits or waited, and no sender was sent stop.
        """
        tally = self.tally
        if self.turns.outputs:
            self._words[UNSENT] = self.outbox.held + sum([len(outputs) for _, outputs in self.turns.outputs])
        if tally.received == tally.handled and not tally.parked and not self._stopping:
            return
        for cell in self.ready:
            self._apply_bounds(cell)
        for cell in tuple(self._stopping):
            if all(inbox.depth <= inbox.go_at and not inbox.is_heavy(2) for inbox in cell.inboxes.values()):
                self.say_go(cell)
        tally.show(self._words)
        self._show_lost()

    def show(self) -> None:
        """Bring the counters up to date."""
        words = self._words
        self.tally.show(words)
        words[UNSENT] = self.outbox.held
        words[CYCLES] += 1
        words[STUCK] = int(bool(self._stopping) and any(cell.held for cell in self._stopping))
        self._show_lost()

    def _show_lost(self) -> None:
        """Mail waiting for journaled engines, and outputs that left them, are in the log and survive the process."""
        if self.recording is None:
            return
        are_all_kept = len(self.recording.kept) == len(self.cells)
        lost = [] if are_all_kept else [cell for cell in self.cells.values() if cell.recorder is None]
        self._words[PARKED] = sum([cell.depth for cell in lost])
        if not lost:
            self._words[UNSENT] = 0

    def say_go(self, cell: Cell) -> None:
        """Send go to the senders of `cell`, which had sent stop."""
        del self._stopping[cell]
        cell.is_stopping = False
        self.outbox.signals.go(cell)
        self.outbox.go(cell.name)

    def _run_next(self, cell: Cell, now_ns: int) -> None:
        """Give a runnable `cell` a stride of its mail; then it is the others' turn."""
        inbox = cell.only_inbox or cell.next_inbox()
        if inbox is None or not inbox.depth:
            return
        stride = cell.stride
        if self.turns.run_mail(cell, inbox, now_ns) == stride:
            taken_ns = self.clock() - now_ns
            cell.stride = max(1, stride // 4) if taken_ns > STRIDE_SLOW_NS else min(STRIDE_MAX, stride * 2)
        if cell.is_ended:
            self.end(cell)
        elif (inbox.depth or (cell.only_inbox is None and cell.depth)) and cell.is_runnable:
            cell.is_queued = True
            self.ready.append(cell)

    def _fire_due(self, now_ns: int) -> None:
        """Fire due timers, the earliest first: at most `DUE_MAX` engines, and until `OUTPUTS_MAX` outputs wait."""
        turns = self.turns
        for _ in range(DUE_MAX):
            cell = self.deadlines.take_due(now_ns)
            if cell is None:
                return
            turns.fire_timers(cell, now_ns)
            if cell.is_ended:
                self.end(cell)
            else:
                self._queue(cell)
            if turns.outputs_count >= OUTPUTS_MAX:
                return

    def arrived(self, cell: Cell, inbox: Inbox, peer: int | None) -> None:
        """Mail was put into an inbox of `cell`, by slot `peer` (None: from here)."""
        if not cell.is_queued:
            if cell.suspension is None and not cell.held and cell.notify is None:  # is_runnable, at hand
                cell.is_queued = True
                self.ready.append(cell)
            else:
                self._apply_bounds(cell)
                if cell.notify is not None:
                    cell.notify()
        if inbox.depth >= inbox.stop_at and inbox.policy == "wait":
            self._stop(cell, peer)
        elif inbox.batches and inbox.batches[-1].payloads[0].__class__ is memoryview:
            self._large_arrived(cell, inbox, peer)

    def _stop(self, cell: Cell, peer: int | None) -> None:
        cell.is_stopping = True
        self._stopping[cell] = None
        if peer is not None:
            self.outbox.signals.stop(cell, peer)

    def _large_arrived(self, cell: Cell, inbox: Inbox, peer: int | None) -> None:
        """A large message occupies its sender's memory while it waits."""
        inbox.has_views = True
        if inbox.says_stop:
            self._stop(cell, peer)
        if not cell.is_runnable:
            cell.let_views_go()

    def _apply_bounds(self, cell: Cell) -> None:
        for inbox in cell.inboxes.values():
            dropped = inbox.over_bound()
            if dropped:
                self.arrivals.count_dropped(len(dropped))
                if cell.recorder is not None:
                    for one in dropped:
                        cell.recorder.skipped(one.sender, inbox.number, one.epoch, one.n, self.clock())
                self.report.bury_all("mailbox_full", cell.name, inbox.number, self.clock(), dropped)
