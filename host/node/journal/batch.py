"""A batch under construction: records in the order in which they are added, turns gathered into runs.

A run is open until anything else is added, so the order of the log is the order of the calls. Names are numbered by
the segment. The caller that begins a new segment empties `names`, and a name without a number gets a NAME record first.
"""

from __future__ import annotations

from typing import Final

from host.node.journal.layout import Pack
from host.node.journal.records import KINDS, RUN_MAX, TURNS_HEAD, Body, RecordKind, encode_body, encode_run

BATCH_BYTES: Final = 128 << 20
"""Twice the largest message; even with one more the batch stays far below the limit of a write."""

_NAME: Final = int(RecordKind.NAME)
_FRAME: Final = int(RecordKind.FRAME)
_TURNS: Final = frozenset((RecordKind.DUE, RecordKind.RESUMED))


class LogBatch:
    """Mutable, one a log. `changed` are engines with turns, the oldest first, until they are taken out."""

    __slots__ = ("_key", "_next_n", "_pack", "_parts", "_turns", "bytes", "changed", "count", "names", "turns")

    def __init__(self, pack: Pack) -> None:
        self.names: dict[str, int] = {}
        self.changed: dict[str, None] = {}
        self.bytes = 0
        self.count = 0
        self.turns = 0
        self._pack = pack
        self._parts: list[bytes] = []
        self._key: tuple[str, str, int, int, str] | None = None
        self._next_n = 0
        self._turns: list[tuple[int, int, int, int]] = []

    def frame(self, engine: str, raw: bytes | memoryview) -> None:
        """Mail for a journaled engine, as it was received."""
        if self._key is not None:
            self._close_run()
        number = self.names.get(engine) or self._number(engine)
        record = self._pack(_FRAME, number, raw)
        self._parts.append(record)
        self.bytes += len(record)
        self.count += 1

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
    ) -> None:
        """A transition over message `n`. A transition over the next message of the stream joins its run."""
        key = (engine, sender, mailbox, epoch, code)
        if n != self._next_n or key != self._key or len(self._turns) >= RUN_MAX:
            self._close_run()
            self._key = key
            self.changed[engine] = None
        self._turns.append((now_ns, outputs, result, answers))
        self._next_n = n + 1
        self.turns += 1

    def run(
        self, engine: str, sender: str, mailbox: int, epoch: int, first_n: int, code: str, count: int, entries: bytes
    ) -> None:
        """Transitions over `count` messages from `first_n` on, as `TURN` packs them: called by the loop in C."""
        if self._key is not None:
            self._close_run()
        self.changed[engine] = None
        numbers = self._number(engine), self._number(sender), self._number(code)
        head = TURNS_HEAD.pack(numbers[1], mailbox, epoch, first_n, numbers[2], count)
        self._put(self._pack(RecordKind.TURNS, numbers[0], head + entries))
        self.turns += count

    def record(self, engine: str, body: Body) -> None:
        """Any other record; `engine` "" for a record about the log."""
        kind = KINDS[type(body)]
        if kind in _TURNS:
            self.changed[engine] = None
        self._add(kind, self._number(engine) if engine else 0, encode_body(body))

    def closed(self) -> None:
        """The last record of a writer."""
        self._add(RecordKind.CLOSED, 0, b"")

    @property
    def is_full(self) -> bool:
        """Whether the batch has to be appended before more goes into it."""
        return self.bytes >= BATCH_BYTES

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to append."""
        return not self.count and self._key is None

    def take(self) -> tuple[bytes, int]:
        """All records and their count; empties the batch."""
        self._close_run()
        taken = b"".join(self._parts), self.count
        self._parts, self.bytes, self.count, self.turns = [], 0, 0, 0
        return taken

    def begin_segment(self) -> None:
        """Names count from the start. Called while the batch is empty."""
        assert not self._parts
        assert self._key is None
        self.names.clear()

    def name_all(self, names: dict[int, str]) -> None:
        """Number these names as another segment did. Called at the start of a segment that carries on its records."""
        for number, name in names.items():
            self.names[name] = number
            self._put(self._pack(_NAME, number, name.encode()))

    def copy(self, kind: int, number: int, body: bytes | memoryview) -> None:
        """Add a record from another batch, of a segment that numbers names as this one does."""
        if kind == RecordKind.NAME:
            self.names[str(body, "utf-8")] = number
        self._add(kind, number, body)

    def _number(self, name: str) -> int:
        number = self.names.get(name)
        if number is None:
            number = self.names[name] = len(self.names) + 1
            self._put(self._pack(_NAME, number, name.encode()))
        return number

    def _add(self, kind: int, engine: int, body: bytes | memoryview) -> None:
        if self._key is not None:
            self._close_run()
        self._put(self._pack(kind, engine, body))

    def _put(self, record: bytes) -> None:
        self._parts.append(record)
        self.bytes += len(record)
        self.count += 1

    def _close_run(self) -> None:
        if self._key is None:
            return
        engine, sender, mailbox, epoch, code = self._key
        self._key = None
        numbers = self._number(engine), self._number(sender), self._number(code)
        first_n = self._next_n - len(self._turns)
        body = encode_run(numbers[1], mailbox, epoch, first_n, numbers[2], self._turns)
        self._turns = []
        self._put(self._pack(RecordKind.TURNS, numbers[0], body))
