"""What a worker is made of: its link, the supervisor's socket, its engines, and what it tells of them."""

from __future__ import annotations

from collections.abc import Callable
from secrets import randbelow
from typing import TYPE_CHECKING, Any

from engines.model import Declaration
from host.live import wire
from host.live.clock import engine_clock
from host.live.packets import Channel
from host.live.worker.loading import loader
from host.live.worker.own_link import OwnLink
from host.live.worker.telling import Telling
from host.node.births import Births
from host.node.outbox import Outbox
from host.node.report import Report
from host.node.scheduler import Scheduler

if TYPE_CHECKING:
    from host.live.worker.own_log import OwnLog


class WorkerParts:
    """Mutable, one a worker."""

    def __init__(
        self,
        channel: Channel[wire.ToWorker],
        boot: wire.Boot,
        own: OwnLink,
        load: Callable[[str], Declaration[Any, Any, Any]] | None = None,
        own_log: OwnLog | None = None,
    ) -> None:
        """`load` finds families that a candidate imported before it became a worker."""
        self.offset_ns = boot.now_ns if own_log is None else own_log.offset_ns
        keeping = None if own_log is None else own_log.keeping
        self.clock = engine_clock(self.offset_ns)
        self.link = own.link
        self.channel = channel
        load = load or loader(boot.roots, check=False)
        self.births = Births(boot.node, load, are_here=boot.spawned == "parent")
        report = Report()
        self.outbox = Outbox(boot.slot, boot.epoch, own.link)
        self.scheduler = Scheduler(self.clock, randbelow, own.page, report, self.outbox, keeping)
        self.telling = Telling(channel, report, boot.described)
        self.is_new = not boot.candidate
        if keeping is not None:
            self.births.durability_of = keeping.durability_of
        self.scheduler.arrivals.expect(boot.fallen)
