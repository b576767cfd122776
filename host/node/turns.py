"""Transitions, one after the other: the loop over a batch of mail, elapsed timers, and questions that wait for answers.

What may live here: calls of `step`, and what its outcomes mean for a cell. Nothing leaves an engine here; outputs are
appended to `outputs`, in order, for the outbox. `run_mail` is the path of nearly every message and is written for that:
plain names for what a message needs. While no timer is pending in the slot, the clock is read once for a whole run;
otherwise before each message, so that a due timer waits for one transition at most.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from engines.model import (
    AnswerError,
    Choose,
    Committed,
    Delivery,
    Due,
    Failed,
    Handle,
    Outcome,
    Outgoing,
    Output,
    Overflow,
    Refused,
    Spawned,
    Stopped,
    Stored,
    Suspended,
    arrive,
    due_timers,
    next_deadline,
    owned,
    raised,
    step,
)
from engines.model.blame import blame
from host.node.cell import NEVER, Cell, Suspension
from host.node.deadlines import Deadlines
from host.node.mailbox import Inbox
from host.node.news import Waits
from host.node.progress import EPOCH, MAILBOX, STANDING, STARTED_NS, TIMERS, N, Progress, Tally
from host.node.recorder import Record
from host.node.report import Report
from host.node.set_aside import set_aside, trigger_of
from host.node.trigger_ring import TriggerRing

Cause = Delivery[Any] | Due

OUTPUTS_MAX: Final = 10_000
"""Outputs at which a run ends: bounds the memory that a burst of sends takes before it can leave. The last transition
may exceed it."""


class Turns:
    """Runs transitions of the cells of one scheduler."""

    def __init__(
        self,
        clock: Callable[[], int],
        chance: Callable[[int], int],
        progress: Progress,
        report: Report,
        deadlines: Deadlines,
        tally: Tally,
    ) -> None:
        self.outputs: list[tuple[Cell, tuple[Output, ...]]] = []
        self.outputs_count = 0
        self.has_spawned = False
        self.ring: TriggerRing | None = None
        """Keeps the triggers of volatile engines, for a rehearsal."""
        self._clock = clock
        self._chance = chance
        self._progress = progress
        self._report = report
        self._deadlines = deadlines
        self._tally = tally
        self._words = progress.words
        self.shown: tuple[Cell, str, int, int] | None = None
        """The stream that `show_stream` showed, until the cycle in C shows another one."""

    def run_mail(self, cell: Cell, inbox: Inbox, now_ns: int) -> int:
        """Give a runnable cell the first batch of `inbox`, at most a stride of it; end early for a due timer.

        Returns how many messages were taken.

        At least one message is run unless the cell's own timer is due: a neighbour's timers cannot starve it.
        """
        if cell.deadline_ns <= now_ns:
            return 0
        deadlines, words, batch = self._deadlines, self._words, inbox.batches[0]
        sender, mailbox = batch.sender, inbox.number
        decode = (inbox.decode or inbox.find_decode()) if batch.is_encoded else _as_it_is
        family, configuration, env, recorder = cell.family, cell.configuration, cell.env, cell.recorder
        timers = env.timers
        ring, met = None if recorder is not None else self.ring, env
        times: list[int] = []
        is_timed = deadlines.earliest != NEVER
        if self.shown != (cell, sender, mailbox, batch.epoch):
            self.show_stream(cell, sender, mailbox, batch.epoch)
        words[STARTED_NS] = now_ns
        start = batch.position
        first = number = batch.first_n + start
        for number, payload in enumerate(batch.payloads[start : start + cell.stride], first):
            words[N] = number
            try:
                message = decode(payload)
            except BaseException as error:
                if recorder is not None:
                    recorder.skipped(sender, mailbox, batch.epoch, number, now_ns)
                if times and ring is not None:
                    ring.mail(cell, met, mailbox, batch, number, times)
                    times, met = [], env
                self.bury_unreadable(cell, sender, mailbox, payload, error)
                continue
            outcome = arrive(family, configuration, env, sender, mailbox, message, now_ns)
            if outcome.__class__ is Committed:
                if recorder is not None:
                    outcome = recorder.handled(sender, mailbox, batch.epoch, number, now_ns, outcome)
                    assert isinstance(outcome, Committed)
                if ring is not None:
                    times.append(now_ns)
                env, outputs = outcome.env, outcome.outputs
                if outputs:
                    self.outputs.append((cell, outputs))
                    self.outputs_count += len(outputs)
                    if len(outputs) > 1 or outputs[0].__class__ is not Outgoing:
                        self._foresee(cell, outputs)
                        if cell.is_ended or self.outputs_count >= OUTPUTS_MAX:
                            break
                if env.timers is not timers:
                    timers, cell.env = env.timers, env
                    self.rearm(cell)
                    is_timed = deadlines.earliest != NEVER
            else:
                cell.env = env
                if times and ring is not None:
                    ring.mail(cell, met, mailbox, batch, number, times)
                    times = []
                record: Record | None = None
                if recorder is not None:
                    record = partial(recorder.handled, sender, mailbox, batch.epoch, number, now_ns)
                self._settle(cell, Delivery(sender, mailbox, message), now_ns, (), outcome, record)
                env = met = cell.env
                if cell.suspension is not None or cell.is_ended or cell.held:
                    break
                timers, is_timed = env.timers, deadlines.earliest != NEVER
            if is_timed:
                now_ns = self._clock()
                if now_ns >= deadlines.earliest:
                    break
        words[N] = 0
        cell.env = env
        if times and ring is not None:
            ring.mail(cell, met, mailbox, batch, number + 1, times)
        taken = number - first + 1
        cell.handled += taken
        self._tally.handled += taken
        inbox.advance(taken)
        return taken

    def fire_timers(self, cell: Cell, now_ns: int) -> None:
        """Act on the cell's deadline: run its elapsed timers as one trigger, or answer its question with the time-out.

        Does nothing while the cell is held. The deadline is set again.
        """
        suspension = cell.suspension
        if cell.held:
            self.rearm(cell)
        elif suspension is not None and suspension.deadline_ns <= now_ns:
            self.resume(cell, suspension, None)
        elif suspension is None and (handles := due_timers(cell.env, now_ns)):
            self.elapse(cell, handles, now_ns)
        else:
            self.rearm(cell)

    def elapse(self, cell: Cell, handles: tuple[Handle, ...], now_ns: int) -> None:
        """Run elapsed timers as one trigger."""
        cause = Due(handles)
        words = self._words
        self.show_stream(cell, "", TIMERS, 0)
        words[STARTED_NS] = now_ns
        words[N] = 1
        outcome = step(cell.family, cell.configuration, cell.env, cause, now_ns)
        record = None if cell.recorder is None else partial(cell.recorder.elapsed, handles, now_ns)
        self._settle(cell, cause, now_ns, (), outcome, record)
        words[N] = 0

    def answer(self, cell: Cell, choice: str) -> str:
        """Answer the choice that a cell waits for; "" when the answer was taken, else why not."""
        suspension = cell.suspension
        if suspension is None:
            return f"{cell.name} waits for no choice"
        if choice not in suspension.question.options:
            return f"{choice!r} is no option of {cell.name}: {', '.join(suspension.question.options)}"
        self.resume(cell, suspension, choice)
        return ""

    def rearm(self, cell: Cell) -> None:
        """Set the cell's deadline: none while held or ended, its question's while suspended, else its first timer's."""
        if cell.held or cell.is_ended or cell.notify is not None:
            deadline: int | None = NEVER
        elif cell.suspension is not None:
            deadline = cell.suspension.deadline_ns
        else:
            deadline = next_deadline(cell.env)
        self._deadlines.set(cell, NEVER if deadline is None else deadline)

    def conclude_raised(self, cell: Cell, sender: str, mailbox: int, message: Any, error: BaseException) -> None:
        """A transition in C ended with this exception; its record, if there is one, is written."""
        self._conclude(cell, Delivery(sender, mailbox, message), raised(error))
        self.rearm(cell)

    def _foresee(self, cell: Cell, outputs: tuple[Output, ...]) -> None:
        """Apply at once what must precede the outputs' leaving: an end takes effect, births come first."""
        cell.is_ended = outputs[-1].__class__ is Stopped
        self.has_spawned = self.has_spawned or any(output.__class__ is Spawned for output in outputs)

    def show_stream(self, cell: Cell, sender: str, mailbox: int, epoch: int) -> None:
        """Show the stream that comes next. Called while no message is in flight."""
        self._progress.show(cell.name, sender)
        self._words[MAILBOX] = mailbox
        self._words[EPOCH] = epoch
        self.shown = (cell, sender, mailbox, epoch)

    def resume(self, cell: Cell, suspension: Suspension, answer: str | None) -> None:
        """Run the transition again with one more answer, None for the time-out."""
        self.count_standing(cell, -1)
        cell.suspension = None
        self._report.waits.append(Waits(cell.name))
        answers = self._answered(cell, suspension.at_ns, suspension.answers, answer)
        record = None if cell.recorder is None else partial(cell.recorder.resumed, self._clock())
        outcome = _step(cell, suspension.cause, suspension.at_ns, answers)
        self._settle(cell, suspension.cause, suspension.at_ns, answers, outcome, record)

    def _answered(self, cell: Cell, at_ns: int, answers: tuple[Any, ...], answer: Any) -> tuple[Any, ...]:
        """The answers with one more, which is recorded before it is used."""
        if cell.recorder is not None:
            cell.recorder.answered(at_ns, len(answers), answer)
        return (*answers, answer)

    def _settle(
        self,
        cell: Cell,
        cause: Cause,
        at_ns: int,
        answers: tuple[Any, ...],
        outcome: Outcome[Any],
        record: Record | None,
    ) -> None:
        """Apply any outcome to the cell, once it is recorded; a question of chance is answered at once. The deadline is
        set again."""
        while isinstance(outcome, Suspended):
            question = outcome.question
            if isinstance(question, Choose):
                if record is not None:
                    record(outcome, len(answers))
                self._suspend(cell, cause, at_ns, answers, question)
                return
            answers = self._answered(cell, at_ns, answers, 1 + self._chance(question.sides))
            outcome = _step(cell, cause, at_ns, answers)
        if record is not None:
            outcome = record(outcome, len(answers))
        elif self.ring is not None and cell.recorder is None:
            self.ring.trigger(cell, cause, at_ns, answers)
        self._conclude(cell, cause, outcome)
        self.rearm(cell)

    def _conclude(self, cell: Cell, cause: Cause, outcome: Outcome[Any]) -> None:
        match outcome:
            case Committed(env, outputs, _, ignored):
                cell.env = env
                cell.ignored += ignored
                if outputs:
                    self.outputs.append((cell, outputs))
                    self.outputs_count += len(outputs)
                    self._foresee(cell, outputs)
            case Stored(env):
                cell.env = env
            case Overflow(mailbox, stored_max):
                self._bury_cause(cell, "stored_overflow", cause, f"mailbox {mailbox} stores {stored_max}")
            case Refused(reason):
                is_hidden = isinstance(cause, Delivery) and type(cause.message) in cell.family.hidden
                self._bury_cause(cell, "hidden" if is_hidden else "type", cause, reason)
            case Failed(_, traceback):
                cell.failed += 1
                self._fail(cell, cause, traceback)
            case _:
                raise AssertionError(f"{cell.name}: {outcome!r}")

    def _fail(self, cell: Cell, cause: Cause, traceback: str) -> None:
        """An action raised, and would raise again at a second try. A journaled engine's trigger goes to quarantine."""
        if not cell.poison:
            self._bury_cause(cell, "failed", cause, traceback)
            return
        item = cause if isinstance(cause, Due) else cause.message
        trigger = trigger_of(cell, cause, self._words[EPOCH], self._words[N])
        set_aside(self._report, cell, trigger, item, traceback, self._clock())
        if isinstance(cause, Due):
            self._end_timers(cell, cause)

    def _suspend(self, cell: Cell, cause: Cause, at_ns: int, answers: tuple[Any, ...], question: Choose[Any]) -> None:
        if cell.family.holds_blobs and isinstance(cause, Delivery):
            cause = Delivery(cause.sender, cause.mailbox, owned(cause.message))  # it may wait here for long
        cell.let_views_go()
        timeout_ns = question.timeout_ns
        deadline_ns = NEVER if timeout_ns is None else self._clock() + timeout_ns
        cell.suspension = Suspension(cause, at_ns, answers, question, deadline_ns)
        self.count_standing(cell, 1)
        if cell.recorder is not None:
            cell.recorder.asked(None if timeout_ns is None else deadline_ns)
        self._report.suspended(cell.name, cell.suspension)
        self.rearm(cell)

    def _bury_cause(self, cell: Cell, reason: str, cause: Cause, detail: str) -> None:
        """Timers that failed are elapsed, like any others; a message becomes a dead letter as it is."""
        if isinstance(cause, Due):
            self._end_timers(cell, cause)
            self.bury(cell, reason, "", 0, cause, False, detail)
        else:
            self.bury(cell, reason, cause.sender, cause.mailbox, cause.message, False, detail)

    def _end_timers(self, cell: Cell, due: Due) -> None:
        timers = cell.env.timers
        for handle in due.handles:
            timers = timers.without(handle.name)
        cell.env = msgspec.structs.replace(cell.env, timers=timers)

    def count_standing(self, cell: Cell, change: int) -> None:
        """Count a volatile `cell` that waits for a choice with a message as one more or one less."""
        if cell.recorder is None and cell.suspension is not None and isinstance(cell.suspension.cause, Delivery):
            self._words[STANDING] += change

    def bury_suspended(self, cell: Cell) -> None:
        """Bury the message with which a cell ended from outside was waiting for a choice: it will not be handled."""
        if cell.suspension is not None and isinstance(cell.suspension.cause, Delivery):
            self.count_standing(cell, -1)
            self._bury_cause(cell, "ended", cell.suspension.cause, "")

    def bury_unreadable(self, cell: Cell, sender: str, mailbox: int, payload: Any, error: BaseException) -> None:
        """Make a dead letter of an unreadable message: it has not the mailbox's type, or its own checks raised."""
        if isinstance(error, msgspec.DecodeError):
            self.bury(cell, "type", sender, mailbox, payload, True, blame(error)[0].partition(": ")[2])
        else:
            cell.failed += 1
            self.bury(cell, "failed", sender, mailbox, payload, True, blame(error)[1])

    def bury(
        self, cell: Cell, reason: str, sender: str, mailbox: int, item: Any, is_encoded: bool, detail: str
    ) -> None:
        """Make a dead letter of a message that was for `cell`."""
        self._report.bury(reason, sender, cell.name, mailbox, self._clock(), item, is_encoded=is_encoded, detail=detail)


def _step(cell: Cell, cause: Cause, at_ns: int, answers: tuple[Any, ...]) -> Outcome[Any]:
    """A transition with answers. Answers it does not take, for instance after a reload, fail it."""
    try:
        return step(cell.family, cell.configuration, cell.env, cause, at_ns, answers)
    except AnswerError as error:
        return Failed(*blame(error))


def _as_it_is(message: Any) -> Any:
    return message
