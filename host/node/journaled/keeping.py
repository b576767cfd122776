"""What a slot keeps of its journaled engines beside their cells, and the log it is written to.

The log is a seam: `host.live.journal.writer.Journal` has these calls; nothing here knows of files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from engines.model import Outgoing, Output, Spawned, Stopped, encode
from host.config.spec import JournalSpec
from host.node.cell import Cell
from host.node.journal.digest import Digest
from host.node.journal.images import stream_image
from host.node.journal.numbering import Numbers
from host.node.journal.records import Acked, Body, Child, ChildRecord, StreamImage, Unacked

Mode = Literal["crash", "durable"]
Why = Literal["birth", "version", "again", "snapshot"]
Way = tuple[str, int]
"""Target and mailbox."""

UNACKED_BYTES_MAX: Final = JournalSpec().unacked_bytes
"""Outputs an engine keeps until they are acknowledged; beyond it the engine gets no triggers until some are."""


class Log(Protocol):
    """The batch under construction."""

    def frame(self, engine: str, raw: bytes | memoryview, /) -> None:
        """Mail, as a frame."""

    def turn(
        self,
        engine: str,
        sender: str,
        mailbox: int,
        epoch: int,
        n: int,
        code: str,
        now_ns: int,
        outputs: int,
        result: int,
        answers: int = 0,
        /,
    ) -> None:
        """A transition over a message."""

    def record(self, engine: str, body: Body, /) -> None:
        """Any other record."""


EncodeFrame = Callable[[str, str, int, int, int, Sequence[Any]], bytes]
"""Sender, target, mailbox, epoch, first number, payloads; as `host.live.journal.frames.frame_bytes`."""


class Numbered(msgspec.Struct, frozen=True):
    """An output on its way out: its number was given when it was committed."""

    n: int
    message: Any
    size: int


class Kept:
    """One journaled engine. `unacked` are (number, encoded message) by target and mailbox, the oldest first."""

    __slots__ = ("cell", "children", "epoch", "has_stopped", "mode", "numbers", "turns", "unacked", "unacked_bytes")

    def __init__(self, cell: Cell, mode: Mode, epoch: int, turns: int = 0, numbers: Numbers | None = None) -> None:
        self.cell = cell
        self.mode = mode
        self.epoch = epoch
        self.turns = turns
        self.numbers = numbers or Numbers()
        self.unacked: dict[Way, deque[tuple[int, bytes]]] = {}
        self.unacked_bytes = 0
        self.children: dict[str, Child] = {}
        self.has_stopped = False

    def keep(self, way: Way, n: int, payload: bytes) -> None:
        """Keep an output until it is acknowledged."""
        self.unacked.setdefault(way, deque()).append((n, payload))
        self.unacked_bytes += len(payload)

    def commit(self, outputs: tuple[Output, ...], digest: Digest) -> tuple[int, tuple[Output, ...]]:
        """The checksum of outputs, and the outputs as they are to leave: numbered and kept."""
        numbered: list[Outgoing] = []

        def sent(output: Outgoing, payload: bytes) -> None:
            n = self.numbers.number(output.target, output.mailbox)
            self.keep((output.target, output.mailbox), n, payload)
            numbered.append(Outgoing(output.target, output.mailbox, Numbered(n, output.message, len(payload))))

        total = digest.outputs(outputs, sent)
        messages = iter(numbered)
        return total, tuple([self._leaving(output, messages) for output in outputs])

    def _leaving(self, output: Output, messages: Any) -> Output:
        if output.__class__ is Outgoing:
            leaving: Outgoing = next(messages)
            return leaving
        if isinstance(output, Spawned):
            state = None if output.state is None else encode(output.state)
            self.children.setdefault(output.name, Child(output.name, output.family, encode(output.params), state))
        elif isinstance(output, Stopped):
            self.has_stopped = True
        return output


class Keeping:
    """Mutable, one a slot: its log and the journaled engines by name; `leaving` ended, and what they sent has not."""

    def __init__(self, log: Log, digest: Digest, encode_frame: EncodeFrame) -> None:
        self.log = log
        self.digest = digest
        self.encode_frame = encode_frame
        self.kept: dict[str, Kept] = {}
        self.leaving: dict[str, Kept] = {}
        self.modes: dict[str, Mode] = {}
        self.unacked_bytes_max = UNACKED_BYTES_MAX

    def enrol(self, cell: Cell, mode: Mode, epoch: int, now_ns: int) -> None:
        """A new engine is journaled from now on."""
        kept = self.kept[cell.name] = Kept(cell, mode, epoch)
        self.log.record(cell.name, self.image(kept, "birth", now_ns))

    def of(self, name: str) -> Kept | None:
        """A journaled engine, also one that ended while outputs of it wait."""
        return self.kept.get(name) or self.leaving.get(name)

    def end(self, name: str) -> None:
        """An engine is over; what it sent still leaves."""
        kept = self.kept.pop(name)
        if kept.unacked:
            self.leaving[name] = kept

    def child_ended(self, parent: str, child: str) -> None:
        """A child is over: a recovery of its parent does not spawn it again."""
        kept = self.kept.get(parent)
        if kept is not None and kept.children.pop(child, None) is not None:
            self.log.record(parent, ChildRecord(child))

    def ack(self, kept: Kept, way: Way, n: int) -> None:
        """Outputs up to number `n` need no sending again."""
        waiting = kept.unacked.get(way)
        if not waiting or waiting[0][0] > n:
            return
        while waiting and waiting[0][0] <= n:
            kept.unacked_bytes -= len(waiting.popleft()[1])
        if not waiting:
            del kept.unacked[way]
        if self.of(kept.cell.name) is kept:
            self.log.record(kept.cell.name, Acked(*way, n + 1))
        if not kept.unacked:
            self.leaving.pop(kept.cell.name, None)

    def image(self, kept: Kept, why: Why, now_ns: int) -> StreamImage:
        """The engine between two transitions."""
        unacked = [Unacked(*way, n, payload) for way, queue in kept.unacked.items() for n, payload in queue]
        found = stream_image(kept.cell, why, kept.mode, kept.epoch, kept.turns, now_ns, unacked, kept.children.values())
        numbers = kept.numbers
        cell = msgspec.structs.replace(found.cell, ways=numbers.ways(), ways_from_n=numbers.from_n)
        return msgspec.structs.replace(found, cell=cell)

    def images(self, now_ns: int) -> Iterable[StreamImage]:
        """All engines, for a snapshot."""
        return [self.image(kept, "snapshot", now_ns) for kept in (*self.kept.values(), *self.leaving.values())]
