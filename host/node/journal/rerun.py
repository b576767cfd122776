"""From the records of a log to the steps of its engines, each checked against the rules.

A verified `Replay` runs every turn again, one at a time, and compares its outcome, its outputs and the digests. It
follows what a log says about order and time, since a recovery has to. Here that is checked too, as the model has it:

* messages of one sender to one mailbox are handled in order;
* the clock of an engine does not go back from turn to turn;
* timers elapse that are pending, and not before their deadline.

The first record that deviates raises `Deviates`. What follows from several logs together is in `joined`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec

from engines.model import AdoptError, Handle, Outgoing, Output, due_timers, view
from engines.model.system_view import EngineView, engine_view
from host.chart.labels import message_label, text_label
from host.chart.moments import MessageId
from host.node.cell import Cell
from host.node.journal.checking import Diverged
from host.node.journal.layout import BATCH, RECORD, Wrong
from host.node.journal.made import numbered
from host.node.journal.marks import take
from host.node.journal.records import (
    DueTurn,
    RecordKind,
    Resumed,
    Run,
    TurnResult,
    decode_body,
    decode_run,
    single_turns,
)
from host.node.journal.replay import LogState, Replay
from host.node.journal.scan import Found
from host.node.journal.stream import Stream
from host.node.mailbox import Mail

DeviationKind = Literal["outcome", "state", "record", "order", "time", "timers", "message", "property"]


class RecordPlace(NamedTuple):
    """A record: its segment, its offset there, its number in its batch, from 1 (0: a snapshot)."""

    segment: str
    offset: int
    number: int


SNAPSHOT: Final = RecordPlace("", 0, 0)


class Deviation(msgspec.Struct, frozen=True):
    """How a record differs from what the rules or a property allow.

    `turn` is the engine's at this record, `found` what the rules give, `outputs` those of the rules.
    """

    kind: DeviationKind
    log: str
    place: RecordPlace
    engine: str
    turn: int
    time_ns: int
    recorded: str
    found: str
    outputs: tuple[str, ...] = ()
    is_by_other_code: bool = False


class Deviates(Exception):
    """A record deviates."""

    def __init__(self, deviation: Deviation) -> None:
        super().__init__(f"{deviation.recorded}; {deviation.found}")
        self.deviation = deviation


class LoggedMessage(NamedTuple):
    """A message in a log of its receiver."""

    id: MessageId
    payload: Any


class Origin(NamedTuple):
    """What an engine begins with: how far its streams have come, the next number of each way, waiting mail."""

    marks: dict[tuple[str, int], int]
    ways: dict[tuple[str, int], int]
    waiting: tuple[LoggedMessage, ...]


class LoggedStep(msgspec.Struct, frozen=True):
    """A record, or a turn of one, that agrees with the rules. `view` is the engine after it.

    `mail` arrived; `took` was handled, and `sent` was made, by a turn. `resumed` ends a turn that was counted before.
    """

    kind: Literal["birth", "mail", "turn", "resumed", "end"]
    log: str
    place: RecordPlace
    cell: Cell
    turn: int
    time_ns: int
    took: MessageId | None = None
    mail: tuple[LoggedMessage, ...] = ()
    sent: tuple[tuple[MessageId, Outgoing], ...] = ()
    view: EngineView | None = None
    origin: Origin | None = None

    @property
    def engine(self) -> str:
        """Its name."""
        return self.cell.name


class Rerun:
    """Mutable; is given the batches of one log in order. `replay` verifies, and has read nothing."""

    def __init__(self, log: str, replay: Replay, read_frame: Callable[[memoryview], Mail]) -> None:
        self._log = log
        self._replay = replay
        self._read_frame = read_frame
        self._times: dict[str, int] = {}

    def begin(self, state: LogState) -> Iterator[LoggedStep]:
        """The births of the engines in a snapshot. Raises `Deviates` if this code cannot take one over."""
        try:
            self._replay.restore(state)
        except (AdoptError, msgspec.ValidationError) as error:
            raise self._not_taken_over(SNAPSHOT, "", error) from None
        for stream in (*self._replay.streams.values(), *self._replay.leaving.values()):
            yield self._born(SNAPSHOT, stream)

    def steps(self, found: Found) -> Iterator[LoggedStep]:
        """The steps of a batch. Raises `Deviates`."""
        at = found.offset + BATCH.size
        answered = RecordPlace(found.segment, found.offset, 0)
        name = ""
        self._replay.enter(found)
        for number, (kind, engine, body) in enumerate(found.records, 1):
            place = RecordPlace(found.segment, at, number)
            at += RECORD.size + len(body) + 7 & ~7
            if kind == RecordKind.ANSWER:
                answered, name = place, self._replay.names.get(engine, "")
            yield from self._guarded(place, kind, engine, body)
        try:
            self._replay.leave()
        except Wrong as wrong:
            raise Deviates(self._deviation("record", answered, name, str(wrong), "no such answer")) from None

    def _guarded(self, place: RecordPlace, kind: int, number: int, body: memoryview) -> Iterator[LoggedStep]:
        """The steps of a record; errors of the replay as `Deviates`."""
        name = self._replay.names.get(number, "")
        try:
            yield from self._steps(place, name, kind, number, body)
        except Diverged as error:
            is_state = error.recorded.startswith("state ")
            raise Deviates(
                msgspec.structs.replace(
                    self._deviation("state" if is_state else "outcome", place, name, error.recorded, error.found),
                    turn=error.turn,
                    outputs=tuple(map(_shown, error.outputs)),
                )
            ) from None
        except Wrong as wrong:
            found = "the rules and the records before leave no room for it"
            raise Deviates(self._deviation("record", place, name, str(wrong), found)) from None
        except (AdoptError, msgspec.ValidationError) as error:
            raise self._not_taken_over(place, name, error) from None

    def _steps(self, place: RecordPlace, name: str, kind: int, number: int, body: memoryview) -> Iterator[LoggedStep]:
        if kind == RecordKind.TURNS:
            yield from self._turns(place, name, number, body)
            return
        stream = self._replay.streams.get(name)
        mail: tuple[LoggedMessage, ...] = ()
        if stream is not None and kind in (RecordKind.DUE, RecordKind.RESUMED):
            turn = decode_body(kind, body)
            assert isinstance(turn, DueTurn | Resumed)
            self._check_time(place, stream, turn.now_ns)
            if isinstance(turn, DueTurn):
                self._check_due(place, stream, turn)
        elif stream is not None and kind == RecordKind.FRAME:
            mail = _new(stream, self._read_frame(body))
        self._replay.record(kind, number, body)
        if kind == RecordKind.IMAGE:
            stream = self._replay.of(name)
            if stream is not None:
                yield self._born(place, stream)
        elif stream is None:
            return
        elif mail:
            yield self._step("mail", place, stream, mail=mail)
        elif kind in (RecordKind.DUE, RecordKind.RESUMED):
            yield self._made("turn" if kind == RecordKind.DUE else "resumed", place, stream, None)
        elif kind == RecordKind.ENDED:
            yield self._step("end", place, stream, view=_view(stream))

    def _turns(self, place: RecordPlace, name: str, number: int, body: memoryview) -> Iterator[LoggedStep]:
        """The turns of a record, each run again by itself, as a record of one turn."""
        run, _ = decode_run(body, self._replay.names)
        for n, (now_ns, _, result, _), one in single_turns(body):
            stream = self._replay.streams.get(name)
            if stream is not None:
                self._check_time(place, stream, now_ns)
                if result != TurnResult.SKIPPED:
                    self._check_order(place, stream, run, n)
            self._replay.record(RecordKind.TURNS, number, one)
            if stream is not None:
                id = MessageId(run.sender, name, run.mailbox, run.epoch, n)
                yield self._made("turn", place, stream, id)

    def _check_time(self, place: RecordPlace, stream: Stream, now_ns: int) -> None:
        before_ns = self._times.get(stream.name, 0)
        if now_ns < before_ns:
            self._refuse("time", place, stream, f"clock {now_ns}", f"its clock was at {before_ns} before")
        self._times[stream.name] = now_ns

    def _check_order(self, place: RecordPlace, stream: Stream, run: Run, n: int) -> None:
        """A message is the first of its sender that waits."""
        inbox = stream.cell.inboxes.get(run.mailbox)
        batches = () if inbox is None else inbox.batches
        first = next((batch for batch in batches if batch.sender == run.sender), None)
        if first is not None and (first.epoch, first.first_n + first.position) != (run.epoch, n):
            follows = f"message {first.first_n + first.position}, epoch {first.epoch}, is the next of {run.sender}"
            self._refuse("order", place, stream, f"message {n}, epoch {run.epoch}, of {run.sender}", follows)

    def _check_due(self, place: RecordPlace, stream: Stream, turn: DueTurn) -> None:
        """Timers elapse that are pending, at their deadlines or later."""
        due = due_timers(stream.env, turn.now_ns)
        early = [name for name, number in turn.handles if Handle(name, number) not in due]
        if early or not turn.handles:
            recorded = f"timers {', '.join(early) or 'none'} elapse at {turn.now_ns}"
            self._refuse("timers", place, stream, recorded, f"due are {', '.join(one.name for one in due) or 'none'}")

    def _refuse(self, kind: DeviationKind, place: RecordPlace, stream: Stream, recorded: str, found: str) -> None:
        deviation = self._deviation(kind, place, stream.name, recorded, found)
        raise Deviates(msgspec.structs.replace(deviation, turn=stream.turns + 1))

    def _not_taken_over(self, place: RecordPlace, name: str, error: Exception) -> Deviates:
        deviation = self._deviation("record", place, name, "an image of its state", text_label(str(error)))
        return Deviates(msgspec.structs.replace(deviation, is_by_other_code=True))

    def _deviation(self, kind: DeviationKind, place: RecordPlace, name: str, recorded: str, found: str) -> Deviation:
        stream = self._replay.of(name)
        turn = 0 if stream is None else stream.turns + (kind == "record")
        is_other = stream is not None and stream.is_by_other_code
        time_ns = self._replay.clock_ns
        return Deviation(kind, self._log, place, name, turn, time_ns, recorded, found, is_by_other_code=is_other)

    def _born(self, place: RecordPlace, stream: Stream) -> LoggedStep:
        cell = stream.cell
        waiting = tuple(
            LoggedMessage(
                MessageId(batch.sender, cell.name, number, batch.epoch, batch.first_n + at), batch.payloads[at]
            )
            for number, inbox in cell.inboxes.items()
            for batch in inbox.batches
            for at in range(batch.position, len(batch.payloads))
        )
        marks = {way: mark.next_n for way, mark in cell.marks.items()}
        origin = Origin(marks, dict(stream.kept.numbers.next_n), waiting)
        return self._step("birth", place, stream, view=_view(stream), origin=origin)

    def _made(
        self, kind: Literal["turn", "resumed"], place: RecordPlace, stream: Stream, took: MessageId | None
    ) -> LoggedStep:
        sent = tuple(numbered(stream.name, stream))
        return self._step(kind, place, stream, took=took, sent=sent, view=_view(stream))

    def _step(
        self,
        kind: Literal["birth", "mail", "turn", "resumed", "end"],
        place: RecordPlace,
        stream: Stream,
        **fields: Any,
    ) -> LoggedStep:
        time_ns = max(stream.clock_ns, self._replay.clock_ns)
        return LoggedStep(kind, self._log, place, stream.cell, stream.turns, time_ns, **fields)


def _new(stream: Stream, mail: Mail) -> tuple[LoggedMessage, ...]:
    """What of a frame is new to its receiver."""
    mark = stream.cell.marks.get((mail.sender, mail.mailbox))
    known = None if mark is None else (mark.epoch, mark.next_n)
    skip = take(known, mail.epoch, mail.first_n, len(mail.payloads)).skip
    first = MessageId(mail.sender, stream.name, mail.mailbox, mail.epoch, mail.first_n)
    new = range(skip, len(mail.payloads))
    return tuple(LoggedMessage(first._replace(n=mail.first_n + at), mail.payloads[at]) for at in new)


def _view(stream: Stream) -> EngineView:
    cell = stream.cell
    status: Literal["running", "suspended", "stopped"] = "running" if cell.suspension is None else "suspended"
    return engine_view(cell.configuration, stream.family, stream.env, "stopped" if cell.is_ended else status)


def _shown(output: Output) -> str:
    if isinstance(output, Outgoing):
        return f"to {output.target}: {message_label(view(output.message))}"
    return text_label(str(output))
