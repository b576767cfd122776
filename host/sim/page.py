"""The control page of a simulated slot: it outlives processes and names the message in flight, as a live one does.

The awkward case is a kill in the middle of a run. The scheduler writes the number of each message to the page before it
runs, so the page is where a process can be stopped between any two of them: while a kill is planned, the page's words
burn down a fuse with each message, and the write that finds it burnt raises `KilledInRun`. Nothing of an engine runs at
that point, so no rule can catch it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from host.node.news import Trigger
from host.node.progress import EPOCH, MAILBOX, TIMERS, WORDS, N, Words


class KilledInRun(BaseException):
    """A simulated process is killed while it runs transitions."""


class PlainWords(list[int]):
    """The words of a page."""

    __slots__ = ("fuse",)

    if TYPE_CHECKING:
        fuse: int


class BurningWords(PlainWords):
    """The words while a kill is planned: the message after `fuse` others is the last one begun."""

    __slots__ = ()

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        if index == N and value:
            if not self.fuse:
                raise KilledInRun
            self.fuse -= 1


class Page:
    """As `host.node.progress.Progress`. One a slot."""

    def __init__(self) -> None:
        self._own = PlainWords([0] * WORDS)
        self.words: Words = self._own
        self.engine = ""
        self.sender = ""

    def show(self, engine: str, sender: str) -> None:
        """As `Progress.show`."""
        self.engine = engine
        self.sender = sender

    def light(self, messages: int) -> None:
        """Kill the process once this many messages more were handled."""
        self._own.__class__ = BurningWords
        self._own.fuse = messages

    def extinguish(self) -> None:
        """Undo `light`."""
        self._own.__class__ = PlainWords

    def clear(self) -> None:
        """A new process begins."""
        self.extinguish()
        self._own[:] = [0] * WORDS
        self.engine = self.sender = ""

    def in_flight(self) -> Trigger | None:
        """The message in which the process died; None if it was in no transition, or in one over timers."""
        words = self.words
        if not words[N] or words[MAILBOX] == TIMERS:
            return None
        return Trigger(self.engine, self.sender, words[MAILBOX], words[EPOCH], words[N])
