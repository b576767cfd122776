"""Numbers of outputs, counted at commit: a function of the outputs alone, so that a replay counts alike.

Streams are (target, mailbox). Beyond WAYS_MAX of an engine the oldest is closed. Streams that begin later begin above
the numbers of the closed ones; otherwise a reopened stream would be taken for a repeat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

WAYS_MAX: Final = 10_000
"""Streams an engine keeps open; the oldest is closed when one more begins."""


class Numbers:
    """Mutable, one an engine."""

    __slots__ = ("from_n", "next_n")

    def __init__(self, ways: Iterable[tuple[str, int, int]] = (), from_n: int = 1) -> None:
        """`ways` are (target, mailbox, next number), the oldest first."""
        self.next_n = {(target, mailbox): n for target, mailbox, n in ways}
        self.from_n = from_n

    def number(self, target: str, mailbox: int) -> int:
        """The next output's number for this mailbox; it is used up by the call."""
        way = (target, mailbox)
        n = self.next_n.get(way)
        if n is None:
            n = self._open()
        self.next_n[way] = n + 1
        return n

    def ways(self) -> list[tuple[str, int, int]]:
        """The ways, as the constructor takes them."""
        return [(target, mailbox, n) for (target, mailbox), n in self.next_n.items()]

    def _open(self) -> int:
        if len(self.next_n) >= WAYS_MAX:
            oldest = next(iter(self.next_n))
            self.from_n = max(self.from_n, self.next_n.pop(oldest))
        return self.from_n
