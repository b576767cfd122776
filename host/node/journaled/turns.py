"""Transitions of journaled engines: each leaves a record of its cause, its outcome and the checksum of its outputs.

The record is written before what the outcome means is done, so the log has everything in the order in which it
happened. `outputs` then holds numbered messages (`Numbered`) for engines that are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engines.model import Choose, Committed, Delivery, Due, Outcome, Suspended, arrive, due_timers, step
from host.node.answers import Recorded
from host.node.cell import Cell, Suspension
from host.node.deadlines import NEVER
from host.node.journal.records import Answered, Asked, DueTurn, Result, Resumed
from host.node.journal.stream import RESULTS
from host.node.journaled.keeping import Keeping, Kept
from host.node.mailbox import Inbox
from host.node.progress import STARTED_NS, TIMERS, N
from host.node.turns import Cause, Turns

Write = Callable[[int, int, int], None]
"""Result, checksum of outputs, count of answers: the record of the transition under way."""


class JournaledAnswers:
    """As `host.node.answers.AnswerLog`: answers go into the batch of the transition that uses them."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping

    def record(self, recorded: Recorded) -> None:
        """As `AnswerLog.record`; it is safe with its batch, before which nothing leaves that was made of it."""
        if recorded.engine in self._keeping.kept:
            answered = Answered(recorded.at_ns, recorded.index, recorded.answer)
            self._keeping.log.record(recorded.engine, answered)

    def forget(self, engine: str) -> None:
        """As `AnswerLog.forget`."""


class JournaledTurns(Turns):
    """As `Turns`; `keep` names the keeping before the first transition."""

    _keeping: Keeping
    _write: Write

    def keep(self, keeping: Keeping) -> None:
        """Write to this log."""
        self._keeping = keeping

    def run_mail(self, cell: Cell, inbox: Inbox, now_ns: int) -> int:
        """As `Turns.run_mail`."""
        kept = self._keeping.kept.get(cell.name)
        if kept is None:
            return super().run_mail(cell, inbox, now_ns)
        if cell.deadline_ns <= now_ns:
            return 0
        words, batch = self._words, inbox.batches[0]
        decode = (inbox.decode or inbox.find_decode()) if batch.is_encoded else None
        self.show_stream(cell, batch.sender, inbox.number, batch.epoch)
        words[STARTED_NS] = now_ns
        start = batch.position
        taken = 0
        for number, payload in enumerate(batch.payloads[start : start + cell.stride], batch.first_n + start):
            words[N] = number
            taken += 1
            try:
                message = payload if decode is None else decode(payload)
            except msgspec.DecodeError as error:
                self.skip(cell, batch.sender, inbox.number, batch.epoch, number, now_ns)
                self.bury(cell, "type", batch.sender, inbox.number, payload, True, str(error))
                continue
            self._take(kept, batch.sender, inbox.number, batch.epoch, number, message, now_ns)
            if cell.suspension is not None or cell.is_ended or cell.held:
                break
            if self._deadlines.earliest != NEVER:
                now_ns = self._clock()
                if now_ns >= self._deadlines.earliest:
                    break
        words[N] = 0
        cell.handled += taken
        self._tally.handled += taken
        inbox.advance(taken)
        return taken

    def _take(self, kept: Kept, sender: str, mailbox: int, epoch: int, n: int, message: Any, now_ns: int) -> None:
        """One message of a journaled engine."""
        cell = kept.cell
        outcome = arrive(cell.family, cell.configuration, cell.env, sender, mailbox, message, now_ns)
        kept.turns += 1
        code = cell.family.version

        def write(result: int, outputs: int, answers: int) -> None:
            self._keeping.log.turn(cell.name, sender, mailbox, epoch, n, code, now_ns, outputs, result, answers)

        self._write = write
        self._settle(cell, Delivery(sender, mailbox, message), now_ns, (), outcome)

    def skip(self, cell: Cell, sender: str, mailbox: int, epoch: int, n: int, now_ns: int) -> None:
        """A message of a journaled engine leaves its mailbox without a transition."""
        kept = self._keeping.kept[cell.name]
        kept.turns += 1
        code = cell.family.version
        self._keeping.log.turn(cell.name, sender, mailbox, epoch, n, code, now_ns, 0, Result.SKIPPED)

    def fire_timers(self, cell: Cell, now_ns: int) -> None:
        """As `Turns.fire_timers`."""
        kept = self._keeping.kept.get(cell.name)
        if kept is None or cell.suspension is not None:
            super().fire_timers(cell, now_ns)
            return
        handles = due_timers(cell.env, now_ns)
        if handles:
            self.show_stream(cell, "", TIMERS, 0)
            self._words[STARTED_NS] = now_ns
            self._words[N] = 1
            kept.turns += 1
            pairs = tuple((handle.name, handle.number) for handle in handles)
            code = cell.family.version

            def write(result: int, outputs: int, answers: int) -> None:
                self._keeping.log.record(cell.name, DueTurn(now_ns, pairs, result, outputs, answers, code))

            self._write = write
            outcome = step(cell.family, cell.configuration, cell.env, Due(handles), now_ns)
            self._settle(cell, Due(handles), now_ns, (), outcome)
            self._words[N] = 0
        self.rearm(cell)

    def count_standing(self, cell: Cell, change: int) -> None:
        """As `Turns.count_standing`: a choice that is in a log dies with no process."""
        if cell.name not in self._keeping.kept:
            super().count_standing(cell, change)

    def _answer(self, cell: Cell, suspension: Suspension, answer: str | None) -> None:
        now_ns, code = self._clock(), cell.family.version

        def write(result: int, outputs: int, answers: int) -> None:
            self._keeping.log.record(cell.name, Resumed(now_ns, result, outputs, answers, code))

        self._write = write
        super()._answer(cell, suspension, answer)

    def _settle(self, cell: Cell, cause: Cause, at_ns: int, answers: tuple[Any, ...], outcome: Outcome[Any]) -> None:
        kept = self._keeping.kept.get(cell.name)
        if kept is None:
            super()._settle(cell, cause, at_ns, answers, outcome)
            return
        while isinstance(outcome, Suspended) and not isinstance(outcome.question, Choose):
            answers = self._record(cell, at_ns, answers, 1 + self._chance(outcome.question.sides))
            outcome = step(cell.family, cell.configuration, cell.env, cause, at_ns, answers)
        checksum = 0
        if isinstance(outcome, Committed) and outcome.outputs:
            checksum, outputs = kept.commit(outcome.outputs, self._keeping.digest)
            outcome = msgspec.structs.replace(outcome, outputs=outputs)
        self._write(int(RESULTS[type(outcome)]), checksum, len(answers))
        if isinstance(outcome, Suspended):
            assert isinstance(outcome.question, Choose)
            self._suspend(cell, cause, at_ns, answers, outcome.question)
            assert cell.suspension is not None
            deadline_ns = cell.suspension.deadline_ns
            self._keeping.log.record(cell.name, Asked(None if deadline_ns == NEVER else deadline_ns))
            return
        self._conclude(cell, cause, outcome)
        self.rearm(cell)
