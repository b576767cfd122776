"""How a slot relieves a circle of stopped engines that the node found (`host.node.circles`).

An *allowance* lets the mailboxes of one engine fill to `ALLOWANCE` times their capacity; it ends once they are down at
half the capacity. A *loss* makes dead letters `deadlock` of the messages one engine holds, and sends from then on, for
a target that has stopped it. It lasts only while the engine's own mailbox is full, since with room there it is in no
circle any more. After that the engine waits for the target as for any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from host.node.cell import Blocked, Cell
from host.node.circles import Stuck
from host.node.slot_engines import SlotEngines

ALLOWANCE: Final = 2
"""Times the capacity that a mailbox in a circle takes."""

DEADLOCK: Final = "deadlock"
"""What a send in a circle dies of when that is spent."""


class Relief:
    """Mutable, one a slot."""

    def __init__(self) -> None:
        self.allowed: dict[Cell, None] = {}
        self._losses: set[tuple[str, str]] = set()

    def allow(self, engines: SlotEngines, name: str) -> None:
        """Let `name` have its allowance, and its senders go on."""
        cell = engines.cells.get(name)
        if cell is None or not cell.is_stopping or cell in self.allowed:
            return
        self.allowed[cell] = None
        for inbox in cell.inboxes.values():
            inbox.stop_at = max(inbox.stop_at, ALLOWANCE * inbox.capacity)
        engines.say_go(cell)

    def restore(self) -> None:
        """Take back the allowances that are no longer needed."""
        for cell in tuple(self.allowed):
            if cell.is_ended or all(inbox.depth <= inbox.go_at for inbox in cell.inboxes.values()):
                del self.allowed[cell]
                for inbox in cell.inboxes.values():
                    inbox.set_bounds()

    def lose(self, cell: Cell, target: str) -> None:
        """Make `cell` lose its messages for `target` from now on."""
        self._losses.add((cell.name, target))

    def loses(self, cell: Cell, target: str) -> bool:
        """Whether `cell`, stopped by `target`, loses what it sends there."""
        if (cell.name, target) not in self._losses:
            return False
        if cell.is_stopping:
            return True
        self._losses.discard((cell.name, target))
        return False

    def forget(self, target: str) -> None:
        """`target` takes messages again."""
        if self._losses:
            self._losses = {pair for pair in self._losses if pair[1] != target}

    def stuck(self, waiting: Mapping[Blocked, Mapping[tuple[str, str], Cell]], process: int) -> list[Stuck]:
        """Those of the `waiting` engines of an outbox that say stop themselves, as `host.node.circles` wants them."""
        stopped_by: dict[Cell, list[str]] = {}
        for (kind, target), cells in waiting.items():
            if kind == "stop":
                for cell in cells.values():
                    if cell.is_stopping:
                        stopped_by.setdefault(cell, []).append(str(target))
        return [
            Stuck(cell.name, process, tuple(sorted(targets)), cell.handled, cell.sent, cell in self.allowed)
            for cell, targets in stopped_by.items()
        ]
