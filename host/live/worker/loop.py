"""A worker: the process in a slot. It runs a scheduler between the slot's lanes and the supervisor's socket.

One thread, no event loop library. It drains, and performs the duties of a cycle (`host.node.cycle`); then, unless there
is more to do, it sleeps until mail, a packet, or the next deadline. A process that slept runs all of this with cold
caches, several times slower than in a loop, so the path to PUBLISH is kept short.

Where links are lanes, common cycles run in C (`_cycle.c`), for as long as there is only mail to handle (`is_calm`); the
first uncommon case returns here in the middle of its cycle, and `turn` finishes it.

A worker whose engines keep a journal has a log (`journaled`); for all others `log` is None.

The supervisor's packets are read between cycles, at the latest every `POLL_NS`. Queries are answered at the end of a
cycle, after its letters were sent: after two answers, mail that the asker sent before the first query has been drained.
The supervisor's end of file, or a broken packet, ends the process at once.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, assert_never

from engines.model import Declaration
from host.live import wire
from host.live.clock import engine_clock
from host.live.packets import Channel, close_all, worker_end
from host.live.spawn.confine import confine
from host.live.worker.chance import uniform
from host.live.worker.desk import Leave, WorkerDesk
from host.live.worker.loading import failure, loader
from host.live.worker.own_link import OwnLink, common_case, open_link
from host.live.worker.telling import Telling
from host.node.births import Births
from host.node.cell import Cell
from host.node.cycle import CYCLE_MESSAGES_MAX, Duty, cycle
from host.node.news import Event
from host.node.outbox import Outbox
from host.node.report import Report
from host.node.scheduler import Scheduler
from host.node.set_aside import park
from host.node.snapshot import revive
from transport.port import Broken, Closed, Frame

if TYPE_CHECKING:
    from host.live.worker.handover import Inheritance
    from host.live.worker.journaled import WorkerLog
    from host.live.worker.own_log import OwnLog

FORGET_CYCLES: Final = 256
"""Enough cycles to drain one lane completely while its neighbours keep sending."""

POLL_NS: Final = 1_000_000
"""How long a packet of the supervisor may stay unread while there is work."""

BACKLOG_NS: Final = 2_000_000
"""The longest sleep while packets wait for room in the supervisor's socket."""


