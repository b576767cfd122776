"""The last turns of engines in a log, for a rehearsal by another version.

The replay runs each turn again, as in any recovery, and here its trigger and outcome are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from host.node.journal.layout import Wrong
from host.node.journal.records import DueTurn, RecordKind, Resumed, TurnResult, decode_body, decode_run, single_turns
from host.node.journal.replay import Replay
from host.node.journal.scan import Damaged, Found
from host.node.journal.stream import Stream
from host.node.past import STATES_BYTES_MAX, PastEngine, PastEngines, PastTurn, result_of
from host.node.trigger_ring import PastTrigger, past_trigger

_TURNS: Final = (RecordKind.TURNS, RecordKind.DUE, RecordKind.RESUMED)


class Excerpts:
    """Mutable; is given the batches of a log in order. `replay` reads those engines only; turns of theirs up to `after`
    are not kept. `of` is complete after `close`."""

    def __init__(self, replay: Replay, after: Mapping[str, int]) -> None:
        states_bytes_max = STATES_BYTES_MAX // max(1, len(after))
        self.of = {name: Excerpt(replay, name, first, states_bytes_max) for name, first in after.items()}
        self._replay = replay

    def apply(self, found: Found) -> None:
        """Apply a batch. Raises as `Replay.apply`."""
        self._replay.enter(found)
        try:
            for kind, number, body in found.records:
                excerpt = self.of.get(self._replay.names.get(number, "")) if kind in _TURNS else None
                if excerpt is None:
                    self._replay.record(kind, number, body)
                else:
                    excerpt.record(kind, number, body)
            self._replay.leave()
        except Wrong as wrong:
            raise Damaged(found.segment, found.offset, str(wrong)) from None

    def close(self) -> None:
        """The log is read."""
        for excerpt in self.of.values():
            excerpt.close()


class Excerpt:
    """Mutable, one engine's. Where the log has a new image of it (a reload, a new beginning), the excerpt has one too.

    `past` is complete after `close`.
    """

    def __init__(self, replay: Replay, engine: str, after: int, states_bytes_max: int) -> None:
        self._replay = replay
        self._engine = engine
        self._after = after
        self._stream: Stream | None = None
        self._engines = PastEngines(states_bytes_max)

    @property
    def past(self) -> list[PastEngine | PastTurn]:
        """What was kept."""
        return self._engines.past

    def close(self) -> None:
        """The stream is read."""
        if self._stream is not None:
            self._engines.close(self._stream.env)

    def record(self, kind: int, number: int, body: memoryview) -> None:
        """Apply a record of turns of the engine. Raises as `Replay.record`."""
        replay = self._replay
        stream = replay.of(self._engine)
        if stream is None:
            replay.record(kind, number, body)
            return
        self._look(stream)
        if kind == RecordKind.TURNS:
            self._run(stream, number, body)
        elif kind == RecordKind.DUE:
            turn = decode_body(kind, body)
            assert isinstance(turn, DueTurn)
            given = tuple(stream.answers)
            replay.record(kind, number, body)
            self._keep(stream, turn.now_ns, PastTrigger("", 0, None, tuple(name for name, _ in turn.handles)), given)
        else:
            self._resume(stream, number, body)

    def _look(self, stream: Stream) -> None:
        """Begin here, if the turns to keep begin here."""
        if stream is not self._stream and stream.turns >= self._after:
            self.close()
            self._engines.begin(stream.family, stream.cell.configuration, stream.env)
            self._stream = stream

    def _run(self, stream: Stream, number: int, body: memoryview) -> None:
        """Turns over mail, one by one where they are kept."""
        run, _ = decode_run(body, self._replay.names)
        if stream.turns + run.count <= self._after:
            self._replay.record(RecordKind.TURNS, number, body)
            return
        for n, (now_ns, _, result, _), one in single_turns(body):
            self._look(stream)
            inbox = stream.cell.inboxes.get(run.mailbox)
            batch = inbox.batches[0] if inbox is not None and inbox.seek(run.sender, run.epoch, n) else None
            payload = b"" if batch is None else bytes(batch.payloads[batch.position])
            given = tuple(stream.answers)
            self._replay.record(RecordKind.TURNS, number, one)
            if result != TurnResult.SKIPPED:
                self._keep(stream, now_ns, PastTrigger(run.sender, run.mailbox, payload, ()), given)

    def _resume(self, stream: Stream, number: int, body: memoryview) -> None:
        """A transition that waited for a choice: it is kept here, with all its answers, not where it began."""
        suspension = stream.cell.suspension
        given = tuple(stream.answers)
        self._replay.record(RecordKind.RESUMED, number, body)
        assert suspension is not None
        assert isinstance(decode_body(RecordKind.RESUMED, body), Resumed)
        answers = (*suspension.answers, *given)
        self._keep(stream, suspension.at_ns, past_trigger(suspension.cause), answers)

    def _keep(self, stream: Stream, now_ns: int, trigger: PastTrigger, answers: tuple[Any, ...]) -> None:
        outcome = stream.outcome
        if stream is self._stream and outcome is not None and result_of(outcome) != "suspended":
            self._engines.keep(stream.turns, now_ns, trigger, answers, outcome, stream.env)
