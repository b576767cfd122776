"""What a worker is made of: its link, the supervisor's socket, its engines, and what it tells of them."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from secrets import randbelow
from typing import TYPE_CHECKING, Any, NamedTuple

from engines.model import Declaration
from host.live import wire
from host.live.clock import engine_clock
from host.live.packets import Channel
from host.live.worker.own_link import OwnLink
from host.live.worker.telling import Telling
from host.node.births import Births
from host.node.outbox import Outbox
from host.node.report import Report
from host.node.scheduler import Scheduler
from host.node.trigger_ring import BYTES_MAX, HEAD_BYTES, TriggerRing

if TYPE_CHECKING:
    from host.live.worker.own_log import OwnLog


class Outset(NamedTuple):
    """What a worker begins with. `load` finds families; a candidate has imported some before it became a worker."""

    channel: Channel[wire.ToWorker]
    boot: wire.Boot
    own: OwnLink
    load: Callable[[str], Declaration[Any, Any, Any]]
    own_log: OwnLog | None = None


class WorkerParts:
    """Mutable, one a worker."""

    def __init__(self, outset: Outset) -> None:
        channel, boot, own, load, own_log = outset
        self.offset_ns = boot.now_ns if own_log is None else own_log.offset_ns
        keeping = None if own_log is None else own_log.keeping
        self.clock = engine_clock(self.offset_ns)
        self.link = own.link
        self.channel = channel
        self.births = Births(boot.node, load, are_here=boot.spawned == "parent")
        report = Report()
        self.outbox = Outbox(boot.slot, boot.epoch, own.link)
        self.scheduler = Scheduler(self.clock, randbelow, own.page, report, self.outbox, keeping)
        if boot.volatile_triggers:
            self.scheduler.turns.ring = TriggerRing(boot.volatile_triggers, _memory(HEAD_BYTES + 2 * BYTES_MAX))
        self.telling = Telling(channel, report, boot.described)
        self.is_new = not boot.candidate
        if keeping is not None:
            self.births.durability_of = keeping.durability_of
        self.scheduler.arrivals.expect(boot.fallen)


def _memory(size: int) -> memoryview:
    """Memory that takes room only where it was written. A child has what is in it at the fork."""
    return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
