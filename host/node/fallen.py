"""Messages that killed earlier processes of a slot: when they arrive again, they are not tried again.

A process gives room in its lanes back only after a whole batch. So one batch may kill several processes, one message
each, and each of these messages is drained again until a process survives the batch. Hence all of them are remembered,
not just the last. A message that was off its lane already never arrives again; that is known when a later one of its
stream arrives, or after `FALLEN_NS_MAX`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from host.node.cell import NEVER
from host.node.news import Fatal

FALLEN_NS_MAX: Final = 5_000_000_000
"""How long such messages may take to arrive again; one that comes later would be tried again. Lanes are attached within
milliseconds, on a starved machine within seconds. Only the dead letter of one that never arrives waits so long."""


class Fallen:
    """Mutable, one a slot."""

    def __init__(self) -> None:
        self.until_ns = NEVER
        self._streams: dict[tuple[str, str, int, int], list[Fatal]] = {}

    @property
    def is_expected(self) -> bool:
        """Whether one of them may still arrive."""
        return bool(self._streams)

    def expect(self, fallen: Iterable[Fatal], now_ns: int) -> None:
        """From now on."""
        for trigger, how in sorted(fallen):
            self._streams.setdefault(trigger.stream, []).append((trigger, how))
        if self._streams:
            self.until_ns = now_ns + FALLEN_NS_MAX

    def take(self, stream: tuple[str, str, int, int], first_n: int, count: int) -> tuple[list[Fatal], list[Fatal]]:
        """Mail `first_n` and on comes: those of its stream that never will, and those among it, each in order."""
        waiting = self._streams.pop(stream, [])
        lost = [fatal for fatal in waiting if fatal[0].n < first_n]
        here = [fatal for fatal in waiting if first_n <= fatal[0].n < first_n + count]
        if later := waiting[len(lost) + len(here) :]:
            self._streams[stream] = later
        elif not self._streams:
            self.until_ns = NEVER
        return lost, here

    def take_late(self) -> list[Fatal]:
        """All that have not come."""
        late = [fatal for waiting in self._streams.values() for fatal in waiting]
        self._streams.clear()
        self.until_ns = NEVER
        return late
