"""The journal of a slot, as a scheduler sees it: which engines have a recorder, and when the cycle writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from host.node.cell import Cell
from host.node.recorder import Recorder


class Recording(Protocol):
    """The journal of a slot. `kept` are its engines that have a recorder, by name."""

    @property
    def kept(self) -> Mapping[str, Recorder]:
        """Those that have not ended."""

    @property
    def is_full(self) -> bool:
        """Whether so much mail is waiting to be written that the cycle writes it before it takes more."""

    def begin(self, cell: Cell, epoch: int, now_ns: int, /) -> None:
        """A cell is new. It gets its recorder here, if it is journaled."""

    def detached(self, peer: int, /) -> None:
        """The lane to a slot is gone for good."""
