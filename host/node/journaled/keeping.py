"""The recorder of a slot with a journal (`host.node.recorder`): the records of its engines, and the outputs kept.

A record is written before the step it describes has any effect, so the log has everything in the order in which it
happened. It is added to a batch, which the owner of the files appends to the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from engines.model import Committed, Handle, Outcome, Outgoing, Output, Spawned, Stopped, encode
from host.config.spec import JournalSpec
from host.node.cell import Cell
from host.node.journal import records
from host.node.journal.batch import LogBatch
from host.node.journal.digest import Digest
from host.node.journal.numbering import Numbers
from host.node.journaled.acks import Acks, Stream
from host.node.recorder import NumberedMessage
from host.node.snapshot import cell_image
from transport.port import Link

Mode = Literal["crash", "durable"]
Why = Literal["birth", "version", "again", "snapshot"]
UNACKED_BYTES_MAX: Final = JournalSpec().unacked_bytes
"""Bytes of outputs an engine keeps until acknowledged; beyond it the engine gets no triggers for now."""


EncodeFrame = Callable[[str, str, int, int, int, Sequence[Any]], bytes]
"""Sender, target, mailbox, epoch, first number, payloads; as `host.live.journal.frames.frame_bytes`."""


class EngineRecorder:
    """The `Recorder` of one engine. `unacked` are (number, encoded message) by target and mailbox, oldest first.

    A replay makes one too, which counts turns and numbers outputs, and which `Keeping.take_over` completes.

    An output is *unacked* from its commit until its receiver cannot lose it by a kill of its process (`acks`). A
    recovery sends it again.
    """

    __slots__ = (
        "_keeping",
        "cell",
        "children",
        "epoch",
        "has_stopped",
        "mode",
        "numbers",
        "turns",
        "unacked",
        "unacked_bytes",
    )

    _keeping: Keeping

    def __init__(self, cell: Cell, mode: Mode, epoch: int, turns: int = 0, numbers: Numbers | None = None) -> None:
        self.cell = cell
        self.mode = mode
        self.epoch = epoch
        self.turns = turns
        self.numbers = numbers or Numbers()
        self.unacked: dict[Stream, deque[tuple[int, bytes]]] = {}
        self.unacked_bytes = 0
        self.children: dict[str, records.SpawnRecord] = {}
        self.has_stopped = False

    def attach(self, keeping: Keeping) -> None:
        """Record the engine's steps from now on."""
        self._keeping = keeping
        self.cell.recorder = self

    def mail(self, sender: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any]) -> None:
        """A frame."""
        keeping, name = self._keeping, self.cell.name
        keeping.log.frame(name, keeping.encode_frame(sender, name, mailbox, epoch, first_n, payloads))

    def handled(
        self, sender: str, mailbox: int, epoch: int, n: int, now_ns: int, outcome: Outcome[Any], answers: int = 0
    ) -> Outcome[Any]:
        """A TURN."""
        cell = self.cell
        result, outputs, outcome = self._commit(outcome)
        self.turns += 1
        code = cell.family.version
        self._keeping.log.turn(cell.name, sender, mailbox, epoch, n, code, now_ns, outputs, result, answers)
        return outcome

    def skipped(self, sender: str, mailbox: int, epoch: int, n: int, now_ns: int) -> None:
        """A TURN without a transition."""
        self.turns += 1
        name, code = self.cell.name, self.cell.family.version
        self._keeping.log.turn(name, sender, mailbox, epoch, n, code, now_ns, 0, records.TurnResult.SKIPPED)

    def elapsed(
        self, handles: tuple[Handle, ...], now_ns: int, outcome: Outcome[Any], answers: int = 0
    ) -> Outcome[Any]:
        """A turn of timers."""
        result, outputs, outcome = self._commit(outcome)
        self.turns += 1
        pairs = tuple((handle.name, handle.number) for handle in handles)
        self._record(records.DueTurn(now_ns, pairs, result, outputs, answers, self.cell.family.version))
        return outcome

    def asked(self, deadline_ns: int | None) -> None:
        """The deadline of a question."""
        self._record(records.Asked(deadline_ns))

    def answered(self, at_ns: int, index: int, answer: Any) -> None:
        """An answer. It is safe with its batch, and nothing derived from it leaves before that."""
        self._record(records.AnswerRecord(at_ns, index, answer))

    def resumed(self, now_ns: int, outcome: Outcome[Any], answers: int) -> Outcome[Any]:
        """The rest of a turn, which was counted when it began."""
        result, outputs, outcome = self._commit(outcome)
        self._record(records.Resumed(now_ns, result, outputs, answers, self.cell.family.version))
        return outcome

    def ended(self) -> None:
        """The engine ended; if no transition stopped it, that is a record of its own."""
        if not self.has_stopped:
            self._record(records.EndRecord("ended from outside"))
        self._keeping.end(self.cell)

    def _record(self, body: records.Body) -> None:
        self._keeping.log.record(self.cell.name, body)

    def _commit(self, outcome: Outcome[Any]) -> tuple[int, int, Outcome[Any]]:
        """Result, checksum of the outputs, and the outcome with its messages numbered and kept."""
        result = int(records.RESULTS[type(outcome)])
        if not isinstance(outcome, Committed) or not outcome.outputs:
            return result, 0, outcome
        checksum, numbered = self.number(outcome.outputs, self._keeping.digest)
        n_and_size = iter(numbered)
        outputs = tuple([_leaving(output, n_and_size) for output in outcome.outputs])
        return result, checksum, Committed(outcome.env, outputs, outcome.labels, outcome.ignored)

    def number(self, outputs: tuple[Output, ...], digest: Digest) -> tuple[int, list[tuple[int, int]]]:
        """Number and keep the messages of a turn; returns the checksum of all its outputs, and number and size of each
        message."""
        checksum: int | None = None
        numbered: list[tuple[int, int]] = []
        for output in outputs:
            if isinstance(output, Outgoing):
                target, mailbox, payload = output.target, output.mailbox, encode(output.message)
                n = self.numbers.number(target, mailbox)
                self.keep((target, mailbox), n, payload)
                numbered.append((n, len(payload)))
                one = digest.outgoing(target, mailbox, payload)
            else:
                one = digest.other(output)
                if isinstance(output, Spawned):
                    self.children.setdefault(output.name, records.spawn_record(output))
                elif isinstance(output, Stopped):
                    self.has_stopped = True
            checksum = one if checksum is None else digest.join(checksum, one)
        return checksum or 0, numbered

    def keep(self, stream: Stream, n: int, payload: bytes) -> None:
        """Keep an output until it is acknowledged."""
        queue = self.unacked.get(stream)
        if queue is None:
            queue = self.unacked[stream] = deque()
        queue.append((n, payload))
        self.unacked_bytes += len(payload)

    def left(self, target: str, mailbox: int, n: int, peer: int | None) -> None:
        """A message left; `acks` defines when it is acknowledged."""
        if peer is None:
            self._keeping.acks.left_here(self, (target, mailbox), n)
        else:
            self._keeping.acks.left(self, (target, mailbox), peer, n)

    def settled(self, target: str, mailbox: int, n: int) -> None:
        """A message that needs no acknowledgement."""
        self.ack((target, mailbox), n)

    def ack(self, stream: Stream, n: int) -> None:
        """Acknowledge outputs up to number `n`: they need not be sent again."""
        waiting = self.unacked.get(stream)
        if not waiting or waiting[0][0] > n:
            return
        self.drop(stream, n)
        if self._keeping.of(self.cell.name) is self:
            self._record(records.Acked(*stream, n + 1))
        if not self.unacked:
            self._keeping.leaving.pop(self.cell.name, None)

    def drop(self, stream: Stream, n: int) -> None:
        """Outputs up to number `n` need not be sent again."""
        waiting = self.unacked.get(stream)
        while waiting and waiting[0][0] <= n:
            self.unacked_bytes -= len(waiting.popleft()[1])
        if not waiting:
            self.unacked.pop(stream, None)

    def image(self, why: Why, now_ns: int, *, downgrades: bool = False) -> records.StreamImage:
        """The engine between two turns. Its held outputs are among the unacknowledged, with their numbers."""
        unacked = [records.Unacked(*way, n, payload) for way, queue in self.unacked.items() for n, payload in queue]
        family = self.cell.family
        cell = cell_image(self.cell, self.numbers, family.interface(), downgrades=downgrades)
        children = list(self.children.values())
        return records.StreamImage(
            why, cell, self.mode, self.epoch, self.turns, family.version, now_ns, unacked, children
        )


