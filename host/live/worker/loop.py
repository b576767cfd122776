"""A worker: the process in a slot. It runs a scheduler between the slot's lanes and the supervisor's socket.

One thread, no event loop library. It drains, and performs the duties of a cycle (`host.node.cycle`); then, unless there
is more to do, it sleeps until mail, a packet, or the next deadline. A process that slept runs all of this with cold
caches, several times slower than in a loop, so the path to `publish` is kept short.

Where links are lanes, common cycles run in C (`_cycle.c`), for as long as there is only mail to handle (`is_calm`); the
first uncommon case returns here in the middle of its cycle, and `turn` finishes it.

The supervisor's packets are read between cycles, at the latest every `POLL_NS`. Queries are answered at the end of a
cycle, after its letters were sent: after two answers, mail that the asker sent before the first query has been drained.
The supervisor's end of file, or a broken packet, ends the process at once.
"""

from __future__ import annotations

import gc
from typing import Final

from host.live.worker.cycles import WorkerCycles
from host.live.worker.desk import Leave, WorkerDesk
from host.live.worker.own_link import common_case
from host.live.worker.parts import Outset
from host.node.cell import Cell
from transport.port import Broken, Frame

POLL_NS: Final = 1_000_000
"""How long a packet of the supervisor may stay unread while there is work."""

FIRST_NS: Final = 200_000
"""Transitions of the first cycle after a reload: mail waits already, and answers leave at the end of a cycle."""

BACKLOG_NS: Final = 2_000_000
"""The longest sleep while packets wait for room in the supervisor's socket."""


class Worker(WorkerCycles):
    """The engines of a slot, its link, and the supervisor's socket."""

    def __init__(self, outset: Outset) -> None:
        super().__init__(outset)
        self.desk = WorkerDesk(self, outset.own)
        ledger = None if self.log is None else self.log.ledger()
        self._in_c = common_case(outset.own, self.scheduler, self.offset_ns, ledger)

    def run(self, inherited: list[Cell] | None = None, *, held: bool = False) -> None:
        """Run until the supervisor asks to exit, or is gone. With engines that were taken over the first cycle comes
        before any report: a packet wakes the supervisor, which may take the processor, while mail has been waiting.

        `held` as in `Boot`.
        """
        settle_memory()
        self.link.watch(self.channel.fileno())
        if self.log is not None:
            self.log.watch()
        heard_ns = 0
        try:
            if inherited is not None:
                self.desk.hear()
                self.turn(self._drain(), FIRST_NS)
                self.report_ready(inherited)
            if held:
                self.desk.stand_by()
            while True:
                frames = self._common() if self.is_calm else self._drain()
                is_busy = frames is not None and self.turn(frames) and not self._is_settled
                now_ns = self.clock()
                if frames is None or now_ns - heard_ns >= POLL_NS:
                    heard_ns = now_ns
                    self.telling.in_time(now_ns)
                    self._hear()
                elif not is_busy:
                    self.telling.everything(now_ns)
                    if not self.is_calm and self.link.wait(self._sleep_ns(now_ns)):
                        self._hear()
        except Leave:
            self.link.close()
        if self.log is not None:
            self.log.close()

    @property
    def is_calm(self) -> bool:
        """Whether C may go on alone."""
        return self._in_c is not None and self._is_at_rest

    @property
    def _is_at_rest(self) -> bool:
        """Whether only mail, a deadline or the supervisor can need attention."""
        return (
            self.scheduler.is_calm
            and self.outbox.is_calm
            and not (self.channel.waiting or self.queries or self.telling.is_due)
            and (self.log is None or self.log.is_calm)
        )

    def _hear(self) -> None:
        """Handle the supervisor's packets, and send what they release. An answer covers all mail before its query.

        Nothing is to be done if there was none and the worker is at rest, as it usually is behind a deadline. A log has
        to write what was added while it was tended.
        """
        if self.log is not None:
            self.log.tend()
        if self.tail is not None:
            self.tail.pump()
        if self.desk.hear() or self.log is not None or not self._is_at_rest:
            self.turn(self._drain() if self.queries else [])

    @property
    def _is_settled(self) -> bool:
        return self.scheduler.is_idle and not self.telling.is_due

    def _common(self) -> list[Frame] | None:
        """Whole cycles in C, asleep between them; frames for `turn`, or None if something else needs attention."""
        assert self._in_c is not None
        rests = self.log is None or self.log.rests
        try:
            frames = self._in_c.run(POLL_NS, rests)
        except Broken as error:
            return self._lose_lane(error)
        if frames is None and self.log is not None and not self.log.rests:
            self.link.wait(BACKLOG_NS)
        if frames is not None and not frames and not self.scheduler.turns.outputs:
            return self._drain()  # C stopped at what waits here, and the lanes have their turn too
        return frames

    def _sleep_ns(self, now_ns: int) -> int | None:
        wakes_ns = self.scheduler.wakes_ns
        bounds = [
            None if wakes_ns is None else max(0, wakes_ns - now_ns),
            BACKLOG_NS if self.channel.waiting else None,
            None if self.log is None else self.log.sleep_ns_max(now_ns),
        ]
        return min((bound for bound in bounds if bound is not None), default=None)


def settle_memory() -> None:
    """Keep the collector off what was imported, which stays. Collecting first would touch all of it."""
    gc.freeze()
