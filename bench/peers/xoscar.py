"""xoscar: one actor in a subprocess of a pool, called without waiting for results."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import xoscar

from bench.peers.actor import Counting, rate
from bench.record import RECORD, encoder
from bench.rounds import Round


class Sink(xoscar.StatelessActor):  # type: ignore[misc]
    """Counts records, and reports the count."""

    def __init__(self) -> None:
        super().__init__()
        self._counting = Counting()

    def take(self, payload: bytes) -> None:
        """One record."""
        self._counting.take(payload)

    def tell(self) -> tuple[int, int]:
        """The count since the last call."""
        return self._counting.tell()


class Xoscar:
    """A pool with a subprocess, in our own event loop."""

    _pool: Any
    _sink: Any

    def start(self) -> None:
        """Start the pool, and the actor in its subprocess."""
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self._pool = await xoscar.create_actor_pool("127.0.0.1", n_process=1)
        strategy = xoscar.allocate_strategy.ProcessIndex(1)
        address = self._pool.external_address
        self._sink = await xoscar.create_actor(Sink, address=address, allocate_strategy=strategy)

    def oneway(self, size: int) -> Round:
        """A `tell` per record."""
        return rate(self._loop.run_until_complete(self._oneway(size)), size)

    async def _oneway(self, size: int) -> tuple[int, int]:
        take, encode = self._sink.take, encoder.encode
        for _ in range(size):
            await take.tell(encode(RECORD))
        seen: tuple[int, int] = await self._sink.tell()
        return seen

    def pingpong(self, size: int) -> Round:
        """A call and its result."""
        return self._loop.run_until_complete(self._pingpong(size))

    async def _pingpong(self, size: int) -> Round:
        taken_ns = []
        for _ in range(size):
            sent_ns = time.monotonic_ns()
            await self._sink.take(encoder.encode(RECORD))
            taken_ns.append(time.monotonic_ns() - sent_ns)
        await self._sink.tell()
        return Round(sorted(taken_ns)[size // 2], size, taken_ns)

    def stop(self) -> None:
        """End the pool and its subprocess."""
        self._loop.run_until_complete(self._pool.stop())


PEER = Xoscar()
