"""Questions to workers and their answers, matched by number.

A worker that dies, or does not answer in time, gives None: the caller falls back to what the supervisor knows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable

import msgspec

from host.live.packets import read_memory_file
from host.live.supervisor.processes import Process
from host.live.wire import Answer, Query, Reply


class Queries:
    """Open questions. One thread."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[Process, asyncio.Future[Reply | None]]] = {}

    async def ask(self, process: Process, kind: str, engine: str, timeout_ns: int) -> Reply | None:
        """The worker's reply, with the payload read from its memory file if it came in one."""
        number = next(self._numbers)
        return await self._exchange(number, process, Query(number, kind, engine), timeout_ns)

    async def answer(self, process: Process, engine: str, choice: str, timeout_ns: int) -> Reply | None:
        """Hand a user's choice to a suspended engine."""
        number = next(self._numbers)
        return await self._exchange(number, process, Answer(number, engine, choice), timeout_ns)

    async def ask_all(self, processes: Iterable[Process], kind: str, timeout_ns: int) -> list[Reply | None]:
        """One question to many processes; they share the deadline."""
        return await asyncio.gather(*(self.ask(process, kind, "", timeout_ns) for process in processes))

    def take(self, reply: Reply, descriptors: list[int]) -> None:
        """Take a reply. One whose question has timed out is dropped."""
        _, future = self._open.get(reply.id, (None, None))
        if future is None or future.done():
            return
        if descriptors:
            payload = msgspec.msgpack.decode(read_memory_file(descriptors[0]))
            reply = msgspec.structs.replace(reply, payload=payload)
        future.set_result(reply)

    def forget(self, process: Process) -> None:
        """The process ended: its open questions get None."""
        for asked, future in self._open.values():
            if asked is process and not future.done():
                future.set_result(None)

    async def _exchange(self, number: int, process: Process, packet: Query | Answer, timeout_ns: int) -> Reply | None:
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._open[number] = (process, future)
        process.send(packet)
        try:
            return await asyncio.wait_for(future, timeout_ns / 1e9)
        except TimeoutError:
            return None
        finally:
            del self._open[number]
