"""What a run leaves to look at: the trace, dead letters, notes, events. Text is made only where a trace is wanted.

A line of the trace is the time in seconds since the begin of the run, who, and what happened:

    0.000012345 server < alice: TimeStampRequest(hash=…)     a message is taken from a lane
    0.000012345 server > bob: TimeStampedHash(…)             a committed transition sent it
    0.000012345 server: timer window                         timers are due
    0.000012345 * crash server: killed at publish            the world, or the node
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from engines.model import Noted, Outgoing, Output, Spawned, Stopped, due_timers
from host.node.cell import Cell
from host.node.news import Event, Letter, NoteLine
from host.node.recorder import NumberedMessage
from host.sim.agenda import Agenda
from transport.port import KIND_MESSAGES, Frame

KEPT_MAX: Final = 10_000
"""Letters, notes and events kept, the newest; counts are complete."""

SECOND: Final = 1_000_000_000


class RunRecord:
    """Mutable, one a world. `trace` is None where no trace is wanted."""

    def __init__(self, agenda: Agenda, *, has_trace: bool) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT_MAX)
        self.letters: deque[Letter] = deque(maxlen=KEPT_MAX)
        self.notes: deque[NoteLine] = deque(maxlen=KEPT_MAX)
        self.letter_counts: Counter[str] = Counter()
        self.trace: list[str] | None = [] if has_trace else None
        self._agenda = agenda
        self._began_ns = agenda.now_ns

    def say(self, text: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            since_ns = self._agenda.now_ns - self._began_ns
            self.trace.append(f"{since_ns // SECOND}.{since_ns % SECOND:09} {text}")

    def event(self, kind: str, engine: str, **fields: Any) -> None:
        """Something that an operator of a live node would read with `enginehost events`."""
        self.took([Event(kind, engine, fields)])

    def took(self, events: Iterable[Event]) -> None:
        """Events of a process."""
        for event in events:
            self.events.append(event)
            if self.trace is not None:
                shown = ", ".join(f"{name}={value}" for name, value in event.fields.items())
                about = f" {event.engine}" if event.engine else ""
                self.say(f"* {event.kind}{about}" + (f": {shown}" if shown else ""))

    def bury(self, counts: dict[str, int], letters: Iterable[Letter]) -> None:
        """Dead letters."""
        self.letter_counts.update(counts)
        for letter in letters:
            self.letters.append(letter)
            if self.trace is not None:
                what = "" if letter.message is None else f" {letter.message}"
                self.say(f"* dead letter {letter.sender} > {letter.target}: {letter.reason}{what}")

    def noted(self, notes: Iterable[NoteLine]) -> None:
        """Notes of engines."""
        for note in notes:
            self.notes.append(note)
            if self.trace is not None:
                shown = "".join(f" {name}={value}" for name, value in note.fields.items())
                self.say(f"{note.engine}: note {note.text}{shown}")

    # --- what only a trace needs --------------------------------------------------------------------------------------

    def drained(self, frames: list[Frame], cells: dict[str, Cell]) -> None:
        """A cycle begins: the timers that are due in it, and the mail it takes from its lanes."""
        self._due(cells.values())
        for frame in frames:
            if frame.kind != KIND_MESSAGES:
                continue
            to = f"{frame.target}#{frame.mailbox}" if frame.mailbox else frame.target
            for payload in frame.payloads:
                self.say(f"{to} < {frame.sender}: {shown(payload, cells.get(frame.target), frame.mailbox)}")

    def _due(self, cells: Iterable[Cell]) -> None:
        """Timers that elapse in the cycle that begins."""
        now_ns = self._agenda.now_ns
        for cell in cells:
            if cell.deadline_ns <= now_ns and cell.env is not None:
                names = ", ".join(handle.name for handle in due_timers(cell.env, now_ns))
                if names:
                    self.say(f"{cell.name}: timer {names}")

    def committed(self, outputs: list[tuple[Cell, tuple[Output, ...]]]) -> None:
        """Outputs of the transitions of a cycle."""
        for cell, made in outputs:
            for output in made:
                match output:
                    case Outgoing(target, mailbox, message):
                        to = f"{target}#{mailbox}" if mailbox else target
                        what = message.message if isinstance(message, NumberedMessage) else message
                        self.say(f"{cell.name} > {to}: {what!r}")
                    case Spawned(name):
                        self.say(f"{cell.name}: spawns {name}")
                    case Stopped():
                        self.say(f"{cell.name}: ends")
                    case Noted():
                        pass


def shown(payload: Any, cell: Cell | None, mailbox: int) -> str:
    """An encoded message as its receiver would print it, or as plain data."""
    inbox = None if cell is None else cell.inboxes.get(mailbox)
    try:
        if inbox is not None:
            return repr(inbox.box.decode(payload))
    except Exception:
        pass
    try:
        return repr(msgspec.msgpack.decode(payload))
    except msgspec.DecodeError:
        return f"{len(payload)} bytes"
