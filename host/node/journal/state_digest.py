"""Digests of states: how a replay notices a state that does not depend on its triggers alone.

A TURN records the checksum of its outputs, which does not cover a state that was influenced by a clock, chance or a
global variable. So the log has digests of an engine's environment now and then, behind the turns they cover: after a
cycle, while digests take at most one part in `SHARE` of the time, and for all engines at an ordered stop. A snapshot
has the environment itself. An engine whose turns are rare gets one after every cycle; a busy one some hundred a second.

A digest is compared only where all turns since the last image were made by the code that runs now, and where dumps have
the same form. `replay --verify` compares each digest. A recovery compares the last one of each engine, once it has read
the log: only the state it goes on from counts, and a digest costs as much as ten turns.

The bytes are those of `engines.model.store.dump`, which do not depend on the hash seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from engines.model import Environment, Family
from engines.model.store.dump import FORMAT
from host.node.cell import Cell
from host.node.journal.records import Body, StateDigest
from host.node.set_aside import environment_digest

SHARE: Final = 256
"""At most one part in this many of the time goes into digests while engines run."""
BURST_NS: Final = 100_000
"""Digests delay a cycle by about this long."""
HEAVY_NS: Final = 5_000_000
"""An engine whose digest takes longer gets one at an ordered stop only; a child process writes its snapshots."""
HEAVY_BYTES: Final = 4 << 20
"""An engine that was read from more bytes is known to be one: to find out takes a second for a state of 60 MB."""


class Witness(msgspec.Struct, frozen=True):
    """A digest from the log, and the environment of the replay at its place."""

    family: Family[Any, Any, Any, Any]
    env: Environment[Any]
    turn: int
    recorded: bytes

    @property
    def found(self) -> bytes:
        """The digest of the replay's environment."""
        return environment_digest(self.family, self.env)


def is_comparable(record: StateDigest) -> bool:
    """Whether the dump behind the record had the form that dumps have here."""
    return record.form == FORMAT


class DigestWriter:
    """Mutable, one a writer. `changed` are the engines with turns that no digest covers, the oldest first; it is
    emptied here."""

    def __init__(
        self,
        changed: dict[str, None],
        cell: Callable[[str], Cell | None],
        record: Callable[[str, Body], None],
        clock: Callable[[], int],
    ) -> None:
        """`cell` finds a living journaled engine by name."""
        self._changed = changed
        self._cell = cell
        self._record = record
        self._clock = clock
        self._heavy: dict[str, None] = {}

    def know(self, name: str, env_bytes: int) -> None:
        """The environment of an engine had this size in the log."""
        if env_bytes > HEAVY_BYTES:
            self._heavy[name] = None

    def write_some(self) -> None:
        """Write some engines' digests, between two cycles, in the batch with their turns."""
        began_ns = now_ns = self._clock()
        while self._changed and now_ns - began_ns < BURST_NS:
            name = next(iter(self._changed))
            del self._changed[name]
            if name in self._heavy:
                continue
            before_ns = now_ns
            self._write(name)
            now_ns = self._clock()
            if now_ns - before_ns > HEAVY_NS:
                self._heavy[name] = None

    def write_all(self) -> None:
        """Write digests of all changed engines, at an ordered stop."""
        for name in (*self._changed, *self._heavy):
            self._write(name)
        self._changed.clear()

    def _write(self, name: str) -> None:
        cell = self._cell(name)
        if cell is not None:
            self._record(name, StateDigest(FORMAT, environment_digest(cell.family, cell.env)))
