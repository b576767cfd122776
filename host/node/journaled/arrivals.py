"""Mail for journaled engines: what of it is new goes into the batch as a frame, before it waits anywhere.

A repeat changes nothing and is not written. A mark is moved by what is written and by nothing else, so a replay that
reads the frames has the same marks.
"""

from __future__ import annotations

from typing import Any

from engines.model import encode
from host.node.arrivals import Arrivals
from host.node.cell import Cell
from host.node.fallen import Position
from host.node.journaled.keeping import Keeping
from host.node.journaled.turns import JournaledTurns
from host.node.mailbox import Batch, Inbox


class JournaledArrivals(Arrivals):
    """As `Arrivals`; `keep` names the keeping before the first mail."""

    _keeping: Keeping
    _turns: JournaledTurns

    def keep(self, keeping: Keeping, turns: JournaledTurns) -> None:
        """Write to this log."""
        self._keeping = keeping
        self._turns = turns

    @property
    def count(self) -> int:
        """Batches that arrived."""
        return self._count

    def deliver(
        self, peer: int | None, sender: str, target: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any]
    ) -> None:
        """As `Arrivals.deliver`; `peer` None: from a neighbour here."""
        cell = self._scheduler.cells.get(target)
        if cell is None or target not in self._keeping.kept or (inbox := cell.inboxes.get(mailbox)) is None:
            assert peer is not None
            super().deliver(peer, sender, target, mailbox, epoch, first_n, payloads)
            return
        payloads, first_n = self._align(cell, sender, mailbox, epoch, first_n, payloads)
        if not payloads:
            return
        self._keeping.log.frame(target, self._keeping.encode_frame(sender, target, mailbox, epoch, first_n, payloads))
        cell.received += len(payloads)
        self._tally.received += len(payloads)
        self.wait_in(cell, inbox, Batch(0, sender, epoch, first_n, payloads, True), peer)

    def wait_in(self, cell: Cell, inbox: Inbox, batch: Batch, peer: int | None) -> None:
        """Have mail that is in the log wait in its mailbox, without what killed a process before."""
        payloads, first_n = batch.payloads, batch.first_n
        if self.fallen.is_expected:
            payloads, first_n = self._without_fallen(cell, batch.sender, inbox.number, batch.epoch, first_n, payloads)
        if payloads:
            self._count += 1
            inbox.add(Batch(self._count, batch.sender, batch.epoch, first_n, payloads, True))
            self._scheduler.arrived(cell, inbox, peer)

    def deliver_here(self, cell: Cell, inbox: Inbox, sender: str, epoch: int, n: int, message: Any) -> None:
        """As `Arrivals.deliver_here`. A journaled sender's own epoch counts, not the slot's."""
        kept = self._keeping.of(sender)
        epoch = epoch if kept is None else kept.epoch
        if cell.name in self._keeping.kept:
            self.deliver(None, sender, cell.name, inbox.number, epoch, n, [encode(message)])
            return
        super().deliver_here(cell, inbox, sender, epoch, n, message)

    def _lay_to_rest(self, cell: Cell, position: Position, payload: Any) -> None:
        if cell.name in self._keeping.kept:
            address = position.sender, position.mailbox, position.epoch, position.n
            self._turns.skip(cell, *address, self._clock())
        super()._lay_to_rest(cell, position, payload)
