"""Messages that reached no engine: the newest of them, and how many for each reason.

The counts are complete; the letters are the last `LETTERS_MAX` of the node. Workers send both (a worker under a flood
sends all counts but not all letters).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Final

from host.node.news import Letter

LETTERS_MAX: Final = 1_000
"""Letters a node keeps, and a worker between two reports; the oldest go first."""


class DeadLetters:
    """A bounded ring of letters beside counters that never forget."""

    def __init__(self, letters_max: int = LETTERS_MAX) -> None:
        self._letters: deque[Letter] = deque(maxlen=letters_max)
        self._counts: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int], letters: Iterable[Letter]) -> None:
        """Add a worker's report. `counts` include `letters`."""
        self._counts.update(counts)
        self._letters.extend(letters)

    def newest(self, limit: int, engine: str = "") -> list[Letter]:
        """At most `limit` letters, oldest first; with `engine`, only those it sent or that were sent to it."""
        found = [letter for letter in self._letters if not engine or engine in (letter.sender, letter.target)]
        return found[-limit:] if limit > 0 else []

    @property
    def counts(self) -> dict[str, int]:
        """Letters by reason since the node started."""
        return dict(self._counts)
