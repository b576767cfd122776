"""The file of a tail (`host.node.trigger_tail`), to which the old process appends what the candidate reads behind it.

A memory file never makes its writer wait, whatever the reader does; it is bounded instead. The writer looks at the ring
between cycles, at the latest every `PUMP_NS`, also if it would sleep. Its module is imported while engines run, so it
imports little.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from host.live import wire
from host.live.journal.alarm import LookAlarm
from host.live.packets import sized
from host.node.trigger_ring import TriggerRing
from host.node.trigger_tail import Overrun, Tailed, TriggerTail, encode_tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from host.live.worker.parts import WorkerParts

PUMP_NS: Final = 2_000_000

FILE_BYTES_MAX: Final = 32 << 20
"""Some 200,000 small messages."""


class TailWriter:
    """The old process's end. Mutable, one a reload."""

    def __init__(self, worker: WorkerParts, ring: TriggerRing, order: wire.Recall, ended: Callable[[], None]) -> None:
        """`ended` is called once it is closed. Raises OSError."""
        cells = worker.scheduler.cells
        wanted = [cells[name] for name in order.engines if name in cells and cells[name].recorder is None]
        self.tail = TriggerTail(ring, wanted)
        self._alarm = LookAlarm()
        try:
            self.file = os.memfd_create("enginehost-tail", os.MFD_CLOEXEC)
        except OSError:
            self._alarm.close()
            raise
        self.size = 0
        self._worker, self._ended = worker, ended
        self._until_ns = worker.clock() + order.deadline_ns
        worker.link.watch(self._alarm.fd)
        self._write(self.tail.begin())
        self._alarm.set(PUMP_NS)

    def pump(self) -> None:
        """Append what the ring got since; closes the tail once it is longer, or older, than it may be."""
        try:
            if found := self.tail.take():
                self._write(found)
        except (Overrun, OSError):
            self.close()
            return
        if self.size > FILE_BYTES_MAX or self._worker.clock() > self._until_ns:
            self.close()
        else:
            self._alarm.set(PUMP_NS)

    def close(self) -> None:
        """Without what the ring got since. Once."""
        self._worker.link.unwatch(self._alarm.fd)
        self._alarm.close()
        os.close(self.file)
        self._ended()

    def _write(self, found: list[Tailed]) -> None:
        left = memoryview(sized(encode_tail(found)))
        self.size += len(left)
        while left:
            left = left[os.write(self.file, left) :]
