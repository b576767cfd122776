"""Where the answers to interactions are recorded before they are used.

A suspended engine is its cause and the answers so far; nothing else of a started action is kept. Whoever has the record
can therefore run the transition again, with no user and no source of chance, and gets the same bytes.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class Recorded(msgspec.Struct, frozen=True):
    """One answer: the `index`-th of the transition that began at `at_ns` on the engine's clock."""

    engine: str
    at_ns: int
    index: int
    answer: Any


class AnswerLog(Protocol):
    """A seam: in memory for a volatile engine; one with a journal will append to that, and return once it is safe."""

    def record(self, recorded: Recorded) -> None:
        """Keep an answer. It is used only after this returned."""

    def forget(self, engine: str) -> None:
        """The transition of `engine` is over; its outcome is what counts now."""


class MemoryAnswers:
    """Keeps the answers of transitions under way, for as long as the process lives."""

    def __init__(self) -> None:
        self._open: dict[str, list[Recorded]] = {}

    def record(self, recorded: Recorded) -> None:
        """As `AnswerLog.record`."""
        self._open.setdefault(recorded.engine, []).append(recorded)

    def forget(self, engine: str) -> None:
        """As `AnswerLog.forget`."""
        self._open.pop(engine, None)

    def of(self, engine: str) -> tuple[Recorded, ...]:
        """The answers given so far in the transition under way."""
        return tuple(self._open.get(engine, ()))
