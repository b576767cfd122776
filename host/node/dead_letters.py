"""Messages that reached no engine: the newest of them, and how many for each reason.

The counts are complete; the letters are the last `LETTERS_MAX` of the node. Workers send both (a worker under a flood
sends all counts but not all letters).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Final, Generic, Protocol, TypeVar

LETTERS_MAX: Final = 1_000
"""Letters a node keeps, and a worker between two reports; the oldest go first."""


class Addressed(Protocol):
    """The fields of a letter that are used here."""

    @property
    def sender(self) -> str:
        """The full name of the engine that sent it."""

    @property
    def target(self) -> str:
        """The full name it was sent to."""


L = TypeVar("L", bound=Addressed)


class DeadLetters(Generic[L]):
    """A bounded ring of letters beside counters that never forget."""

    def __init__(self, letters_max: int = LETTERS_MAX) -> None:
        self._letters: deque[L] = deque(maxlen=letters_max)
        self._counts: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int], letters: Iterable[L]) -> None:
        """Add a worker's report. `counts` include `letters`."""
        self._counts.update(counts)
        self._letters.extend(letters)

    def newest(self, limit: int, engine: str = "") -> list[L]:
        """At most `limit` letters, oldest first; with `engine`, only those it sent or that were sent to it."""
        found = [letter for letter in self._letters if not engine or engine in (letter.sender, letter.target)]
        return found[-limit:] if limit > 0 else []

    @property
    def counts(self) -> dict[str, int]:
        """Letters by reason since the node started."""
        return dict(self._counts)
