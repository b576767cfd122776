"""Messages that killed earlier processes of a slot: when they arrive again, they are not tried again.

A process gives room in its lanes back only after a whole batch. So one batch may kill several processes, one message
each, and each of these messages is drained again until a process survives the batch. Hence all of them are remembered,
not just the last. A message that was off its lane already never arrives again; that is known when a later one of its
stream arrives, or after `FALLEN_NS_MAX`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from host.node.cell import NEVER

FALLEN_NS_MAX: Final = 1_000_000_000
"""How long such messages may take to arrive again; lanes are attached within milliseconds."""

Stream = tuple[str, str, int, int]
"""Engine, sender, mailbox, epoch."""


class Position(NamedTuple):
    """A message by its stream and number. `poison`: how it killed, if it did so more than once; "": it died once."""

    engine: str
    sender: str
    mailbox: int
    epoch: int
    n: int
    poison: str = ""


class Fallen:
    """Mutable, one a slot."""

    def __init__(self) -> None:
        self.until_ns = NEVER
        self._streams: dict[Stream, list[Position]] = {}

    @property
    def is_expected(self) -> bool:
        """Whether one of them may still arrive."""
        return bool(self._streams)

    def expect(self, positions: Iterable[Position], now_ns: int) -> None:
        """Expect these messages from now on."""
        for position in sorted(positions):
            self._streams.setdefault(position[:4], []).append(position)
        if self._streams:
            self.until_ns = now_ns + FALLEN_NS_MAX

    def take(self, stream: Stream, first_n: int, count: int) -> tuple[list[Position], list[Position]]:
        """Mail from `first_n` on arrives: messages of its stream that never will, and those among it, each in order."""
        waiting = self._streams.pop(stream, [])
        lost = [position for position in waiting if position.n < first_n]
        here = [position for position in waiting if first_n <= position.n < first_n + count]
        if later := waiting[len(lost) + len(here) :]:
            self._streams[stream] = later
        elif not self._streams:
            self.until_ns = NEVER
        return lost, here

    def take_late(self) -> list[Position]:
        """Take all that have not arrived."""
        late = [position for waiting in self._streams.values() for position in waiting]
        self._streams.clear()
        self.until_ns = NEVER
        return late
