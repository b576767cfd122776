"""Reads the streams of agents' requests over a connection of its own, up to `STREAMS_MAX` streams at once.

A stream that is new to this connection is read from its pending list first: those entries were read before, and their
answers were not pushed. Then all streams wait together for new entries. A stream `wake` of our own is among them: an
entry in it ends the wait when an agent is added. A group that is gone, after the store was wiped, is made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from engines.agents.bridge.resp import StoreError, Word, command
from engines.agents.bus import request_key

from .store_link import StoreLink

STREAMS_MAX: Final = 500
ENTRIES_AT_ONCE: Final = 8
"""Of each stream, so that no agent waits behind the backlog of another."""

BLOCK_MS: Final = 5_000
BUSY_PAUSE_S: Final = 0.01
"""After entries of several agents came at once, so that the next read finds more of them: a read looks at all streams,
and what is read together is answered together."""

GROUP: Final = "bridge"
BEGINNING: Final = "0-0"


class Arrival(NamedTuple):
    """An entry of an agent's stream; without fields if it was deleted before it was answered."""

    agent: str
    entry: str
    fields: dict[bytes, bytes]


class RequestStreams:
    """Up to `STREAMS_MAX` streams."""

    def __init__(self, namespace: str, number: int) -> None:
        self._namespace = namespace
        self._wake = f"aism:{namespace}:wake:{number}"
        self._pending: dict[str, str] = {}
        self._live: set[str] = set()
        self._agents: dict[bytes, str] = {}
        self._read_new = b""
        """The command that reads the live streams, whose keys `_agents` has; empty if it has to be made anew."""

    def __len__(self) -> int:
        return len(self._pending) + len(self._live)

    def __contains__(self, agent: str) -> bool:
        return agent in self._live or agent in self._pending

    def add(self, agent: str, link: StoreLink | None) -> None:
        """Read this agent's stream too, from its pending list. `link` is a connection other than the reading one."""
        self._live.discard(agent)
        self._read_new = b""
        self._pending[agent] = BEGINNING
        if link is not None:
            link.tell("XADD", self._wake, "MAXLEN", 1, "*", "agent", agent)

    def remove(self, agent: str) -> None:
        """Do not read this agent's stream any more."""
        self._live.discard(agent)
        self._read_new = b""
        self._pending.pop(agent, None)

    async def read(self, link: StoreLink, take: Callable[[list[Arrival]], Awaitable[None]]) -> None:
        """Give everything that arrives to `take`, until the connection ends. Raises LinkDown, StoreError."""
        self._start_over()
        while True:
            try:
                await self._make_groups(link)
                while True:
                    arrivals = await self._next(link)
                    await take(arrivals)
                    if len(arrivals) > 1:
                        await asyncio.sleep(BUSY_PAUSE_S)
            except StoreError as error:
                if error.code != "NOGROUP":
                    raise
                self._start_over()

    def _start_over(self) -> None:
        self._pending |= dict.fromkeys(self._live, BEGINNING)
        self._live.clear()
        self._read_new = b""

    async def _make_groups(self, link: StoreLink) -> None:
        await make_group(link, self._wake)
        for agent in list(self._pending):
            await make_group(link, request_key(self._namespace, agent))

    async def _next(self, link: StoreLink) -> list[Arrival]:
        if self._pending:
            return await self._next_pending(link)
        if not self._read_new:
            self._agents = {request_key(self._namespace, agent).encode(): agent for agent in self._live}
            keys: list[Word] = [self._wake, *self._agents]
            options = ("XREADGROUP", "GROUP", GROUP, GROUP, "COUNT", ENTRIES_AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS")
            self._read_new = command(*options, *keys, *(">" for _ in keys))
        found = await link.ask_encoded(self._read_new)
        arrivals: list[Arrival] = []
        for key, entries in found or ():
            if (agent := self._agents.get(key)) is not None:
                arrivals += _arrivals(agent, entries)
            else:
                link.tell("XACK", self._wake, GROUP, *(entry for entry, _ in entries))
        return arrivals

    async def _next_pending(self, link: StoreLink) -> list[Arrival]:
        """Of each new stream, the next entries that were read before."""
        positions = dict(self._pending)
        for agent in positions:
            if positions[agent] == BEGINNING:
                await make_group(link, request_key(self._namespace, agent))
        agents = {request_key(self._namespace, agent).encode(): agent for agent in positions}
        options = ("XREADGROUP", "GROUP", GROUP, GROUP, "COUNT", ENTRIES_AT_ONCE, "STREAMS")
        found = await link.ask(*options, *agents, *positions.values())
        arrivals: list[Arrival] = []
        for key, entries in found or ():
            agent = agents[key]
            arrivals += _arrivals(agent, entries)
            if self._pending.get(agent) != positions[agent]:
                continue
            if entries:
                self._pending[agent] = entries[-1][0].decode()
            else:
                del self._pending[agent]
                self._live.add(agent)
                self._read_new = b""
        return arrivals


async def make_group(link: StoreLink, key: str) -> None:
    """Make the stream and its group, unless they are there. Raises LinkDown, StoreError."""
    try:
        await link.ask("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM")
    except StoreError as error:
        if error.code != "BUSYGROUP":
            raise


def _arrivals(agent: str, entries: list[tuple[bytes, list[bytes] | None]]) -> list[Arrival]:
    found = []
    for entry, fields in entries:
        pairs = iter(fields or ())
        found.append(Arrival(agent, entry.decode(), dict(zip(pairs, pairs, strict=False))))
    return found
