"""The way out for journaled engines: numbers as committed, the engine's own epoch, until somebody acknowledges.

An output is done once its receiver cannot lose it by a kill:

    here, journaled    when the batch with its frame is appended (`appended`)
    here, volatile     at once: the receiver's state dies with this process, and the sender sends nothing twice to it
    over a link        when the receiver has released what was published (`published`, `released`)
    a dead letter      at once

A lane without a slot at its other end is over: what went there is done, its receivers have ended.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from host.node.cell import Cell
from host.node.journaled.keeping import Keeping, Kept, Numbered, Way
from host.node.neighbours import post_here
from host.node.outbox import Cause, Outbox
from host.node.way import Way as Course
from transport.port import Closed, Outlet

FULL = " unacked"
"""Under this name, which no engine can have, an engine is held that keeps too much."""


class Positions(Protocol):
    """What a link says of the lane to a peer: how far it was published, and how far the receiver released it."""

    def published(self, peer: int, /) -> int:
        """A position that rises with what is flushed. Raises `Closed`."""

    def released(self, peer: int, /) -> int:
        """Everything published below it was released. Raises `Closed`."""


class JournaledOutbox(Outbox):
    """As `Outbox`; `keep` names the keeping before anything leaves."""

    _keeping: Keeping
    _positions: Positions

    def keep(self, keeping: Keeping, positions: Positions) -> None:
        """Release outputs of this keeping's engines."""
        self._keeping = keeping
        self._positions = positions
        self._here: list[tuple[Kept, Way, int]] = []
        self._sent: dict[int, dict[tuple[str, Way], tuple[Kept, int]]] = {}
        self._flying: dict[int, deque[tuple[int, list[tuple[Kept, Way, int]]]]] = {}
        self._full: dict[str, Kept] = {}

    @property
    def has_full(self) -> bool:
        """Whether an engine waits for acknowledgements."""
        return bool(self._full)

    def try_post(self, cell: Cell, target: str, mailbox: int, message: Any) -> Cause | None:
        """As `Outbox.try_post`."""
        if message.__class__ is not Numbered:
            return super().try_post(cell, target, mailbox, message)
        kept = self._keeping.of(cell.name)
        course = cell.ways.get((target, mailbox)) or self._new_way(cell, target, mailbox)
        if course.number != message.n:
            course.close()
            course.next_n = message.n
        here = self._scheduler.cells.get(target)
        if here is None:
            cause = super().try_post(cell, target, mailbox, message.message)
        else:
            cause = post_here(self, self._scheduler, cell, course, here, mailbox, message.message)
        if cause is None and kept is not None:
            self._left(kept, (target, mailbox), message.n, course, here)
        return cause

    def _left(self, kept: Kept, way: Way, n: int, course: Course, here: Cell | None) -> None:
        """An output left, or became a dead letter: then it has no number after it."""
        if here is not None and here.name in self._keeping.kept:
            self._here.append((kept, way, n))
        elif here is not None or course.number != n + 1 or course.outlet is None:
            self._keeping.ack(kept, way, n)
        else:
            self.left(kept, way, course, n)

    def _open(self, cell: Cell, way: Course, target: str, mailbox: int) -> Outlet | None:
        kept = self._keeping.of(cell.name)
        if kept is None:
            return super()._open(cell, way, target, mailbox)
        slot_epoch, self.epoch = self.epoch, kept.epoch
        try:
            return super()._open(cell, way, target, mailbox)
        finally:
            self.epoch = slot_epoch

    def bury(self, reason: str, cell: Cell, target: str, mailbox: int, message: Any, detail: str) -> None:
        """As `Outbox.bury`; what is given up needs no acknowledgement."""
        if message.__class__ is Numbered:
            kept = self._keeping.of(cell.name)
            if kept is not None:
                self._keeping.ack(kept, (target, mailbox), message.n)
            message = message.message
        super().bury(reason, cell, target, mailbox, message, detail)

    def detached(self, peer: int) -> None:
        """As `Outbox.detached`."""
        for _, sent in self._flying.pop(peer, ()):
            for one in sent:
                self._keeping.ack(*one)
        for (_, way), (kept, n) in self._sent.pop(peer, {}).items():
            self._keeping.ack(kept, way, n)
        super().detached(peer)

    def appended(self) -> None:
        """What was delivered to journaled neighbours is in the log."""
        here, self._here = self._here, []
        for one in here:
            self._keeping.ack(*one)

    def left(self, kept: Kept, way: Way, course: Course, n: int) -> None:
        """Outputs up to number `n` were given to the outlet of their course."""
        self._sent.setdefault(course.peer, {})[kept.cell.name, way] = (kept, n)

    def flushed(self) -> bool:
        """What left over links is published; whether an engine waits for acknowledgements now."""
        for peer, sent in self._sent.items():
            try:
                position = self._positions.published(peer)
            except Closed:
                continue  # `detached` follows, which acknowledges
            made = [(kept, way, n) for (_, way), (kept, n) in sent.items()]
            self._flying.setdefault(peer, deque()).append((position, made))
        self._sent.clear()
        self._hold_full()
        return self.has_full

    def hear_released(self) -> None:
        """Acknowledge what receivers have released."""
        for peer, flying in tuple(self._flying.items()):
            try:
                position = self._positions.released(peer)
            except Closed:
                continue
            while flying and flying[0][0] <= position:
                for one in flying.popleft()[1]:
                    self._keeping.ack(*one)
            if not flying:
                del self._flying[peer]
        for name, kept in tuple(self._full.items()):
            if kept.unacked_bytes <= self._keeping.unacked_bytes_max // 2:
                del self._full[name]
                kept.cell.held.pop(FULL, None)
                self._scheduler.wake(kept.cell)

    def _hold_full(self) -> None:
        for name, kept in self._keeping.kept.items():
            if kept.unacked_bytes > self._keeping.unacked_bytes_max and name not in self._full:
                self._full[name] = kept
                kept.cell.held.setdefault(FULL, deque())
                self._scheduler.turns.rearm(kept.cell)
