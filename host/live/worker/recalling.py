"""The last triggers of a worker's engines, for the rehearsal of a reload.

A child of the worker runs them again, since no other process has the code that is in force, and the worker may not
stand still meanwhile. It has the memory of the fork: the ring of the volatile engines, and how far the log was written.
It also imports what only it needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from host.live import wire
from host.live.inspection.child import begin_orphan, isolate
from host.live.packets import sized
from host.live.worker.cycles import WorkerCycles

if TYPE_CHECKING:
    from host.node.past import Past

THREADS: Final = "a process with ZeroMQ links has threads, and cannot be forked"


class Recalling(NamedTuple):
    """The read end of the pipe with the triggers, and a child that exits soon; or why they cannot be handed out."""

    reading: int = -1
    child: int = 0
    reason: str = ""


def recall(worker: WorkerCycles, order: wire.Recall, *, is_alone: bool) -> Recalling:
    """Have a grandchild hand out the last triggers of engines. `is_alone`: the process has one thread."""
    if not is_alone:
        return Recalling(reason=THREADS)
    pasts = partial(_pasts, worker, order)
    if worker.log is not None:
        worker.log.write()
    try:
        child, reading = begin_orphan(partial(_hand_out, pasts, order.deadline_ns), os.getppid())
    except OSError as error:
        return Recalling(reason=f"fork: {error.strerror}")
    return Recalling(reading, child)


def tail_of(worker: WorkerCycles, order: wire.Recall) -> list[int]:
    """The file of a tail that begins now, where the child's past ends; none without volatile engines."""
    ring, cells = worker.scheduler.turns.ring, worker.scheduler.cells
    if ring is None or all(name not in cells or cells[name].recorder is not None for name in order.engines):
        return []
    try:
        return [worker.write_tail(ring, order)]
    except OSError:
        return []


def _pasts(worker: WorkerCycles, order: wire.Recall) -> Iterator[Past]:
    from host.live.journal.frames import read_frame
    from host.node.ring_past import ring_pasts

    if worker.log is not None:
        yield from worker.log.pasts(order)
    cells, ring = worker.scheduler.cells, worker.scheduler.turns.ring
    if ring is not None:
        of = {name: cells[name] for name in order.engines if name in cells and cells[name].recorder is None}
        yield from ring_pasts(ring, of, order.count, read_frame)


def _hand_out(pasts: Callable[[], Iterator[Past]], deadline_ns: int, writing: int) -> None:
    """Write a past as parts to a descriptor. For a child."""
    isolate(deadline_ns)
    from host.node.past import PastEnd, encode_past

    with suppress(BrokenPipeError), open(writing, "wb", closefd=False) as stream:
        for past in pasts():
            stream.write(sized(encode_past(past)))
        stream.write(sized(encode_past(PastEnd())))
