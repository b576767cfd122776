"""Stop and go signals to senders in other slots, until they have left.

Only the last signal counts: a stop that has not left yet is replaced by a go that follows. The go is sent even so,
since an earlier stop may have left before.

Signals outlive processes: a stop that a dead process had sent, or had not read, lies in its lane until the next process
reads it. The report of a restart arrives on another way, earlier or later. It can neither undo such a stop nor tell it
from one of the new process; only a signal that follows in the same lane can. So

    the receiver's slot has a new process   each engine that had sent stop to the old one sends go (`again`)
    our own process is the new one          go for all engines of the slot (`begin`), where the lane was used before

and an engine that is still full sends stop again to the next sender.
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
        """Send stop for `cell` to slot `peer`, once."""
        if peer not in cell.told:
            cell.told |= {peer}
            self.pending[peer, cell.name] = KIND_STOP

    def go(self, cell: Cell) -> None:
        """Send go to every slot that was sent stop."""
        for peer in cell.told:
            self.pending[peer, cell.name] = KIND_GO
        cell.told = NOBODY

    def again(self, cell: Cell, peer: int) -> None:
        """Slot `peer` has a new process, which may still read a stop that was meant for the earlier one."""
        if peer in cell.told:
            cell.told -= {peer}
            self.pending[peer, cell.name] = KIND_GO

    def begin(self, peer: int) -> None:
        """Slot `peer` may still read stops of our slot's earlier process."""
        self.pending[peer, EVERYONE] = KIND_GO

    def send(self, link: Link) -> None:
        """Send the signals that can leave; a lane without room, or not attached yet, is tried again at the next call.

        The process that takes a slot over in a reload may run before it has received the descriptors of its peers.
        """
        for (peer, target), kind in tuple(self.pending.items()):
            with suppress(Closed):
                if link.signal(peer, kind, target):
                    del self.pending[peer, target]

    def forget(self, peer: int) -> None:
        """The slot is gone and will not be linked again."""
        self.pending = {at: kind for at, kind in self.pending.items() if at[0] != peer}
