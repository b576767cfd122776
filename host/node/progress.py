"""Words that a scheduler keeps current while it runs, readable without its co-operation, even after a kill.

A row of words with one writer, and the names of the stream whose message is in flight. In a live node both lie in a
slot's control page and outlive the process; elsewhere they are a list. The order of writes carries the meaning: `N` is
0 while the names change, then holds the number of the message in flight, and is 0 again once a batch is done. The
numbers of a stream start at 1. The counters are brought up to date at the end of a cycle, and before heads move when
mail is parked.

A kill costs at most PARKED + STANDING messages that were taken, and UNSENT ones that were made. Each counter is raised
before the heads move and lowered only once the messages it counts are elsewhere, so no instant shows too few. The
messages of a batch under way are counted until their cycle ends.
"""

from __future__ import annotations

from typing import Final, Protocol

N: Final = 0
"""Number of the message in flight in the stream shown; 0: none."""
STARTED_NS: Final = 1
"""Engine time at which the present batch or timer was begun."""
HANDLED: Final = 2
"""Messages that left their mailbox: handled, stored, or made dead letters."""
RECEIVED: Final = 3
"""Messages delivered to a mailbox here."""
SENT: Final = 4
"""Messages that left an engine here."""
PARKED: Final = 5
"""Messages that wait in mailboxes although their space in the lane was given back: they die with the process."""
MAILBOX: Final = 6
"""Mailbox of the stream in flight; `TIMERS` while timers are handled."""
EPOCH: Final = 7
"""Epoch of the stream in flight."""
STANDING: Final = 8
"""Engines that wait for a choice with a message, which has left its mailbox: it dies with the process."""
UNSENT: Final = 9
"""Messages sent by committed transitions that have not left: held, or, within a cycle, about to leave."""
STUCK: Final = 10
"""Whether an engine is full and has outputs held: then it may be in a circle (`host.node.circles`)."""
CYCLES: Final = 11
"""Completed cycles: while this stands still the process receives nothing from others, whatever it gets done."""
WORDS: Final = 12
"""Words in a row."""

TIMERS: Final = (1 << 32) - 1
"""In place of a mailbox number, which is never as high: elapsed timers are in flight."""


class Tally:
    """The counters of a cycle under way, before they are shown."""

    __slots__ = ("handled", "parked", "received", "sent")

    def __init__(self) -> None:
        self.handled = 0
        self.parked = 0
        self.received = 0
        self.sent = 0

    def show(self, words: Words) -> None:
        """Bring the words up to date, and `parked` with them."""
        self.parked = self.received - self.handled
        words[HANDLED] = self.handled
        words[RECEIVED] = self.received
        words[SENT] = self.sent
        words[PARKED] = self.parked


class Words(Protocol):
    """A row of unsigned 64-bit words."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Progress(Protocol):
    """Implemented by the control page of a slot, and by `Unseen`."""

    words: Words

    def show(self, engine: str, sender: str) -> None:
        """Set the names of the stream that comes next. Called while `N` is 0."""


class Unseen:
    """Progress that nobody else can read: of a replay, of a node in one process, and of tests."""

    def __init__(self) -> None:
        self.words: Words = [0] * WORDS

    def show(self, engine: str, sender: str) -> None:
        """As `Progress.show`."""
