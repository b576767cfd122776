"""What a slot reports, as data: collected while it runs, taken by the driver of its cycles.

The driver's obligations. `spawned` must reach the node before the outputs of the same turn become visible elsewhere, or
a message could overtake the name of its target. `resolve` needs an answer, through `Outbox.route`. Everything else may
wait. Letters and notes are bounded here, so a flood never costs memory: counts stay complete, the oldest items are
dropped.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Final

import msgspec

from engines.model import Due, view
from engines.model.blame import blame
from host.config.spec import EngineSpec
from host.node.cell import NEVER, Cell, Suspension
from host.node.dead_letters import LETTERS_MAX
from host.node.mailbox import Dropped
from host.node.news import Event, Letter, NoteLine, SetAside, Trigger, Waits

NOTES_MAX: Final = 10_000
"""Notes kept between two reports."""

RENDERED_BYTES_MAX: Final = 4_096
"""A larger message is shown as its size and its first bytes."""

SHOWN_BYTES: Final = 64
"""The number of first bytes shown."""


class Offspring(msgspec.Struct, frozen=True):
    """A spawned engine. `is_here`: beside its parent, with its cell if it lives; otherwise the node places it.

    `again`: an earlier process of its parent spawned it.
    """

    spec: EngineSpec
    parent: str
    is_here: bool
    cell: Cell | None
    again: bool = False


class Report:
    """Mutable, one a slot."""

    def __init__(self) -> None:
        self.resolve: list[str] = []
        self.spawned: list[Offspring] = []
        self.stopped: list[str] = []
        self.set_aside: list[tuple[SetAside, bytes | None]] = []
        self.rested: list[Trigger] = []
        self.waits: list[Waits] = []
        self.events: deque[Event] = deque(maxlen=LETTERS_MAX)
        self.notes: deque[NoteLine] = deque()
        self.notes_dropped = 0
        self.letter_counts: Counter[str] = Counter()
        self._letters: deque[tuple[Letter, Any, bool]] = deque(maxlen=LETTERS_MAX)
        """Each with its message, which is rendered when the letter is taken, so that a flood of letters stays cheap."""

    def bury(
        self,
        reason: str,
        sender: str,
        target: str,
        mailbox: int,
        now_ns: int,
        item: Any,
        *,
        is_encoded: bool,
        detail: str = "",
    ) -> None:
        """Make a dead letter of `item`: bytes as received, a message object, or None when the message is not known."""
        self.letter_counts[reason] += 1
        letter = Letter(reason, sender, target, mailbox, now_ns, None, detail)
        self._letters.append((letter, item, is_encoded))

    def bury_all(self, reason: str, target: str, mailbox: int, now_ns: int, dropped: list[Dropped]) -> None:
        """Make dead letters of messages lost to a bound or to the end of an engine."""
        for one in dropped:
            self.bury(reason, one.sender, target, mailbox, now_ns, one.item, is_encoded=one.is_encoded)

    def suspended(self, name: str, suspension: Suspension) -> None:
        """An engine waits for a choice."""
        cause, options = suspension.cause, tuple(suspension.question.options)
        deadline_ns = None if suspension.deadline_ns == NEVER else suspension.deadline_ns
        at = ("", 0, cause) if isinstance(cause, Due) else (cause.sender, cause.mailbox, cause.message)
        self.waits.append(Waits(name, options, deadline_ns, *at[:2], render(at[2], False)))

    def note(self, line: NoteLine) -> None:
        """Keep a line for the log; beyond `NOTES_MAX` the oldest goes and is counted."""
        if len(self.notes) >= NOTES_MAX:
            self.notes.popleft()
            self.notes_dropped += 1
        self.notes.append(line)

    def take_letters(self) -> tuple[dict[str, int], list[Letter]]:
        """Counts by reason (complete) and the newest letters since the last time."""
        counts, self.letter_counts = dict(self.letter_counts), Counter()
        letters = [_rendered(*buried) for buried in self._letters]
        self._letters.clear()
        return counts, letters

    def take_notes(self) -> tuple[list[NoteLine], int]:
        """Log lines since the last time, in order, and how many were dropped."""
        notes, self.notes = list(self.notes), deque()
        dropped, self.notes_dropped = self.notes_dropped, 0
        return notes, dropped

    @property
    def has_letters(self) -> bool:
        """Whether `take_letters` has something to give."""
        return bool(self.letter_counts)


def render(item: Any, is_encoded: bool) -> Any:
    """A message as plain data for people. Never raises, whatever the message is; never large."""
    if isinstance(item, msgspec.Raw):
        return render(bytes(item), True)
    if not is_encoded:
        try:
            return _bounded(view(item))
        except Exception as error:  # no value of an engine, or one that has no bytes
            return {"cannot_be_shown": blame(error)[0]}
    if len(item) > RENDERED_BYTES_MAX:
        return _cut(item)
    try:
        plain = msgspec.msgpack.decode(item)
    except msgspec.DecodeError:
        return _cut(item)
    return view(plain)


def _rendered(letter: Letter, item: Any, is_encoded: bool) -> Letter:
    return letter if item is None else msgspec.structs.replace(letter, message=render(item, is_encoded))


def _bounded(plain: Any) -> Any:
    encoded = msgspec.msgpack.encode(plain)
    return plain if len(encoded) <= RENDERED_BYTES_MAX else _cut(encoded)


def _cut(payload: bytes) -> dict[str, Any]:
    return {"bytes": len(payload), "begins": "0x" + bytes(payload[:SHOWN_BYTES]).hex()}
