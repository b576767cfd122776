"""A worker: the process in a slot. It runs a scheduler between the slot's lanes and the supervisor's socket.

One thread, no event loop library. It drains, and performs the duties of a cycle (`host.node.cycle`); then, unless there
is more to do, it sleeps until mail, a packet, or the next deadline. A process that slept runs all of this cold, several
times slower than in a loop, so what comes before PUBLISH is kept short.

Where links are lanes, cycles of the common kind run in C (`_cycle.c`), for as long as nothing but mail is about
(`is_calm`); the first uncommon thing comes back here, in the middle of its cycle, and `turn` finishes it.

A worker whose engines keep a journal is given its log (`journaled`); all others have None there.

The supervisor's packets are read between cycles, at the latest every `POLL_NS`. Queries are answered at the end of a
cycle, after the letters it made: who asks twice knows that what it sent before the first question was drained.
Its end of file, or anything it says that is broken, ends the process at once.
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
"""More than the frames of any lane take, among those of its neighbours, which may never end."""

POLL_NS: Final = 1_000_000
"""How long the supervisor may wait to be heard while there is work."""

BACKLOG_NS: Final = 2_000_000
"""Sleep at most that long while packets wait that the supervisor's socket had no room for."""


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
        """Give birth, and say for each engine that it is ready or why not. Engines that a log has are there already."""
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
        """Be the slot's process after a reload. No journaled engine is ready before its new image is in the log."""
        revive(self.scheduler, inherited.image, inherited.revived, prepare)
        inherited_cells = [cell for cell in self.scheduler.cells.values() if cell.recorder is None]
        known = [] if self.log is None else self.log.revive(births)
        self.telling.ready((cell.name, cell.family) for cell in [*known, *inherited_cells])
        if self.log is not None:
            self._tell()

    def run(self) -> None:
        """Until the supervisor says so, or is gone."""
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
        """Whether nothing but mail, a deadline or the supervisor can want anything, so that C may go on alone."""
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
        """A cycle over frames that were drained; whether any were, or there is more to do at once."""
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
        """Tell what others may depend on."""
        if self.log is not None:
            self.log.sift_ends()
        self.telling.at_once()

    def _hear(self) -> None:
        """What the supervisor says, and what that lets leave. An answer is about all that came before its question."""
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
        """Whole cycles in C, asleep between them; None: something else wants to be seen to, else frames for `turn`."""
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
        """A slot is linked. What the process before this one told it may lie in the lane yet; a reload stands by it."""
        if self.is_new and self.link.published(peer):
            self.outbox.signals.begin(peer)

    def put_first(self, cell: Cell, sender: str) -> None:
        """An engine that does not run hears this sender next. What it sent lies in its lane, or waits already."""
        for _ in range(FORGET_CYCLES):
            if any(inbox.put_first(sender) for inbox in cell.inboxes.values()):
                break
            frames = self._drain()
            if not frames:
                break
            self.turn(frames)

    def forget(self, peer: int) -> None:
        """A slot is gone for good; what it had sent lies in its lane until then, and is taken first."""
        for _ in range(FORGET_CYCLES):
            frames = self._drain()
            if not frames:
                break
            self.turn(frames)
        self.link.detach(peer)
        self.outbox.detached(peer)

    def drained(self) -> bool:
        """Whether nothing waits in the lanes, in mailboxes, or to leave."""
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
    """Be what the first packet says: a worker, a worker for devices, or a candidate that becomes one of them."""
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
    """Imported only where there is a log: it costs a start more than 10,000 turns."""
    from host.live.worker.journaled import WorkerLog

    return WorkerLog(worker, own_log, boot, is_alone=own.is_native)


def introduce(channel: Channel[wire.ToWorker]) -> None:
    """Say who this is, with a descriptor that tells of its end."""
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
    """What was imported stays: keep the collector off it. To collect first would touch it all."""
    gc.freeze()
