"""Stop and go for those in other slots who send to engines here: what still has to be told.

Only the last word counts: a stop that has not left yet is replaced when go follows. The go is said even so, since an
earlier stop may have left before.

What was told outlives processes: a stop that a dead process had sent, or that a dead process had not read, lies in its
lane until the next one reads it. News of a restart comes another way, earlier or later, and can neither undo that nor
tell it from what the new process says; only what follows in the same lane can. So

    the receiver's slot has a new process   each of those that told the old one to stop says go (`again`)
    our own process is the new one          go for all engines of the slot (`begin`), where the lane was used before

and whoever is still full says stop again to the first who sends.
"""

from __future__ import annotations

from contextlib import suppress

from host.node.cell import NOBODY, Cell
from transport.port import EVERYONE, KIND_GO, KIND_STOP, Closed, Link


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
            self.pending[peer, cell.name] = KIND_GO
        cell.told = NOBODY

    def again(self, cell: Cell, peer: int) -> None:
        """Slot `peer` has a new process, which may yet read a stop that was meant for the one before."""
        if peer in cell.told:
            cell.told -= {peer}
            self.pending[peer, cell.name] = KIND_GO

    def begin(self, peer: int) -> None:
        """Slot `peer` may yet read stops of the process that was here before."""
        self.pending[peer, EVERYONE] = KIND_GO

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
