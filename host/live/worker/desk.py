"""Handles the packets of the supervisor to a worker.

Reading is separate from acting where the order matters: queries are answered at the end of a cycle, and a frozen worker
keeps reading without running anything.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections import deque
from collections.abc import Iterator
from typing import Final, assert_never

from host.live import wire
from host.live.packets import baton_end, close_all, memory_file_of_parts
from host.live.worker.cycles import WorkerCycles
from host.live.worker.greeting import next_packet
from host.live.worker.own_link import OwnLink
from host.live.worker.queries import keep_code
from host.node.set_aside import PARKED, unpark
from host.node.snapshot import take_snapshot
from transport.port import Broken, Closed

SETTLE_NS: Final = 200_000_000
"""How long an exiting process waits for ZeroMQ peers to acknowledge its messages. Peers that have exited never will."""

PACKETS_MAX: Final = 64
"""Packets read between two cycles."""


class Leave(Exception):
    """Raised to exit: the supervisor asked for it, or is gone."""


class _CalledOff(Exception):
    """The snapshot being written is no longer wanted."""


class WorkerDesk:
    """Mutable, one a worker."""

    def __init__(self, worker: WorkerCycles, own: OwnLink) -> None:
        self._worker = worker
        self._attach = own.attach
        self._is_alone = own.is_native
        self._children: list[int] = []
        """Children that exit soon, and whose exits nobody has taken yet."""

    def hear(self) -> bool:
        """Read and handle packets, at most `PACKETS_MAX`; whether there was any. Raises `Leave`."""
        channel = self._worker.channel
        if self._children:
            self._children = [pid for pid in self._children if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        try:
            channel.flush()
            for count in range(PACKETS_MAX):
                received = channel.receive()
                if received is None:
                    return count > 0
                self._do(*received)
        except (Closed, Broken) as error:
            raise Leave(str(error)) from error
        return True

    def _do(self, packet: wire.ToWorker, descriptors: list[int]) -> None:
        worker = self._worker
        match packet:
            case wire.Attach(slot, address):
                self._attach(slot, address, descriptors)
                worker.attached(slot)
                return
            case wire.Detach(slot):
                worker.forget(slot)
            case wire.Restarted(slot):
                worker.outbox.restarted(slot)
            case wire.Route(name, slot, reason):
                worker.outbox.route(name, slot, reason)
            case wire.Deliver(births):
                worker.bear(births)
            case wire.End(names):
                self._end(names)
            case wire.Query():
                worker.queries.append(packet)  # answered at the end of the next cycle
            case wire.Answer(number, engine, choice):
                error = worker.scheduler.answer(engine, choice)
                if worker.log is not None:
                    worker.log.write()  # the choice is safe before it is acknowledged
                worker.channel.send(wire.Reply(number, None, error))
            case wire.Unpark(engine, first):
                self._unpark(engine, first)
            case wire.Allow(engine):
                worker.outbox.relief.allow(worker.scheduler, engine)
            case wire.Lose(engine, target):
                worker.outbox.lose(engine, target)
            case wire.Recall():
                self._recall(packet)
            case wire.Freeze():
                worker.cycle()
                self._freeze(packet)
            case wire.Pass(keep):
                worker.cycle()
                self._pass(keep, descriptors.pop())
            case wire.Exit(drain_ns):
                self._exit(drain_ns)
            case wire.Boot() | wire.Rehearse() | wire.Follow() | wire.Prime() | wire.Adopt() | wire.Go() | wire.Thaw():
                pass  # not for a running worker: left over from a reload that was given up
            case wire.ChildEnded(parent, child):
                if worker.log is not None:
                    worker.log.keeping.child_ended(parent, child)
            case _:
                assert_never(packet)
        close_all(descriptors)

    def _end(self, names: tuple[str, ...]) -> None:
        scheduler = self._worker.scheduler
        for name in names:
            cell = scheduler.cells.get(name)
            if cell is not None:
                scheduler.end(cell)

    def _unpark(self, engine: str, first: str) -> None:
        cell = self._worker.scheduler.cells.get(engine)
        if cell is not None:
            if first and PARKED in cell.held:
                self._worker.put_first(cell, first)
            unpark(cell)
            self._worker.scheduler.wake(cell)

    def _recall(self, order: wire.Recall) -> None:
        if self._worker.tail is not None:
            self._worker.tail.close()
        if not order.engines:
            return
        from host.live.worker.recalling import recall, tail_of

        found = recall(self._worker, order, is_alone=self._is_alone)
        if found.reason:
            self._worker.channel.send(wire.Recalled(found.reason))
            return
        self._children.append(found.child)
        self._worker.channel.send(wire.Recalled(), [found.reading, *tail_of(self._worker, order)])
        close_all([found.reading])

    def stand_by(self) -> None:
        """Handle packets without running an engine, until `Thaw`; `Freeze` finds the engines at a boundary.

        Raises `Leave`.
        """
        self._worker.channel.flush()
        while True:
            packet, descriptors = next_packet(self._worker.channel)
            match packet:
                case wire.Freeze():
                    self._freeze(packet)
                    return
                case wire.Thaw():
                    return
                case _:
                    self._do(packet, descriptors)

    def _pass(self, keep: str, baton: int) -> None:
        """Pass the slot to a primed candidate, and stay away from it until `Thaw`. The end of a cycle is a boundary.

        Closes `baton`, so a candidate to which nothing was sent sees that.
        """
        worker = self._worker
        assert worker.log is not None, "only a slot with a journal is followed"
        worker.telling.everything(worker.clock())
        if keep:
            keep_code(worker.scheduler, keep)
        parts = worker.log.pass_on()
        worker.channel.make_room(0)  # the supervisor reads this before it knows the next process
        cells = worker.scheduler.cells.values()
        parked = tuple(cell.name for cell in cells if PARKED in cell.held)
        passed = wire.Passed(sum(cell.depth for cell in cells), worker.log.journal.position, parts, parked)
        with contextlib.suppress(Closed, ValueError):  # a candidate that has ended; parts that are too large
            baton_end(socket.socket(fileno=baton)).send(passed)
        try:
            later = self._stay_away()
        except (Leave, Closed, Broken):
            self._let_go()
            raise
        worker.log.take_back()
        for packet, descriptors in later:
            self._do(packet, descriptors)

    def _stay_away(self) -> list[tuple[wire.ToWorker, list[int]]]:
        """Wait for `Thaw`; the packets that came before it. Raises `Leave`, `Closed`, `Broken`."""
        later: list[tuple[wire.ToWorker, list[int]]] = []
        while True:
            received = next_packet(self._worker.channel)
            if isinstance(received[0], wire.Thaw):
                return later
            if isinstance(received[0], wire.Exit):
                raise Leave("passed on")
            later.append(received)

    def _freeze(self, order: wire.Freeze) -> None:
        """Hand over the engines, then stay frozen until `Thaw`. The end of a cycle is a boundary."""
        worker = self._worker
        worker.telling.everything(worker.clock())
        worker.channel.send(wire.AtBoundary())
        followed, tail_end = self._end_tail(order)
        log = worker.log
        if log is None:
            parts: Iterator[bytes] | None = take_snapshot(
                worker.scheduler, downgrades=order.downgrades, followed=followed
            )
        else:
            parts = log.hand_out(order.downgrades, followed, is_followed=order.from_log)
        if parts is None:
            return
        if order.keep:
            keep_code(worker.scheduler, order.keep)
        meanwhile: deque[tuple[wire.ToWorker, list[int]]] = deque()
        with contextlib.suppress(_CalledOff):
            descriptor = memory_file_of_parts(self._unless_called_off(parts, meanwhile))
            queued = sum(cell.depth for cell in worker.scheduler.cells.values())
            log_end = 0 if log is None else log.journal.position
            worker.channel.send(wire.Frozen(queued, log_end, tail_end), [descriptor])
            close_all([descriptor])
        try:
            self._stand_still(meanwhile)
        except Leave:
            self._let_go()
            raise

    def _end_tail(self, order: wire.Freeze) -> tuple[set[str], int]:
        """Write the rest of the tail; the engines of which it has all, and where it ends, 0 if it ended before."""
        tail, cells = self._worker.tail, self._worker.scheduler.cells
        if tail is None:
            return set(), 0
        tail.pump()
        if self._worker.tail is None:
            return set(), 0
        tail.close()
        return {name for name in order.followed if tail.tail.keeps(cells.get(name))}, tail.size

    def _let_go(self) -> None:
        """The engines are handed over: touch nothing of the slot any more, and say so."""
        worker = self._worker
        worker.link.close()
        if worker.log is not None:
            worker.log.hand_over()
        with contextlib.suppress(Closed):
            worker.channel.send(wire.Left())
            worker.channel.make_room(0)

    def _unless_called_off(
        self, parts: Iterator[bytes], meanwhile: deque[tuple[wire.ToWorker, list[int]]]
    ) -> Iterator[bytes]:
        """The parts, while received packets are put aside: they would change what is being written.

        Raises `_CalledOff` after the part at which `Thaw` or `Exit` came.
        """
        for part in parts:
            yield part
            while (received := self._worker.channel.receive()) is not None:
                meanwhile.append(received)
                if isinstance(received[0], wire.Thaw | wire.Exit):
                    raise _CalledOff

    def _stand_still(self, meanwhile: deque[tuple[wire.ToWorker, list[int]]]) -> None:
        """Handle packets, `meanwhile` first, without running an engine: an answer to a choice is refused.

        Raises `Leave`.
        """
        later: list[wire.Detach] = []
        poll = select.poll()
        poll.register(self._worker.channel.fileno(), select.POLLIN)
        while True:
            received = meanwhile.popleft() if meanwhile else self._worker.channel.receive()
            if received is None:
                poll.poll()
            elif isinstance(received[0], wire.Thaw):
                for packet in later:
                    self._do(packet, [])
                return
            elif isinstance(received[0], wire.Detach):
                later.append(received[0])
            elif isinstance(received[0], wire.Answer):
                self._worker.channel.send(wire.Reply(received[0].id, None, "its process is being reloaded: try again"))
            else:
                self._do(*received)

    def _exit(self, drain_ns: int) -> None:
        """Exit at once, or when nothing is left to handle, or when the time is up."""
        worker = self._worker
        until_ns = worker.clock() + drain_ns
        while drain_ns and worker.clock() < until_ns:
            is_busy = worker.cycle()
            if not is_busy and worker.drained():
                break
            if not is_busy:
                worker.link.wait(min(1_000_000, max(0, until_ns - worker.clock())))
        if drain_ns:
            worker.link.settle(min(SETTLE_NS, max(0, until_ns - worker.clock())))
        worker.telling.everything(worker.clock())
        worker.channel.flush()
        raise Leave("asked to")
