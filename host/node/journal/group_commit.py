"""When to sync: after so many turns, or so long after the first that waits, whichever comes first.

Pure. A worker that has nothing else to do syncs at once: waiting for company costs what it saves only while there is
some.
"""

from __future__ import annotations

from typing import Final

TURNS_MAX: Final = 2_048
"""A cycle's worth: more would keep outputs from leaving for longer than a sync takes."""
WAIT_NS: Final = 2_000_000
"""As long as a slow sync."""


class GroupCommit:
    """Mutable, one a durable log."""

    __slots__ = ("_since_ns", "_turns", "turns_max", "wait_ns")

    def __init__(self, turns_max: int = TURNS_MAX, wait_ns: int = WAIT_NS) -> None:
        self.turns_max = turns_max
        self.wait_ns = wait_ns
        self._turns = 0
        self._since_ns = 0

    def appended(self, turns: int, now_ns: int) -> None:
        """So many turns (or answers) wait for a sync from now on."""
        if not self._turns:
            self._since_ns = now_ns
        self._turns += max(1, turns)

    def synced(self) -> None:
        """Nothing waits."""
        self._turns = 0

    def is_due(self, now_ns: int, *, is_idle: bool) -> bool:
        """Whether to sync now."""
        if not self._turns:
            return False
        return is_idle or self._turns >= self.turns_max or now_ns - self._since_ns >= self.wait_ns

    @property
    def due_ns(self) -> int | None:
        """When a sync is due at the latest; None while nothing waits."""
        return self._since_ns + self.wait_ns if self._turns else None