class Worker:
    """The engines of a slot, its link, and the supervisor's socket."""

    def __init__(
        self,
        channel: Channel[wire.ToWorker],
        boot: wire.Boot,
        own: OwnLink,
        load: Callable[[str], Declaration[Any, Any, Any]] | None = None,
        own_log: OwnLog | None = None,
    ) -> None:
        """`load` finds families that a candidate imported before it became a worker."""
        offset_ns = boot.now_ns if own_log is None else own_log.offset_ns
        keeping = None if own_log is None else own_log.keeping
        self.clock = engine_clock(offset_ns)
        self.link = own.link
        self.channel = channel
        load = load or loader(boot.roots, check=False)
        self.births = Births(boot.node, load, are_here=boot.spawned == "parent")
        report = Report()
        self.outbox = Outbox(boot.slot, boot.epoch, own.link)
        self.scheduler = Scheduler(self.clock, uniform, own.page, report, self.outbox, keeping)
        self.telling = Telling(channel, report, boot.described)
        self.desk = WorkerDesk(self, own.attach)
        self.is_new = not boot.candidate
        self.log = None if own_log is None else _worker_log(self, own_log, boot, own)
        if keeping is not None:
            self.births.durability_of = keeping.durability_of
        self._in_c = common_case(own, self.scheduler, offset_ns, None if self.log is None else self.log.ledger())
        self.scheduler.arrivals.expect(boot.fallen)

    def bear(self, births: tuple[wire.Birth, ...]) -> None:
        """Bear engines, and report for each that it is ready, or why not. Engines in the log are revived instead."""
        if self.log is not None:
            known = self.log.revive(births)
            self.telling.ready((cell.name, cell.family) for cell in known)
            births = tuple(birth for birth in births if birth.spec.name not in self.scheduler.cells)
        ready = []
        for birth in births:
            try:
                cell = self.births.bear(self.scheduler, birth.spec, birth.parent, birth.birth)
            except BaseException as error:
                self.channel.send(failure(birth.spec.name, error))
                continue
            if cell is not None:
                if birth.parked:
                    park(cell)
                ready.append((cell.name, cell.family))
        self.telling.ready(ready)
        if self.log is not None:
            self.log.write()
            self._tell()

    def take_over(
        self,
        births: tuple[wire.Birth, ...],
        inherited: Inheritance,
        prepare: Callable[[Cell], None] = lambda cell: None,
    ) -> None:
        """Become the slot's process in a reload. No journaled engine is ready before its new image is in the log."""
        revive(self.scheduler, inherited.image, inherited.revived, prepare)
        inherited_cells = [cell for cell in self.scheduler.cells.values() if cell.recorder is None]
        known = [] if self.log is None else self.log.revive(births)
        self.telling.ready((cell.name, cell.family) for cell in [*known, *inherited_cells])
        if self.log is not None:
            self._tell()

    def run(self) -> None:
        """Run until the supervisor asks to exit, or is gone."""
        settle_memory()
        self.link.watch(self.channel.fileno())
        if self.log is not None:
            self.log.watch()
        heard_ns = 0
        try:
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
        """Whether only mail, a deadline or the supervisor can need attention: then C may go on alone."""
        return (
            self._in_c is not None
            and self.scheduler.is_calm
            and self.outbox.is_calm
            and not (self.channel.waiting or self.desk.has_queries or self.telling.is_due)
            and (self.log is None or self.log.is_calm)
        )

    def cycle(self) -> bool:
        """One cycle; whether mail came, or there is more to do at once."""
        return self.turn(self._drain())

    def turn(self, frames: list[Frame]) -> bool:
        """A cycle over drained frames; whether there were any, or there is more to do at once."""
        for duty in cycle(self.scheduler, self.births, frames):
            self._perform(duty)
        return bool(frames) or not self.scheduler.is_idle

    def _perform(self, duty: Duty) -> None:
        match duty:
            case Duty.COMMIT:
                if self.log is not None:
                    self.log.commit()
            case Duty.HEADS:
                self.link.release()
            case Duty.BORN:
                self._tell()
            case Duty.PUBLISH:
                self.link.flush()
                if self.log is not None:
                    self.log.keeping.flushed()
            case Duty.SHOW:
                self._tell()
                if self.desk.has_queries:
                    self.telling.everything(self.clock())
                    self.desk.answer_queries()
            case _:
                assert_never(duty)

    def _tell(self) -> None:
        """Send what other processes may depend on."""
        if self.log is not None:
            self.log.sift_ends()
        self.telling.at_once()

    def _hear(self) -> None:
        """Handle the supervisor's packets, and send what they release. An answer covers all mail before its query."""
        if self.log is not None:
            self.log.tend()
        self.desk.hear()
        self.turn(self._drain() if self.desk.has_queries else [])

    @property
    def _is_settled(self) -> bool:
        return self.scheduler.is_idle and not self.telling.is_due

    def _drain(self) -> list[Frame]:
        try:
            return self.link.drain(CYCLE_MESSAGES_MAX)
        except Broken as error:
            return self._lose_lane(error)

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
        return frames

    def attached(self, peer: int) -> None:
        """Note that a slot is linked. Its lane may hold stops of the process before: a new process revokes them."""
        if self.is_new and self.link.published(peer):
            self.outbox.signals.begin(peer)

    def put_first(self, cell: Cell, sender: str) -> None:
        """Put a sender's message first for a stopped engine. The message lies in its lane, or waits already."""
        for _ in range(FORGET_CYCLES):
            if any(inbox.put_first(sender) for inbox in cell.inboxes.values()):
                break
            frames = self._drain()
            if not frames:
                break
            self.turn(frames)

    def forget(self, peer: int) -> None:
        """Forget a slot that is gone. Messages it had sent still lie in its lane, and are drained first."""
        for _ in range(FORGET_CYCLES):
            frames = self._drain()
            if not frames:
                break
            self.turn(frames)
        self.link.detach(peer)
        self.outbox.detached(peer)

    def drained(self) -> bool:
        """Whether no message waits in a mailbox or to be sent."""
        return not any(cell.depth or cell.held for cell in self.scheduler.cells.values())

    def _lose_lane(self, error: Broken) -> list[Frame]:
        self.channel.send(Event("lane_broken", "", {"finding": str(error)}))
        return []

    def _sleep_ns(self, now_ns: int) -> int | None:
        wakes_ns = self.scheduler.wakes_ns
        bounds = [
            None if wakes_ns is None else max(0, wakes_ns - now_ns),
            BACKLOG_NS if self.channel.waiting else None,
            None if self.log is None else self.log.sleep_ns_max(now_ns),
        ]
        return min((bound for bound in bounds if bound is not None), default=None)


