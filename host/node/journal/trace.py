"""From the records of a log to the moments of its engines, for a chart.

Records alone have each trigger, its outcome and the answers. What a turn made (messages, timers, children, the text of
a failure) is in no record, and comes from running the turn again. So two readers go side by side: this one, which needs
no family, and a `Replay`. Where that cannot go on (no such family here, other code), it is put away with a note, and
the moments are made from records alone until the caller has a snapshot to `resume` from.

Left out: digests, acknowledgements, ends of children (they are in the children's own streams).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from engines.model import AdoptError, LoadError, Noted, Spawned, Stopped
from host.chart.labels import family_label, text_label, value_label
from host.chart.model import ChartMark, Fate, MarkKind
from host.chart.moments import MessageId, Moment, Spawning, Taking
from host.node.journal.checking import Diverged
from host.node.journal.layout import SEGMENT, Wrong
from host.node.journal.made import answer_label, note_label, question_label, reason, sendings, taken_label, timer_marks
from host.node.journal.marks import take
from host.node.journal.records import (
    TURN,
    TURNS_HEAD,
    AnswerRecord,
    DueTurn,
    EndRecord,
    Life,
    RecordKind,
    Resumed,
    StreamImage,
    TurnResult,
    decode_body,
    decode_run,
    single_turns,
)
from host.node.journal.replay import LogState, Replay
from host.node.journal.scan import Damaged, Found
from host.node.journal.stream import Stream
from host.node.mailbox import Mail

REFUSALS: Final = (Diverged, AdoptError, LoadError, msgspec.ValidationError, ValueError)
"""Errors of a replay whose log is undamaged."""

_FATES: Final[dict[int, Fate]] = {
    TurnResult.COMMITTED: "taken",
    TurnResult.STORED: "stored",
    TurnResult.OVERFLOW: "overflow",
    TurnResult.REFUSED: "refused",
    TurnResult.FAILED: "failed",
    TurnResult.SUSPENDED: "asked",
    TurnResult.SKIPPED: "skipped",
}
_PASSED_OVER: Final = frozenset({RecordKind.ASKED, RecordKind.ACKED, RecordKind.CHILD, RecordKind.DIGEST})
_SAID: Final = {"version": "reloaded", "again": "begins again", "birth": "begins"}


class Tracer:
    """Mutable; is given the batches of one log in order.

    Args:
        read_frame: the mail in a raw frame; raises `Wrong`.
        make_replay: a replay that has read nothing.
        is_early: whether nobody wants the moment of an engine's turn, by its number and time. Such turns are run again
            all the same, but together, which takes a tenth of the time.

    `notes` say from where on moments come from records alone, and why.
    """

    def __init__(
        self,
        read_frame: Callable[[memoryview], Mail],
        make_replay: Callable[[], Replay],
        is_early: Callable[[str, int, int], bool] = lambda name, turn, time_ns: False,
    ) -> None:
        self.notes: list[str] = []
        self._is_early = is_early
        self.clock_ns = 0
        self.turns: dict[str, int] = {}
        self._living: dict[str, None] = {}
        self._read_frame = read_frame
        self._make_replay = make_replay
        self._replay: Replay | None = make_replay()
        self._names: dict[int, str] = {}
        self._mail: dict[tuple[str, str, int, int], dict[int, Any]] = {}
        self._marks: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._answers: dict[str, list[Any]] = {}
        self._was_closed = False
        self._end = 0
        self._has_gap = False

    @property
    def is_bare(self) -> bool:
        """Whether moments come from records alone."""
        return self._replay is None

    def begin(self, state: LogState, position: int) -> None:
        """Begin with a snapshot taken at `position`."""
        self._end = position
        self.clock_ns = state.clock_ns
        for image in state.streams:
            self._born(image)
        self.resume(state)

    def resume(self, state: LogState) -> None:
        """Run turns again from here on; `state` is that of a snapshot taken at this place."""
        self._replay = self._make_replay()
        try:
            self._replay.restore(state)
        except REFUSALS as error:
            self._put_away("", error)

    def moments(self, found: Found) -> Iterator[Moment]:
        """The moments in a batch. Raises `Damaged`."""
        if found.begins:
            self._names.clear()
        self._has_gap = found.head.position - self._end >= 2 * SEGMENT.size
        self._end = found.head.position + found.head.size
        if self._replay is not None:
            self._replay.enter(found)
        try:
            for kind, number, body in found.records:
                yield from self._moments(kind, number, body)
            if self._replay is not None:
                self._replay.leave()
        except Wrong as wrong:
            raise Damaged(found.segment, found.offset, str(wrong)) from None

    def waiting(self) -> list[tuple[MessageId, int]]:
        """Mail that nobody has taken so far: runs of messages, as (id of the first, count)."""
        runs: list[tuple[MessageId, int]] = []
        for (target, sender, mailbox, epoch), mail in self._mail.items():
            for n in sorted(mail):
                first, count = runs[-1] if runs else (None, 0)
                if first == MessageId(sender, target, mailbox, epoch, n - count):
                    runs[-1] = (first, count + 1)
                else:
                    runs.append((MessageId(sender, target, mailbox, epoch, n), 1))
        return runs

    def _moments(self, kind: int, number: int, body: memoryview) -> Iterator[Moment]:
        if kind == RecordKind.TURNS:
            yield from self._run(number, body)
            return
        if kind == RecordKind.NAME:
            self._names[number] = str(body, "utf-8", "replace")
        stream = self._stream(number)
        before = None if stream is None else stream.env
        name = self._names.get(number, "")
        stream = stream if self._apply(name, kind, number, body) else None
        match kind:
            case RecordKind.FRAME:
                self._keep(name, self._read_frame(body))
            case RecordKind.CLOSED:
                self._was_closed = True
            case _ if kind not in _PASSED_OVER and kind != RecordKind.NAME:
                yield from self._decoded(name, decode_body(kind, body), stream, before)

    def _decoded(self, name: str, record: Any, stream: Stream | None, before: Any) -> Iterator[Moment]:
        match record:
            case DueTurn():
                names = [f"{value_label(timer)}" for timer, _ in record.handles]
                self.turns[name] = self.turns.get(name, 0) + 1
                fired = self._mark(name, record.now_ns, "fired", f"timer {', '.join(names)} elapsed")
                elapsed = frozenset(timer for timer, _ in record.handles)
                yield self._turn(name, record.now_ns, None, record, (fired,), stream, before, elapsed)
            case Resumed():
                yield self._turn(name, record.now_ns, None, record, (), stream, before)
            case AnswerRecord():
                self._answers.setdefault(name, []).append(record.answer)
            case StreamImage():
                self._born(record)
                if (said := _SAID.get(record.why)) is not None:
                    kind: MarkKind = "reloaded" if record.why == "version" else "began"
                    code = f", code {record.code}" if kind == "reloaded" else ""
                    mark = self._mark(name, record.clock_ns, kind, f"{said}: {family_label(record.cell.family)}{code}")
                    is_birth = record.why == "birth"
                    yield Moment(self.clock_ns, name, self.turns[name], marks=(mark,), is_birth=is_birth)
            case EndRecord():
                self._gone(name)
                mark = self._mark(name, 0, "ended", f"ended: {text_label(record.reason)}")
                yield Moment(self.clock_ns, name, self.turns.get(name, 0), after=(mark,), is_end=True)
            case Life():
                self.clock_ns = max(self.clock_ns, record.now_ns)
                yield from self._of_all("restarted", self._start())
                self._was_closed = False

    def _run(self, number: int, body: memoryview) -> Iterator[Moment]:
        """The turns of a record, each run again by itself, as a record of one turn."""
        name = self._names.get(number, "")
        run, turns = decode_run(body, self._names)
        mail = self._mail.get((name, run.sender, run.mailbox, run.epoch), {})
        early = self._pass_over(name, number, body, turns)
        for n in range(run.first_n, run.first_n + early):
            mail.pop(n, None)
        for n, (now_ns, _, result, _), one in single_turns(body, early):
            taker = self._stream(number)
            before = None if taker is None else taker.env
            stream = taker if self._apply(name, RecordKind.TURNS, number, one) else None
            label = taken_label(taker, run.mailbox, mail.pop(n, b""))
            self.turns[name] = self.turns.get(name, 0) + 1
            id = MessageId(run.sender, name, run.mailbox, run.epoch, n)
            taking = Taking(id, label, _FATES.get(result, "taken"), reason(stream))
            yield self._turn(name, now_ns, taking, None, (), stream, before)

    def _pass_over(self, name: str, number: int, body: memoryview, turns: memoryview) -> int:
        """Apply the early turns that a record begins with; returns their count."""
        turn, count = self.turns.get(name, 0), 0
        for now_ns, _, _, answers in TURN.iter_unpack(turns):
            if not self._is_early(name, turn + count + 1, now_ns):
                break
            count += 1
            if answers:
                self._answers.pop(name, None)
        if count:
            stream = self._stream(number)
            head = body[: TURNS_HEAD.size - 4].tobytes() + count.to_bytes(4, "little")
            self._apply(name, RecordKind.TURNS, number, memoryview(head + turns[: count * TURN.size].tobytes()))
            self.turns[name] = turn + count
            if stream is not None and stream.cell.is_ended:
                self._gone(name)
        return count

    def _turn(
        self,
        name: str,
        now_ns: int,
        took: Taking | None,
        other: DueTurn | Resumed | None,
        marks: tuple[ChartMark, ...],
        stream: Stream | None,
        before: Any,
        elapsed: frozenset[str] = frozenset(),
    ) -> Moment:
        """The moment of a turn; `stream` is as after it, `before` was its environment, `elapsed` its timers."""
        self.clock_ns = max(self.clock_ns, now_ns)
        found = [
            *marks,
            *(self._mark(name, now_ns, "answered", answer_label(one)) for one in self._answers.pop(name, ())),
        ]
        if other is not None and other.result == TurnResult.FAILED:
            found.append(self._mark(name, now_ns, "failed", f"failed: {reason(stream)}".removesuffix(": ")))
        fate = took.fate if took is not None else _FATES.get(other.result if other is not None else 0, "taken")
        if fate == "asked":
            found.append(self._mark(name, now_ns, "asked", question_label(stream)))
        moment = Moment(now_ns, name, self.turns.get(name, 0), took, tuple(found))
        return moment if stream is None else self._with_made(moment, stream, before, elapsed)

    def _with_made(self, moment: Moment, stream: Stream, before: Any, elapsed: frozenset[str]) -> Moment:
        """The moment with what its turn made."""
        name, now_ns, outputs = moment.engine, moment.time_ns, stream.made
        timers = [self._mark(name, now_ns, *one) for one in timer_marks(before, stream.env, now_ns, elapsed)]
        notes = [self._mark(name, now_ns, "note", note_label(one)) for one in outputs if isinstance(one, Noted)]
        spawned = [
            Spawning(one.name, f"spawn {family_label(one.family)}") for one in outputs if isinstance(one, Spawned)
        ]
        is_end = any(isinstance(one, Stopped) for one in outputs)
        if is_end:
            self._gone(name)
        return msgspec.structs.replace(
            moment,
            marks=(*moment.marks, *timers, *notes),
            sent=tuple(sendings(name, stream)),
            spawned=tuple(spawned),
            after=(self._mark(name, now_ns, "ended", "ends"),) if is_end else (),
            is_end=is_end,
        )

    def _stream(self, number: int) -> Stream | None:
        """The engine of a record as the replay has it, about to run a turn."""
        name = self._names.get(number)
        return self._replay.streams.get(name) if self._replay is not None and name is not None else None

    def _apply(self, name: str, kind: int, number: int, body: memoryview) -> bool:
        """Have the replay apply a record; whether it could."""
        if self._replay is not None:
            try:
                self._replay.record(kind, number, body)
            except REFUSALS as error:
                self._put_away(name, error)
        return self._replay is not None

    def _put_away(self, name: str, error: Exception) -> None:
        self._replay = None
        where = f"{name} from turn {self.turns.get(name, 0) + 1} on" if name else "a log"
        self.notes.append(
            f"{where} is drawn from records alone, without field names, timers, spawns and untaken messages: "
            f"{text_label(str(error))}"
        )

    def _keep(self, name: str, mail: Mail) -> None:
        """Keep the new messages of a frame."""
        way = (name, mail.sender, mail.mailbox)
        taken = take(self._marks.get(way), mail.epoch, mail.first_n, len(mail.payloads))
        self._marks[way] = taken.mark
        if taken.skip < len(mail.payloads):
            kept = self._mail.setdefault((*way, mail.epoch), {})
            kept.update(enumerate(mail.payloads[taken.skip :], mail.first_n + taken.skip))

    def _born(self, image: StreamImage) -> None:
        cell = image.cell
        self.clock_ns = max(self.clock_ns, image.clock_ns)
        self.turns[cell.name] = image.turns
        if not cell.is_ended:
            self._living[cell.name] = None
        self._forget_mail(cell.name)
        for sender, mailbox, epoch, n in cell.marks:
            self._marks[cell.name, sender, mailbox] = (epoch, n)
        for one in cell.waiting:
            kept = self._mail.setdefault((cell.name, one.sender, one.mailbox, one.epoch), {})
            kept.update(enumerate(one.payloads, one.first_n))

    def _gone(self, name: str) -> None:
        self._living.pop(name, None)
        self._forget_mail(name)

    def _forget_mail(self, name: str) -> None:
        for way in [way for way in self._mail if way[0] == name]:
            del self._mail[way]

    def _mark(self, name: str, now_ns: int, kind: MarkKind, label: str) -> ChartMark:
        self.clock_ns = max(self.clock_ns, now_ns)
        return ChartMark(now_ns or self.clock_ns, (name,), kind, label)

    def _start(self) -> str:
        """How a life of the log began.

        A reload leaves an empty segment behind its snapshot. So does a crash right after another snapshot, and nothing
        tells one from the other.
        """
        if self._was_closed:
            return "process starts again"
        return "a new process goes on" if self._has_gap else "process restarts after a crash"

    def _of_all(self, kind: MarkKind, label: str) -> Iterator[Moment]:
        if self._living:
            yield Moment(self.clock_ns, marks=(ChartMark(self.clock_ns, tuple(self._living), kind, label),))
