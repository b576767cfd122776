"""When each engine of a slot wants to be woken, the earliest first.

A heap with lazy corrections. An engine that moves its deadline later, for instance by restarting a timer at each
message, costs nothing until the old time is reached; only an earlier deadline is pushed. So the heap holds about one
entry for each engine.
"""

from __future__ import annotations

from heapq import heappop, heappush

from host.node.cell import NEVER, Cell


class Deadlines:
    """The deadlines of a slot. `earliest` may be too early, if a deadline was moved later since, never too late."""

    __slots__ = ("_heap", "_pushes", "earliest")

    def __init__(self) -> None:
        self.earliest = NEVER
        self._heap: list[tuple[int, int, Cell]] = []
        self._pushes = 0

    def set(self, cell: Cell, deadline_ns: int) -> None:
        """Wake `cell` at `deadline_ns` from now on (`NEVER`: not at all)."""
        cell.deadline_ns = deadline_ns
        if deadline_ns < cell.heaped_ns:
            self._push(cell)

    def take_due(self, now_ns: int) -> Cell | None:
        """The cell whose deadline came first, if one has come. The caller calls `set` for it."""
        heap, found = self._heap, None
        while found is None and heap and heap[0][0] <= now_ns:
            at, _, cell = heappop(heap)
            if at == cell.heaped_ns:
                cell.heaped_ns = NEVER
                if cell.deadline_ns <= now_ns:
                    found = cell
                elif cell.deadline_ns < NEVER:
                    self._push(cell)
        self.earliest = heap[0][0] if heap else NEVER
        return found

    def _push(self, cell: Cell) -> None:
        self._pushes += 1
        cell.heaped_ns = cell.deadline_ns
        heappush(self._heap, (cell.deadline_ns, self._pushes, cell))
        self.earliest = self._heap[0][0]
