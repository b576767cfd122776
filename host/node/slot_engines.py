"""The engines of a slot, as the ways in and out of it see them.

`Scheduler` is what this describes. It makes `Arrivals` and is given an `Outbox`, and both call it back: mail that
arrived makes an engine runnable, and an output that left lets one go on. They know this much of it, so that each of
these files can be read without the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from host.node.cell import Cell
from host.node.mailbox import Inbox
from host.node.progress import Tally
from host.node.recording import Recording
from host.node.report import Report
from host.node.turns import Turns


class SlotEngines(Protocol):
    """The living (`cells`) and the ended by name, with what concerns all of them."""

    cells: dict[str, Cell]
    ended: dict[str, None]
    clock: Callable[[], int]
    report: Report
    recording: Recording | None
    tally: Tally
    turns: Turns

    def deliver_here(self, cell: Cell, inbox: Inbox, sender: str, epoch: int, n: int, message: Any) -> None:
        """As `Arrivals.deliver_here`."""

    def arrived(self, cell: Cell, inbox: Inbox, peer: int | None) -> None:
        """Mail was put into an inbox of `cell`, by slot `peer` (None: from here)."""

    def wake(self, cell: Cell) -> None:
        """The cell may be runnable again."""

    def say_go(self, cell: Cell) -> None:
        """Senders to `cell`, which had sent stop, may go on."""

    def end(self, cell: Cell) -> None:
        """End the cell."""
