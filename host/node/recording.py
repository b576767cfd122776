"""The journal of a slot as the scheduler uses it: which engines are journaled, and when to write before going on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from host.node.cell import Cell
from host.node.recorder import Recorder


class Recording(Protocol):
    """The journal of a slot. `kept` are its engines that have a recorder, by name."""

    @property
    def kept(self) -> Mapping[str, Recorder]:
        """The journaled engines that have not ended."""

    @property
    def is_full(self) -> bool:
        """Whether the mail waiting to be written has reached its bound: the cycle writes it before taking more."""

    def begin(self, cell: Cell, epoch: int, now_ns: int, /) -> None:
        """Give a new cell its recorder, if it is journaled."""

    def detached(self, peer: int, /) -> None:
        """The lane to a slot is closed and will not be reopened."""
