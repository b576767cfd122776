"""Stop and go for those in other slots who send to engines here: what still has to be told.

Only the last word counts: a stop that has not left yet is forgotten when go follows.
"""

from __future__ import annotations

from contextlib import suppress

from host.node.cell import NOBODY, Cell
from transport.port import KIND_GO, KIND_STOP, Closed, Link


class Signals:
    """Mutable, one a slot."""

    def __init__(self) -> None:
        self.pending: dict[tuple[int, str], int] = {}

    def stop(self, cell: Cell, peer: int) -> None:
        """Tell slot `peer`, once, that `cell` wants nothing for now."""
        if peer not in cell.told:
            cell.told |= {peer}
            self.pending[peer, cell.name] = KIND_STOP

    def go(self, cell: Cell) -> None:
        """Tell every slot that was told to stop."""
        for peer in cell.told:
            if self.pending.pop((peer, cell.name), None) != KIND_STOP:
                self.pending[peer, cell.name] = KIND_GO
        cell.told = NOBODY

    def send(self, link: Link) -> None:
        """Say what can be said; a lane without room, or one that is not attached yet, is tried again at the next call.

        The process that takes a slot over in a reload may run before it hears of its peers.
        """
        for (peer, target), kind in tuple(self.pending.items()):
            with suppress(Closed):
                if link.signal(peer, kind, target):
                    del self.pending[peer, target]

    def forget(self, peer: int) -> None:
        """The slot is gone for good."""
        self.pending = {at: kind for at, kind in self.pending.items() if at[0] != peer}
