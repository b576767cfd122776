"""A stream from one engine to one mailbox: where it goes now, and its next number for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transport.port import Outlet

if TYPE_CHECKING:
    from host.node.cell import Cell
    from host.node.mailbox import Inbox


class Way:
    """A stream from one engine: where it goes, and its next number while it has no outlet."""

    __slots__ = ("cell", "inbox", "next_n", "outlet", "peer")

    def __init__(self, next_n: int) -> None:
        self.next_n = next_n
        self.outlet: Outlet | None = None
        self.peer = 0
        self.cell: Cell | None = None
        self.inbox: Inbox | None = None

    def close(self) -> None:
        """Forget where it goes, keep the number."""
        if self.outlet is not None:
            self.next_n = self.outlet.next_n
        self.outlet = self.cell = self.inbox = None

    @property
    def number(self) -> int:
        """The number the next message gets."""
        return self.next_n if self.outlet is None else self.outlet.next_n
