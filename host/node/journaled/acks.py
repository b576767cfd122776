"""Acknowledgements of a journaled engine's outputs: when an output need not be sent again.

An output is acknowledged once its receiver cannot lose it by a kill:

    here, journaled    when the batch with its frame is appended (`appended`)
    here, volatile     at once: the receiver's state dies with this process, and nothing is sent to it twice
    over a link        when the receiver has released the published bytes (`flushed`, then `hear_released`)
    a dead letter      at once

A lane whose other slot is gone is closed: outputs on it are acknowledged, since their receivers have ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from host.node.cell import Cell
from transport.port import Closed, Link

Stream = tuple[str, int]
"""Target and mailbox."""

FULL = " unacked"
"""Held under this name, which no engine can have, is an engine with too many unacknowledged bytes."""


class Unacknowledged(Protocol):
    """A journaled engine, as far as it is used here (`host.node.journaled.keeping.EngineRecorder`)."""

    cell: Cell
    unacked_bytes: int

    def ack(self, stream: Stream, n: int, /) -> None:
        """Acknowledge outputs up to number `n`."""


class Acks:
    """Mutable, one a slot."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._here: list[tuple[Unacknowledged, Stream, int]] = []
        self._sent: dict[int, dict[tuple[str, Stream], tuple[Unacknowledged, int]]] = {}
        self._flying: dict[int, deque[tuple[int, list[tuple[Unacknowledged, Stream, int]]]]] = {}
        self._full: dict[str, Unacknowledged] = {}

    @property
    def has_full(self) -> bool:
        """Whether an engine waits for acknowledgements."""
        return bool(self._full)

    def left_here(self, kept: Unacknowledged, stream: Stream, n: int) -> None:
        """A journaled neighbour received an output; its frame is in the batch."""
        self._here.append((kept, stream, n))

    def left(self, kept: Unacknowledged, stream: Stream, peer: int, n: int) -> None:
        """Outputs up to number `n` were given to an outlet to slot `peer`."""
        self._sent.setdefault(peer, {})[kept.cell.name, stream] = (kept, n)

    def appended(self) -> None:
        """The batch is in the log: acknowledge the outputs in it."""
        here, self._here = self._here, []
        for kept, stream, n in here:
            kept.ack(stream, n)

    def flushed(self) -> None:
        """Outputs that left over links are published."""
        for peer, sent in self._sent.items():
            with suppress(Closed):  # `detached` follows, which acknowledges
                position = self._link.published(peer)
                made = [(kept, stream, n) for (_, stream), (kept, n) in sent.items()]
                self._flying.setdefault(peer, deque()).append((position, made))
        self._sent.clear()

    def hear_released(self) -> None:
        """Acknowledge the outputs that receivers have released."""
        for peer, flying in tuple(self._flying.items()):
            try:
                position = self._link.released(peer)
            except Closed:
                continue
            while flying and flying[0][0] <= position:
                for kept, stream, n in flying.popleft()[1]:
                    kept.ack(stream, n)
            if not flying:
                del self._flying[peer]

    def detached(self, peer: int) -> None:
        """The lane to a slot is closed: acknowledge the outputs on it."""
        for _, sent in self._flying.pop(peer, ()):
            for kept, stream, n in sent:
                kept.ack(stream, n)
        for (_, stream), (kept, n) in self._sent.pop(peer, {}).items():
            kept.ack(stream, n)

    def hold_full(self, engines: Iterable[Unacknowledged], bytes_max: int) -> None:
        """Hold the engines that keep more than `bytes_max`."""
        for kept in engines:
            if kept.unacked_bytes > bytes_max and kept.cell.name not in self._full:
                self._full[kept.cell.name] = kept
                kept.cell.held.setdefault(FULL, deque())

    def free(self, bytes_max: int) -> list[Cell]:
        """Free the engines that keep at most half of `bytes_max`; the caller wakes them."""
        freed = [kept.cell for kept in self._full.values() if kept.unacked_bytes <= bytes_max // 2]
        for cell in freed:
            del self._full[cell.name]
            cell.held.pop(FULL, None)
        return freed
