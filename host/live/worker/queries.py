"""The supervisor's questions about engines: kept until the end of a cycle, answered there after its letters."""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

from engines.model.blame import blame
from host.live import wire
from host.live.packets import close_all, memory_file
from host.live.worker.parts import WorkerParts
from host.live.worker.views import KINDS, show
from host.node.circles import QUERY

PAYLOAD_BYTES_MAX: Final = wire.PACKET_BYTES_MAX // 2
"""A larger answer goes in a memory file."""


class OpenQueries:
    """Mutable, one a worker. True while somebody waits for an answer."""

    def __init__(self, worker: WorkerParts) -> None:
        self._worker = worker
        self._open: list[wire.Query] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def ask(self, query: wire.Query) -> None:
        """Have it answered at the end of the next cycle."""
        self._open.append(query)

    def answer(self) -> None:
        """Answer what was asked."""
        queries, self._open = self._open, []
        for query in queries:
            self._answer_query(query)

    def _answer_query(self, query: wire.Query) -> None:
        scheduler = self._worker.scheduler
        if query.kind == QUERY:
            outbox = self._worker.outbox
            self._reply(query.id, msgspec.to_builtins(outbox.relief.stuck(outbox.waiting, os.getpid())))
            return
        cells = [*scheduler.cells.values()] if not query.engine else [scheduler.cells.get(query.engine)]
        if cells == [None]:
            self._refuse(query.id, f"{query.engine} does not live here")
            return
        if query.kind not in KINDS:
            self._refuse(query.id, f"nobody can be asked for {query.kind}")
            return
        try:
            self._reply(query.id, show(query.kind, [cell for cell in cells if cell is not None], self._worker.clock()))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            self._refuse(query.id, f"{query.kind} of {query.engine or 'all'} cannot be shown: {blame(error)[0]}")

    def _refuse(self, number: int, error: str) -> None:
        self._worker.channel.send(wire.Reply(number, None, error))

    def _reply(self, number: int, payload: Any) -> None:
        """Raises what encoding a value of an engine raises; nothing was sent then."""
        encoded = msgspec.msgpack.encode(payload)
        if len(encoded) <= PAYLOAD_BYTES_MAX:
            self._worker.channel.send(wire.Reply(number, payload))
            return
        descriptor = memory_file(encoded)
        self._worker.channel.send(wire.Reply(number), [descriptor])
        close_all([descriptor])
