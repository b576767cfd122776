"""A candidate that is ready to take the slot over: the cut has only what cannot be done before the old process stops.

| before the cut (`prime`)                  | in the cut (`take`)                                          |
|-------------------------------------------|--------------------------------------------------------------|
| the lanes are mapped, nothing is written  | own them: the marks are read, the generation is a new one    |
| the writer of the log is made             | `Life` is appended to the segment in which the log ends      |
| scheduler, desk, cycle in C are made      | the engines that the log made go into the scheduler          |
| turns are run as they are written         | the last turns are run and compared                          |

Order and crash points. The old process has stopped, has let go of the log, and sends where it ends (`Passed`). The last
turns are run first: if one differs, nothing of the slot was touched, and the old process goes on. Then the token is
taken; whoever dies from here on, the version in force is that of this process. Without the token, the supervisor has
withdrawn the slot, and kills this process. An end of file on the baton: the old process died before it passed the slot.
"""

from __future__ import annotations

import gc
import os
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engines.model import Declaration
from host.live import wire
from host.live.journal.following import CannotFollow
from host.live.packets import Channel, baton_end, close_all
from host.live.worker.handover import Inheritance
from host.live.worker.loop import Worker
from host.live.worker.own_link import open_link, take_slot
from host.live.worker.own_log import prime_log
from host.live.worker.parts import Outset
from host.node.snapshot import Families, read_snapshot
from transport.port import Closed

if TYPE_CHECKING:
    from host.live.journal.following import Follower

WAIT_S: Final = 0.0003
"""Between two looks at the log, of a candidate whose turn it is in a moment: some turns of a busy engine."""

Load = Callable[[str], Declaration[Any, Any, Any]]


class Takeover(NamedTuple):
    """What is taken over: the engines, and what the old process sent."""

    inherited: Inheritance
    passed: wire.Passed


class OldEnded(Exception):
    """The old process ended before it passed the slot on."""


class PrimedCandidate:
    """Mutable, one a candidate. `boot` as its first packet; `families` as for the follower.

    `is_wanted`: the supervisor has not asked to exit.
    """

    def __init__(
        self,
        channel: Channel[wire.ToWorker],
        boot: wire.Boot,
        load: Load,
        families: Families,
        follower: Follower,
        descriptors: list[int],
    ) -> None:
        """Takes over the descriptors of `Prime`. Raises what opening a slot and a log raises."""
        *own, baton, self._token = descriptors
        self._baton = baton_end(socket.socket(fileno=baton))
        self._channel = channel
        self._boot = boot
        self._families = families
        self._follower = follower
        self._load = load
        self._own = open_link(boot, own, owns=False)
        own_log = prime_log(boot, self._own, load, follower)
        self._worker = Worker(Outset(channel, boot, self._own, load, own_log))
        assert self._worker.log is not None
        self._worker.log.prime()
        self.is_wanted = self._hear()

    def wait(self) -> Takeover | None:
        """Stay behind the log until the slot is passed on and the token is ours. None: this process is not wanted.

        Raises `OldEnded`, `Closed`, and what running the last turns raises; then the slot is the old process's still.
        """
        while self.is_wanted:
            received = self._receive()
            self.is_wanted = self._hear()
            if received is not None and self.is_wanted:
                return self._verified(received[0])
            self._follower.catch_up()
            select.select((self._channel.fileno(), self._baton.fileno()), (), (), WAIT_S)
        return None

    def _receive(self) -> tuple[wire.Passed, list[int]] | None:
        try:
            return self._baton.receive()
        except Closed:
            raise OldEnded from None

    def _hear(self) -> bool:
        """Take what the supervisor sent before the slot was passed on; False: to exit. Raises `Closed`."""
        while (received := self._channel.receive()) is not None:
            packet, descriptors = received
            match packet:
                case wire.Attach(slot, address):
                    self._own.attach(slot, address, descriptors)
                case wire.Detach(slot):
                    self._own.link.detach(slot)
                case wire.Route(name, slot, reason):
                    self._worker.outbox.route(name, slot, reason)
                case wire.Exit():
                    return False
                case _:
                    close_all(descriptors)
        return True

    def _verified(self, passed: wire.Passed) -> Takeover | None:
        found = self._follower.content(passed.log_end)
        image, revived = read_snapshot(passed.parts, self._boot.node, self._load, self._families)
        if self._worker.clock() <= found.replay.clock_ns:
            raise CannotFollow("its clock is ahead of the node's")
        try:
            os.eventfd_read(self._token)
        except BlockingIOError:
            return None
        return Takeover(Inheritance(image, revived, found), passed)

    def run(self, takeover: Takeover) -> None:
        """Take the slot, whose token is ours, and run until the supervisor asks to exit, or is gone."""
        worker, found = self._worker, takeover.inherited.found
        assert worker.log is not None
        assert found is not None
        self._baton.close()
        os.close(self._token)
        take_slot(self._own)
        worker.log.begin(found)
        cells = worker.take_over(takeover.inherited, takeover.passed.parked)
        worker.telling.first = wire.Took(takeover.passed.queued)
        gc.enable()
        worker.run(cells)
