"""A worker without processes: it runs engines by `step` and writes the journal in the order the real loop has to.

What it acknowledged is in `released`: the outputs that left, in order. `states` are its environments now.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import cache, reduce
from typing import Any

import journal_engines
from journal_engines import Bear, Decide, End, Fail, Gamble, Later, Odd, Pay, Tick

from engines.model import (
    Choose,
    Committed,
    Configuration,
    Declaration,
    Delivery,
    Due,
    Failed,
    Outgoing,
    Output,
    Overflow,
    Refused,
    Spawned,
    Stopped,
    Stored,
    Suspended,
    birth,
    due_timers,
    encode,
    load_family,
    step,
)
from host.live.journal.checksums import checksums, kind_written
from host.live.journal.frames import frame_bytes
from host.live.journal.recovery import Recovered, begin, recover
from host.live.journal.writer import SEGMENT_BYTES, Journal
from host.node.cell import Cell, new_cell
from host.node.journal.digest import Digest
from host.node.journal.numbering import Numbers
from host.node.journal.records import RESULTS, AnswerRecord, Asked, DueTurn, Resumed, StreamImage, TurnResult
from host.node.journal.replay import LogState, Replay, log_state
from host.node.journal.stream import Stream
from host.node.journaled.keeping import EngineRecorder

ROOT = os.path.dirname(journal_engines.__file__)
BOOT = bytes(range(16))
LOG_ID = b"log under test.."
START_NS = 1_000_000_000


@cache
def load(ref: str) -> Declaration[Any, Any, Any]:
    """Families of the tests, as a worker loads them."""
    return load_family(ref, [ROOT])


class Clock:
    """Engine time of a test: what it is set to."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


class Engine:
    """One engine of the worker, and what the host keeps beside it."""

    def __init__(self, cell: Cell, mode: str, epoch: int) -> None:
        self.cell = cell
        self.mode = mode
        self.epoch = epoch
        self.turns = 0
        self.numbers = Numbers()
        self.standing: tuple[Any, int, tuple[Any, ...]] | None = None


