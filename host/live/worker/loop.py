"""A worker: the process in a slot. It runs a scheduler between the slot's lanes and the supervisor's socket.

One thread, no event loop library. A cycle: drain; deliver and run; heads move (`release`); the supervisor hears of
children; outputs leave; publish (`flush`); then what nobody waits for. A process that slept runs all of this cold,
several times slower than in a loop, so what comes before `flush` is kept short. Heads move before outputs leave, so a
kill between the two loses that cycle's outputs and repeats nothing; before the heads moved, the slot's next process
drains the same mail again, and the control page says which message was in flight. Then, unless there is more to do,
sleep until mail, a packet, or the next deadline.

Where links are lanes, cycles of the common kind run in C (`_cycle.c`), for as long as nothing but mail is about
(`is_calm`); the first uncommon thing comes back here, in the middle of its cycle, and `turn` finishes it.

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
from typing import Any, Final

import msgspec

from engines.model import Declaration
from host.live import wire
from host.live.clock import engine_clock
from host.live.confine import confine
from host.live.packets import Channel, close_all, worker_end
from host.live.worker.chance import uniform
from host.live.worker.desk import Desk, Leave
from host.live.worker.loading import failure, loader
from host.live.worker.own_link import OwnLink, common_case, open_link
from host.live.worker.telling import Telling
from host.node.answers import MemoryAnswers
from host.node.births import Births
from host.node.cell import Cell
from host.node.fallen import Position
from host.node.outbox import Outbox
from host.node.report import Report
from host.node.scheduler import Scheduler
from host.node.set_aside import park
from transport.port import EVERYONE, KIND_GO, KIND_MESSAGES, KIND_STOP, Broken, Closed, Frame

DRAIN_MESSAGES: Final = 2_048
"""Messages of one cycle: what is repeated, or lost, when the process is killed in it."""

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
    ) -> None:
        """`load` finds families that a candidate imported before it became a worker."""
        self.clock = engine_clock(boot.now_ns)
        self.link = own.link
        self.channel = channel
        load = load or loader(boot.roots, check=False)
        self.births = Births(boot.node, load, are_here=boot.spawned == "parent")
        report = Report()
        self.outbox = Outbox(boot.slot, boot.epoch, self.births, own.link)
        self.scheduler = Scheduler(self.clock, uniform, MemoryAnswers(), own.page, report, self.outbox)
        self.telling = Telling(channel, report, boot.described)
        self.desk = Desk(self, own.attach)
        self.is_new = not boot.candidate
        self._in_c = common_case(own, self.scheduler, boot.now_ns)
        self.scheduler.arrivals.expect(Position(*msgspec.structs.astuple(fallen)) for fallen in boot.fallen)

    def bear(self, births: tuple[wire.Birth, ...]) -> None:
        """Give birth, and say for each engine that it is ready or why not."""
        ready = []
        for birth in births:
            try:
                cell = self.births.bear(self.scheduler, birth.spec, birth.parent, birth.birth)
            except Exception as error:
                self.channel.send(failure(birth.spec.name, error))
                continue
            if cell is not None:
                if birth.parked:
                    park(cell)
                ready.append((cell.name, cell.family))
        self.telling.ready(ready)

    def run(self) -> None:
        """Until the supervisor says so, or is gone."""
        settle_memory()
        self.link.watch(self.channel.fileno())
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

    @property
    def is_calm(self) -> bool:
        """Whether nothing but mail, a deadline or the supervisor can want anything, so that C may go on alone."""
        return (
            self._in_c is not None
            and self.scheduler.is_calm
            and self.outbox.is_calm
            and not (self.channel.waiting or self.desk.has_queries or self.telling.is_due)
        )

    def cycle(self) -> bool:
        """One cycle; whether mail came, or there is more to do at once."""
        return self.turn(self._drain())

    def turn(self, frames: list[Frame]) -> bool:
        """What follows `drain` in a cycle."""
        link, scheduler, outbox = self.link, self.scheduler, self.outbox
        for peer, kind, sender, target, mailbox, epoch, first_n, payloads in frames:
            if kind == KIND_MESSAGES:
                scheduler.deliver(peer, sender, target, mailbox, epoch, first_n, payloads)
            else:
                self._hear_signal(peer, kind, target)
        scheduler.run()
        scheduler.park()
        if frames:
            link.release()
        if scheduler.turns.has_spawned:
            outbox.bear()
            self.telling.at_once()
        outbox.release()
        link.flush()
        scheduler.show()
        self.telling.at_once()
        if self.desk.has_queries:
            self.telling.everything(self.clock())
            self.desk.answer_queries()
        return bool(frames) or not scheduler.is_idle

    def _hear(self) -> None:
        """What the supervisor says, and what that lets leave. An answer is about all that came before its question."""
        self.desk.hear()
        self.turn(self._drain() if self.desk.has_queries else [])

    @property
    def _is_settled(self) -> bool:
        return self.scheduler.is_idle and not self.telling.is_due

    def _drain(self) -> list[Frame]:
        try:
            return self.link.drain(DRAIN_MESSAGES)
        except Broken as error:
            return self._lose_lane(error)

    def _common(self) -> list[Frame] | None:
        """Whole cycles in C, asleep between them; None: something else wants to be seen to, else frames for `turn`."""
        assert self._in_c is not None
        try:
            return self._in_c.run(POLL_NS, self._rests)
        except Broken as error:
            return self._lose_lane(error)

    @property
    def _rests(self) -> bool:
        """Whether cycles in C may sleep for as long as no mail comes."""
        return True

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
        self.channel.send(wire.Event("lane_broken", "", {"finding": str(error)}))
        return []

    def _hear_signal(self, peer: int, kind: int, target: str) -> None:
        if kind == KIND_STOP:
            self.outbox.stop(target, peer)
        elif kind == KIND_GO and target == EVERYONE:
            self.outbox.go_all(peer)
        elif kind == KIND_GO:
            self.outbox.go(target)

    def _sleep_ns(self, now_ns: int) -> int | None:
        wakes_ns = self.scheduler.wakes_ns
        sleep_ns = None if wakes_ns is None else max(0, wakes_ns - now_ns)
        if self.channel.waiting:
            return BACKLOG_NS if sleep_ns is None else min(BACKLOG_NS, sleep_ns)
        return sleep_ns


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

        adopt_and_run(channel, boot)
        return
    if boot.device:
        from host.live.worker.device_loop import run_devices

        run_devices(channel, boot, open_link(boot, descriptors))
    elif boot.journal:
        from host.live.worker.journaled import live_journaled

        live_journaled(channel, boot, open_link(boot, descriptors))
    else:
        worker = Worker(channel, boot, open_link(boot, descriptors))
        worker.bear(boot.births)
        worker.run()


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