def _leaving(output: Output, n_and_size: Iterator[tuple[int, int]]) -> Output:
    if not isinstance(output, Outgoing):
        return output
    n, size = next(n_and_size)
    return Outgoing(output.target, output.mailbox, NumberedMessage(n, output.message, size))


class Keeping:
    """Mutable, one a slot: its `Recording`. `leaving` are journaled engines that ended with unacknowledged outputs."""

    def __init__(self, log: LogBatch, digest: Digest, encode_frame: EncodeFrame, link: Link) -> None:
        """`link` is the one that outputs leave by."""
        self.log = log
        self.digest = digest
        self.encode_frame = encode_frame
        self.acks = Acks(link)
        self.kept: dict[str, EngineRecorder] = {}
        self.leaving: dict[str, EngineRecorder] = {}
        self.modes: dict[str, Mode] = {}
        self.unacked_bytes_max = UNACKED_BYTES_MAX

    @property
    def is_full(self) -> bool:
        """Whether the batch has to be appended before more goes into it."""
        return self.log.is_full

    def begin(self, cell: Cell, epoch: int, now_ns: int) -> None:
        """Give a new engine its recorder, if journaled: by the node file, or, for a child, as its parent is."""
        parent = self.kept.get(cell.configuration.parent or "")
        mode = self.modes.get(cell.name) or (parent.mode if parent is not None else None)
        if mode is not None:
            cell.poison = cell.poison or "skip"
            kept = self.kept[cell.name] = EngineRecorder(cell, mode, epoch)
            kept.attach(self)
            self.log.record(cell.name, kept.image("birth", now_ns))

    def take_over(self, kept: EngineRecorder) -> None:
        """Record an engine that a replay made; the mode of the node file is the one from now on."""
        (self.leaving if kept.cell.is_ended else self.kept)[kept.cell.name] = kept
        kept.mode = self.modes.get(kept.cell.name, kept.mode)
        kept.attach(self)

    def of(self, name: str) -> EngineRecorder | None:
        """A journaled engine, also one that ended while outputs of it wait."""
        return self.kept.get(name) or self.leaving.get(name)

    def durability_of(self, cell: Cell) -> Literal["volatile", "crash", "durable"]:
        """The durability of an engine, and so of its children."""
        kept = self.of(cell.name)
        return "volatile" if kept is None else kept.mode

    def end(self, cell: Cell) -> None:
        """An engine ended; its outputs still leave."""
        kept = self.kept.pop(cell.name)
        if kept.unacked:
            self.leaving[cell.name] = kept
        if cell.configuration.parent is not None:
            self.child_ended(cell.configuration.parent, cell.name)

    def child_ended(self, parent: str, child: str) -> None:
        """A child ended: a recovery of its parent does not spawn it again."""
        kept = self.kept.get(parent)
        if kept is not None and kept.children.pop(child, None) is not None:
            self.log.record(parent, records.ChildEndRecord(child))

    def detached(self, peer: int) -> None:
        """A lane is closed: outputs on it are acknowledged, since their receivers have ended."""
        self.acks.detached(peer)

    def flushed(self) -> bool:
        """Outputs are published; engines that keep too much are held. Returns whether there are such engines."""
        self.acks.flushed()
        self.acks.hold_full(self.kept.values(), self.unacked_bytes_max)
        return self.acks.has_full

    def images(self, now_ns: int, *, downgrades: bool = False) -> Iterable[records.StreamImage]:
        """The images of all engines, for a snapshot; `downgrades` as in `take_snapshot`."""
        return [
            kept.image("snapshot", now_ns, downgrades=downgrades)
            for kept in (*self.kept.values(), *self.leaving.values())
        ]


class Ledger(NamedTuple):
    """The calls that the cycle in C owes the log (`host/live/cycle/journaled.h`), in the order of a cycle: `frame` and
    `run` for each frame, `commit`, heads move, outputs leave, `flushed`."""

    frame: Callable[[str, bytes], None]
    """As `Batch.frame`."""
    run: Callable[[str, str, int, int, int, str, int, bytes], None]
    """As `Batch.run`."""
    commit: Callable[[], bool]
    """The batch is in the log when this returns; returns whether the caller has work to do before it sleeps."""
    left: Callable[[EngineRecorder, Stream, int, int], None]
    """As `Acks.left`."""
    flushed: Callable[[], bool]
    """Outputs are published; returns whether the caller has work to do before it sleeps."""