def main(sock_fd: int) -> None:
    """The life of a worker, from its fork to its exit; called by the zygote with the supervisor's socket."""
    channel = worker_end(socket.socket(fileno=sock_fd))
    try:
        introduce(channel)
        boot, descriptors = first_packet(channel)
        confine(boot.memory_bytes, boot.cpu_ns)
        if boot.core is not None:
            os.sched_setaffinity(0, {boot.core})
        live(channel, boot, descriptors)
    except Closed:
        sys.exit(0)


def live(channel: Channel[wire.ToWorker], boot: wire.Boot, descriptors: list[int]) -> None:
    """Run as the first packet demands: a worker, a worker for devices, or a candidate that becomes one of them."""
    if boot.candidate:
        from host.live.worker.candidate import adopt_and_run

        adopt_and_run(channel, boot, descriptors)
        return
    if boot.device:
        from host.live.worker.device_loop import run_devices

        run_devices(channel, boot, open_link(boot, descriptors))
        return
    own, load, own_log = open_link(boot, descriptors), loader(boot.roots, check=False), None
    if boot.journal:
        from host.live.worker.own_log import try_open_log

        own_log = try_open_log(channel, boot, own, load)
        if own_log is None:
            return
    worker = Worker(channel, boot, own, load, own_log)
    worker.bear(boot.births)
    worker.run()


def _worker_log(worker: Worker, own_log: OwnLog, boot: wire.Boot, own: OwnLink) -> WorkerLog:
    """Imported only where there is a log: the import costs more than 10,000 turns."""
    from host.live.worker.journaled import WorkerLog

    return WorkerLog(worker, own_log, boot, is_alone=own.is_native)


def introduce(channel: Channel[wire.ToWorker]) -> None:
    """Introduce this process, with a descriptor that shows its end."""
    pidfd = os.pidfd_open(os.getpid())
    channel.send(wire.Hello(os.getpid()), [pidfd])
    close_all([pidfd])


def first_packet(channel: Channel[wire.ToWorker]) -> tuple[wire.Boot, list[int]]:
    """Wait for `Boot`. Raises `Closed`, and `Broken` for anything else."""
    packet, descriptors = next_packet(channel)
    if not isinstance(packet, wire.Boot):
        raise Broken(f"worker: {type(packet).__name__} before Boot")
    return packet, descriptors


def next_packet(channel: Channel[wire.ToWorker]) -> tuple[wire.ToWorker, list[int]]:
    """Wait for the supervisor, for as long as it lives. Raises `Closed`."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        received = channel.receive()
        if received is not None:
            return received
        poll.poll()


def settle_memory() -> None:
    """Keep the collector off what was imported, which stays. Collecting first would touch all of it."""
    gc.freeze()
