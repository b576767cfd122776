"""A source of chunks: what `bench storage` measures, counted in bytes of content."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from engines.benchmark.oneway import Seen
from engines.model import Blob, Device, DeviceHost, Message, Ref
from engines.storage.chunk import CONTENT_BYTES_MAX, encrypted
from engines.storage.requests import ChunkExists, ChunkFailed, ChunkPut, ChunkStored

WINDOW: Final = 16
"""Chunks under way."""

THREADS: Final = 2


class Deposit(Message):
    """Put `size` bytes of new content into `store`, in chunks, and report to `listener` once all are stored.

    `ahead`: encrypt them before the time is taken.
    """

    size: int
    ahead: bool
    store: Ref[ChunkPut]
    listener: Ref[Seen]


class Depositing:
    """The driver."""

    async def run(self, host: DeviceHost) -> None:
        """Live until cancelled. Raises AssertionError for a chunk that was not stored as a new one."""
        with ThreadPoolExecutor(THREADS) as threads:
            while True:
                order = (await host.receive()).message
                await self._deposit(host, order, threads)

    async def _deposit(self, host: DeviceHost, order: Deposit, threads: ThreadPoolExecutor) -> None:
        loop, me = asyncio.get_running_loop(), Ref[ChunkStored | ChunkExists | ChunkFailed](host.me.name)
        contents = list(new_contents(order.size))
        ready = [encrypted(content)[0] for content in contents] if order.ahead else []
        began_ns = time.monotonic_ns()
        made = [loop.run_in_executor(threads, encrypted, content) for content in contents[:WINDOW] if not ready]
        for number in range(len(contents)):
            if number >= WINDOW:
                await self._take(host)
            chunk = ready[number] if ready else (await made[number])[0]
            if not ready and number + WINDOW < len(contents):
                made.append(loop.run_in_executor(threads, encrypted, contents[number + WINDOW]))
            await host.send_when_writable(order.store, ChunkPut(Blob(chunk), me, number))
        for _ in range(min(WINDOW, len(contents))):
            await self._take(host)
        await host.send_when_writable(order.listener, Seen(order.size, time.monotonic_ns() - began_ns))

    async def _take(self, host: DeviceHost) -> None:
        answer = (await host.receive()).message
        assert isinstance(answer, ChunkStored), answer


def new_contents(size: int) -> Iterator[bytes]:
    """So many bytes in pieces, each different from all that ever were."""
    middle = os.urandom(CONTENT_BYTES_MAX - 16)
    for begin in range(0, size, CONTENT_BYTES_MAX):
        yield (os.urandom(16) + middle)[: min(CONTENT_BYTES_MAX, size - begin)]


DEPOSITOR = Device(
    "depositor",
    accepts=Deposit | ChunkStored | ChunkExists | ChunkFailed,
    emits=ChunkPut | Seen,
    driver=Depositing,
)
