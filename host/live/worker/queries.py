"""Answers the supervisor's questions about engines."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Final

import msgspec

from engines.model.blame import blame
from host.live import wire
from host.live.packets import Channel, close_all, memory_file
from host.live.worker.parts import WorkerParts
from host.live.worker.views import KINDS, show
from host.node.circles import QUERY
from host.node.scheduler import Scheduler

PAYLOAD_BYTES_MAX: Final = wire.PACKET_BYTES_MAX // 2
"""A larger answer goes in a memory file."""


def answer(worker: WorkerParts, query: wire.Query) -> None:
    """Called at the end of a cycle, after the worker's letters were sent."""
    scheduler, channel = worker.scheduler, worker.channel
    if query.kind == QUERY:
        _reply(channel, query.id, msgspec.to_builtins(worker.outbox.relief.stuck(worker.outbox.waiting, os.getpid())))
        return
    if query.kind == wire.KEEP:
        keep_code(scheduler, query.engine)
        _reply(channel, query.id, None)
        return
    cells = [*scheduler.cells.values()] if not query.engine else [scheduler.cells.get(query.engine)]
    if cells == [None]:
        channel.send(wire.Reply(query.id, None, f"{query.engine} does not live here"))
        return
    if query.kind not in KINDS:
        channel.send(wire.Reply(query.id, None, f"nobody can be asked for {query.kind}"))
        return
    try:
        _reply(channel, query.id, show(query.kind, [cell for cell in cells if cell is not None], worker.clock()))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        what = f"{query.kind} of {query.engine or 'all'} cannot be shown: {blame(error)[0]}"
        channel.send(wire.Reply(query.id, None, what))


def keep_code(scheduler: Scheduler, folder: str) -> None:
    """Keep the code in force in a folder; the supervisor looks whether it is there."""
    from host.live.journal.versions import keep_version  # for a way back only

    families = {cell.family.ref: cell.family for cell in scheduler.cells.values()}
    with contextlib.suppress(OSError):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for family in families.values():
            keep_version(folder, family)


def _reply(channel: Channel[wire.ToWorker], number: int, payload: Any) -> None:
    """Raises what encoding a value of an engine raises; nothing was sent then."""
    encoded = msgspec.msgpack.encode(payload)
    if len(encoded) <= PAYLOAD_BYTES_MAX:
        channel.send(wire.Reply(number, payload))
        return
    descriptor = memory_file(encoded)
    channel.send(wire.Reply(number), [descriptor])
    close_all([descriptor])
