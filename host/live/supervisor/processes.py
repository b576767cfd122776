"""Worker processes as the supervisor sees them: forked by the zygote, driven by packets, watched until they end.

A `Process` is one incarnation. It begins as a socket pair whose far end goes to the zygote; packets sent before the
worker reads wait in the kernel, so no caller waits for a birth. The worker introduces itself with `Hello`; from then on
its pidfd shows when it has ended, and the reaper reads how. `on_end` is called exactly once, whatever happens:

    no Hello, end of file    the zygote died first (`is_lost_birth`), or the fork failed: nothing ever ran, `Ending()`
    Hello, pidfd readable    the ordinary end, after every packet it sent was handled
    end of file, no pidfd    a worker that closed its socket and lives on is killed
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from host.live.packets import Full, channel_pair, close_all, duplicates, supervisor_end
from host.live.spawn.zygote import Fork
from host.live.supervisor.control_groups import ControlGroup, ControlGroups
from host.live.supervisor.line import Line
from host.live.supervisor.nursery import Nursery
from host.live.supervisor.orphans import end_group
from host.live.wire import Hello, ToSupervisor
from host.node.news import Packet
from host.node.supervision import Ending
from transport.port import Broken, Closed

ENDINGS_MAX: Final = 256
"""Endings kept that no `Process` has read: of orphans that a family left and the supervisor adopted."""

PACKETS_PER_TURN: Final = 64
"""Packets handled for one worker before the others get their turn."""


class Reaper:
    """Reaps children, and kills the programs they started. Grandchildren that lost their parent are reaped here too."""

    def __init__(self) -> None:
        self._endings: dict[int, Ending] = {}

    def collect(self) -> None:
        """Reap all ended children; the supervisor calls it at every end it sees, and periodically."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            end_group(ended.si_pid)
            os.waitpid(ended.si_pid, 0)
            exited = ended.si_code == os.CLD_EXITED
            self._endings[ended.si_pid] = Ending(code=ended.si_status) if exited else Ending(signal=ended.si_status)
            if len(self._endings) > ENDINGS_MAX:
                del self._endings[next(iter(self._endings))]

    def ending(self, pid: int) -> Ending:
        """How `pid` ended; neither code nor signal if that is not known."""
        self.collect()
        return self._endings.pop(pid, Ending())


class Process:
    """One incarnation of a worker. Callbacks run in the event loop; none is called after `on_end`."""

    def __init__(
        self,
        nursery: Nursery,
        reaper: Reaper,
        request: Fork,
        on_packet: Callable[[Process, ToSupervisor, list[int]], None],
        on_end: Callable[[Process, Ending], None],
        groups: ControlGroups,
        group: ControlGroup | None,
    ) -> None:
        self.pid = 0
        self._groups = groups
        self._group = group
        self._nursery = nursery
        self._reaper = reaper
        self._on_packet = on_packet
        self._on_end = on_end
        self._pidfd = -1
        self._ended = asyncio.Event()
        self._kept: list[tuple[Packet, list[int]]] | None = None
        self._loop = asyncio.get_running_loop()
        ours, theirs = channel_pair()
        self._line = Line(supervisor_end(ours))
        self._loop.add_reader(self._line.fd, self.hear)
        with theirs:
            self._asked = nursery.bear(request, theirs.fileno())

    @property
    def is_alive(self) -> bool:
        """False once it ended."""
        return not self._ended.is_set()

    @property
    def is_lost_birth(self) -> bool:
        """Whether this never became a process, because the zygote or template asked to fork it is gone."""
        return self.pid == 0 and self._nursery.has_lost(self._asked)

    def send(self, packet: Packet, *descriptors: int) -> None:
        """Send, in order, without blocking. A packet to a process that is gone is dropped: its end will be reported.

        A process that stops reading, until the queue is full or no descriptors are left, is killed. It could not catch
        up on what it missed, whereas its successor is sent everything; and the sender must not fail because of it.
        """
        try:
            if self._kept is not None:
                self._kept.append((packet, duplicates(descriptors)))
            else:
                self._line.send(packet, descriptors)
        except (Full, OSError) as error:
            sys.stderr.write(f"process {self.pid} is killed, it does not read: {error}\n")
            self.kill()
        except Closed:
            pass

    def keep_packets(self) -> None:
        """Keep what is sent from now on: the slot is passed on, and it is not known yet who reads it."""
        self._kept = []

    def send_kept(self, to: Process) -> None:
        """Send what was kept to the process that has the slot. Idempotent."""
        kept, self._kept = self._kept or [], None
        for packet, descriptors in kept:
            to.send(packet, *descriptors)
            close_all(descriptors)

    def kill(self) -> None:
        """SIGKILL. The end is reported like any other. A process without `Hello` yet loses its socket, and dies."""
        if self._pidfd < 0:
            self._nursery.distrust(self._asked)
            self._hang_up()
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def wait(self, timeout_ns: int) -> bool:
        """Wait for its end; whether it ended within the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), timeout_ns / 1e9)
        return not self.is_alive

    def hear(self) -> None:
        """Handle received packets, at most `PACKETS_PER_TURN`; at the end of file, hang up."""
        for _ in range(PACKETS_PER_TURN):
            if not self._read_one():
                return

    def hear_all(self) -> None:
        """Handle all that it has sent: the process after it goes on from there."""
        while self._read_one():
            pass

    def _hear_last(self) -> None:
        """As `hear_all`. A mistake at one packet is reported, and keeps neither the others nor the end."""
        while True:
            try:
                self.hear_all()
                return
            except Exception as error:
                self._loop.call_exception_handler({"message": "a last packet", "exception": error})

    def _read_one(self) -> bool:
        if self._line.fd < 0:
            return False
        try:
            received = self._line.receive()
        except (Closed, Broken):
            self._hang_up()
            return False
        if received is None:
            return False
        self._take(*received)
        return True

    def _take(self, packet: ToSupervisor, descriptors: list[int]) -> None:
        if isinstance(packet, Hello) and self._pidfd < 0 and len(descriptors) == 1:
            self.pid, self._pidfd = packet.pid, descriptors[0]
            self._groups.enter(self._group, self.pid)
            self._loop.add_reader(self._pidfd, self._finish)
            return
        try:
            self._on_packet(self, packet, descriptors)
        finally:
            close_all(descriptors)

    def _hang_up(self) -> None:
        """Close our end. A worker that lives on is killed; one that never sent `Hello` counts as ended."""
        if self._line.fd >= 0:
            self._loop.remove_reader(self._line.fd)
            self._line.close()
        if self._pidfd >= 0:
            self.kill()
        elif self.is_alive:
            self._ended.set()
            self._groups.end(self._group)
            self._loop.call_soon(self._on_end, self, Ending())

    def _finish(self) -> None:
        """The pidfd is readable: take the last packets, then report the end."""
        self._loop.remove_reader(self._pidfd)
        self._hear_last()
        os.close(self._pidfd)
        self._pidfd = -1
        if self._line.fd >= 0:
            self._loop.remove_reader(self._line.fd)
            self._line.close()
        self._ended.set()
        ending = self._reaper.ending(self.pid)
        self._groups.end(self._group)
        self._on_end(self, ending)