class Worker:
    """Engines, and the journal they are written to. `die` is called at each step that can be the last."""

    def __init__(
        self,
        folder: Any,
        mode: str = "crash",
        *,
        boot: bytes = BOOT,
        clock: Clock | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        born: Callable[[StreamImage], None] = lambda image: None,
        load: Callable[[str], Declaration[Any, Any, Any]] = load,
    ) -> None:
        self.clock = clock or Clock()
        self.mode = mode
        self.folder = folder
        self.load = load
        self.found: Recovered = recover(folder, "node", load, boot)
        self.clock.now_ns = max(self.clock.now_ns, self.found.replay.clock_ns)
        durable = mode == "durable"
        self.journal: Journal = begin(
            folder, self.found, boot, self.clock, durable=durable, log_id=LOG_ID, segment_bytes=segment_bytes
        )
        self.digest = Digest(checksums()[self.journal.head.kind])
        self.engines: dict[str, Engine] = {}
        self.released: list[tuple[str, str, int, bytes]] = []
        self.waiting: list[tuple[str, str, int, bytes]] = []
        self.spawned: deque[str] = deque()
        for name, stream in self.found.replay.streams.items():
            self._revive(name, stream)

    def _revive(self, name: str, stream: Stream) -> None:
        cell = new_cell(stream.family, stream.cell.configuration, stream.env, {})
        engine = self.engines[name] = Engine(cell, stream.kept.mode, stream.kept.epoch)
        engine.turns = stream.turns
        engine.numbers = stream.kept.numbers
        if (standing := stream.cell.suspension) is not None:
            engine.standing = (standing.cause, standing.at_ns, standing.answers)
        for (sender, mailbox), (epoch, n) in marks_of(stream).items():
            cell.mark(sender, mailbox, epoch, n)

    def bear(self, name: str, family: str = "journal_engines:ACCOUNT") -> Engine:
        """A new engine, with its birth record in the open batch."""
        loaded: Any = self.load(family)
        configuration = Configuration[Any]("node", name)
        cell = new_cell(loaded, configuration, birth(loaded, configuration, now_ns=self.clock()), {})
        engine = self.engines[name] = Engine(cell, self.mode, 1)
        mode: Any = self.mode
        self.journal.record(name, EngineRecorder(cell, mode, 1).image("birth", self.clock()))
        return engine

    def mail(self, sender: str, target: str, messages: list[Any], first_n: int | None = None, epoch: int = 1) -> None:
        """A frame arrives and is run at once, message by message."""
        cell = self.engines[target].cell
        mark = cell.marks.get((sender, 0))
        n = first_n if first_n is not None else mark.next_n if mark is not None else 1
        payloads = [encode(message) for message in messages]
        self.journal.frame(target, frame_bytes(sender, target, 0, epoch, n, payloads))
        new = n if mark is None or mark.epoch < epoch else max(n, mark.next_n)
        cell.mark(sender, 0, epoch, n + len(messages))
        for number, message in enumerate(messages, n):
            if number >= new:
                self.turn(target, Delivery(sender, 0, message), sender, epoch, number)

    def turn(self, name: str, cause: Delivery[Any], sender: str, epoch: int, n: int) -> None:
        """A transition over one message; rolls come out as 3."""
        engine = self.engines[name]
        engine.turns += 1
        result, outputs, answers = self._step(engine, cause, self.clock(), ())
        code = engine.cell.family.version
        self.journal.turn(name, sender, 0, epoch, n, code, self.clock(), outputs, result, answers)
        self._asked(name)

    def fire(self, name: str) -> bool:
        """Elapsed timers, if there are some."""
        engine = self.engines[name]
        handles = due_timers(engine.cell.env, self.clock())
        if not handles:
            return False
        engine.turns += 1
        result, outputs, answers = self._step(engine, Due(handles), self.clock(), ())
        pairs = tuple((handle.name, handle.number) for handle in handles)
        self.journal.record(name, DueTurn(self.clock(), pairs, result, outputs, answers, engine.cell.family.version))
        self._asked(name)
        return True

    def answer(self, name: str, choice: str) -> None:
        """A user answers what the engine stands at."""
        engine = self.engines[name]
        assert engine.standing is not None
        cause, at_ns, answers = engine.standing
        engine.standing = None
        self.journal.record(name, AnswerRecord(at_ns, len(answers), choice))
        result, outputs, count = self._step(engine, cause, at_ns, (*answers, choice))
        self.journal.record(name, Resumed(self.clock(), result, outputs, count, engine.cell.family.version))
        self._asked(name)

    def commit(self) -> None:
        """End of a cycle: append, sync, release."""
        self.journal.append()
        if self.mode == "durable":
            self.journal.sync()
        self.released += self.waiting
        self.waiting = []

    def state(self, name: str) -> Any:
        """The state of an engine."""
        return self.engines[name].cell.env.state

    def _asked(self, name: str) -> None:
        if self.engines[name].standing is not None:
            self.journal.record(name, Asked(None))

    def _step(self, engine: Engine, cause: Any, now_ns: int, answers: tuple[Any, ...]) -> tuple[int, int, int]:
        cell = engine.cell
        outcome = step(cell.family, cell.configuration, cell.env, cause, now_ns, answers)
        while isinstance(outcome, Suspended) and not isinstance(outcome.question, Choose):
            self.journal.record(cell.name, AnswerRecord(now_ns, len(answers), 3))
            answers = (*answers, 3)
            outcome = step(cell.family, cell.configuration, cell.env, cause, now_ns, answers)
        outputs = 0
        match outcome:
            case Committed(env, made):
                cell.env = env
                outputs = self._send_all(engine, made)
                for output in made:
                    if isinstance(output, Spawned):
                        self.spawned.append(output.name)
                    if isinstance(output, Stopped):
                        cell.is_ended = True
            case Stored(env):
                cell.env = env
            case Suspended():
                engine.standing = (cause, now_ns, answers)
            case Failed() | Overflow() | Refused():
                pass
        return int(RESULTS[type(outcome)]), outputs, len(answers)

    def _send_all(self, engine: Engine, outputs: tuple[Output, ...]) -> int:
        """Number and keep the messages; the checksum of all outputs."""
        sums = []
        for output in outputs:
            if isinstance(output, Outgoing):
                payload = encode(output.message)
                self._send(engine, output, payload)
                sums.append(self.digest.outgoing(output.target, output.mailbox, payload))
            else:
                sums.append(self.digest.other(output))
        return reduce(self.digest.join, sums) if sums else 0

    def _send(self, engine: Engine, output: Outgoing, payload: bytes) -> None:
        n = engine.numbers.number(output.target, output.mailbox)
        self.waiting.append((engine.cell.name, output.target, n, payload))


def image_of(stream: Stream) -> StreamImage:
    """An engine as a snapshot would hold it now."""
    return stream.kept.image("snapshot", stream.clock_ns)


def log_state_of(replay: Replay) -> LogState:
    """A log as a snapshot would hold it now."""
    images = map(image_of, (*replay.streams.values(), *replay.leaving.values()))
    return log_state(replay.node, replay.arrivals, replay.clock_ns, images, replay.ended, replay.turns)


def marks_of(stream: Stream) -> dict[tuple[str, int], tuple[int, int]]:
    """How far each stream of messages has come: epoch and next number, by sender and mailbox."""
    return {way: (mark.epoch, mark.next_n) for way, mark in stream.cell.marks.items()}


def of_format(version: int, segment: bytes) -> bytes:
    """A segment whose head says this version."""
    head = segment[:7] + bytes([version]) + segment[8:96]
    return head + checksums()[kind_written()](head, 0).to_bytes(4, "little") + segment[100:]


__all__ = ["Bear", "Decide", "End", "Fail", "Gamble", "Later", "Odd", "Pay", "Tick", "TurnResult"]
