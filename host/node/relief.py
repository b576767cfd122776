"""How a slot relieves a circle of stopped engines that the node found (`host.node.circles`).

An *allowance* lets the mailboxes of one engine fill to `ALLOWANCE` times their capacity; it ends once they are down at
half the capacity. A *loss* makes dead letters `deadlock` of the messages one engine holds, and sends from then on, for
a target that has stopped it. It lasts only while the engine's own mailbox is full, since with room there it is in no
circle any more. After that the engine waits for the target as for any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from host.node.cell import Cell
from host.node.circles import Stuck
from host.node.neighbours import ALLOWANCE

if TYPE_CHECKING:
    from host.node.scheduler import Scheduler


class Relief:
    """Mutable, one a slot."""

    def __init__(self) -> None:
        self.allowed: dict[Cell, None] = {}
        self._losses: set[tuple[str, str]] = set()

    def allow(self, scheduler: Scheduler, name: str) -> None:
        """Give `name` its allowance, and let its senders go on."""
        cell = scheduler.cells.get(name)
        if cell is None or not cell.is_stopping or cell in self.allowed:
            return
        self.allowed[cell] = None
        for inbox in cell.inboxes.values():
            inbox.stop_at = max(inbox.stop_at, ALLOWANCE * inbox.capacity)
        scheduler.say_go(cell)

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


def stuck_here(scheduler: Scheduler, process: int) -> list[Stuck]:
    """The engines of a slot that are stopped and have sent stop, as `host.node.circles` takes them."""
    outbox = scheduler.outbox
    stopped_by: dict[Cell, list[str]] = {}
    for kind, target in outbox.waiting:
        if kind == "stop":
            for cell in outbox.waiting[kind, target].values():
                if cell.is_stopping:
                    stopped_by.setdefault(cell, []).append(str(target))
    return [
        Stuck(cell.name, process, tuple(sorted(targets)), cell.handled, cell.sent, cell in outbox.relief.allowed)
        for cell, targets in stopped_by.items()
    ]
