"""Virtual time: what happens next, and the one source of chance.

Time moves from one entry to the next. Entries of one time are performed in an order drawn by chance, so that two slots
with work at the same instant come in either order. An entry is *patient* if it is a timer of an engine: a world is at
rest while only patient entries are left, and idle once there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random


class Chance:
    """Streams of chance by name, all from one seed. Independent of the hash seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, *names: object) -> Random:
        """The stream of a place of use; the same names give the same stream."""
        return Random("/".join([str(self.seed), *map(str, names)]))


class Entry:
    """Something that will happen. `call` None: it was cancelled, or it happened."""

    __slots__ = ("at_ns", "call", "is_patient")

    def __init__(self, at_ns: int, call: Callable[[], None], *, is_patient: bool) -> None:
        self.at_ns = at_ns
        self.call: Callable[[], None] | None = call
        self.is_patient = is_patient


class Agenda:
    """Mutable, one a world."""

    def __init__(self, chance: Chance, now_ns: int) -> None:
        self.now_ns = now_ns
        self._tie = chance.stream("ties").getrandbits
        self._heap: list[tuple[int, int, int, Entry]] = []
        self._count = 0
        self._urgent = 0
        self._patient = 0

    def at(self, at_ns: int, call: Callable[[], None], *, is_patient: bool = False) -> Entry:
        """Have `call` made at a time, now at the earliest."""
        entry = Entry(max(at_ns, self.now_ns), call, is_patient=is_patient)
        self._count += 1
        heappush(self._heap, (entry.at_ns, self._tie(16), self._count, entry))
        self._tally(entry, 1)
        return entry

    def after(self, ns: int, call: Callable[[], None]) -> Entry:
        """Have `call` made after `ns`."""
        return self.at(self.now_ns + ns, call)

    def cancel(self, entry: Entry | None) -> None:
        """Undo `at`. Does nothing for an entry that happened."""
        if entry is not None and entry.call is not None:
            entry.call = None
            self._tally(entry, -1)

    @property
    def is_idle(self) -> bool:
        """Whether nothing will happen any more by itself."""
        return not self._urgent and not self._patient

    @property
    def is_at_rest(self) -> bool:
        """Whether only timers of engines are left."""
        return not self._urgent

    @property
    def next_ns(self) -> int | None:
        """The time of the next entry."""
        heap = self._heap
        while heap and heap[0][3].call is None:
            heappop(heap)
        return heap[0][0] if heap else None

    def step(self) -> bool:
        """Move to the next entry and perform it; False if there is none."""
        heap = self._heap
        while heap:
            at_ns, _, _, entry = heappop(heap)
            call = entry.call
            if call is not None:
                entry.call = None
                self._tally(entry, -1)
                if at_ns > self.now_ns:
                    self.now_ns = at_ns
                call()
                return True
        return False

    def _tally(self, entry: Entry, change: int) -> None:
        if entry.is_patient:
            self._patient += change
        else:
            self._urgent += change
