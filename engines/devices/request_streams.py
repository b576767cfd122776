"""Reads the streams of agents' requests over a connection of its own, up to `STREAMS_MAX` streams at once.

An entry stays in its stream until its answer is pushed, so what a stream has is what is not answered. Each connection
reads every stream from its beginning: what was read before and not answered comes again. A stream `wake` of our own is
among them: an entry in it ends the wait when an agent is added.

Positions are in this process only. A consumer group of the store would keep them too, and which entries were read: that
says nothing that the streams do not say, and the server would write half as much again for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from engines.agents.bridge.resp import command
from engines.agents.bus import request_key

from .store_link import StoreLink

STREAMS_MAX: Final = 500
ENTRIES_AT_ONCE: Final = 8
"""Of each stream, so that no agent waits behind the backlog of another."""

BLOCK_MS: Final = 5_000
PAUSE_S: Final = 0.01
PAUSE_EACH_S: Final = 0.001
PAUSE_S_MAX: Final = 0.025
"""No longer, as an agent waits for each answer before it asks again."""

BEGINNING: Final = b"$3\r\n0-0\r\n"


def pause_s(count: int) -> float:
    """How long to wait after a read that found so many entries, several at least, so that the next one finds more.

    A read looks at all streams, and what is read together is answered together: whatever is in a batch, bridge, store
    and families take 1.4 ms of processor time for it. One caller alone never waits.
    """
    return min(max(PAUSE_S, count * PAUSE_EACH_S), PAUSE_S_MAX)


class Arrival(NamedTuple):
    """An entry of an agent's stream."""

    agent: str
    entry: str
    fields: dict[bytes, bytes]


class RequestStreams:
    """Up to `STREAMS_MAX` streams."""

    def __init__(self, namespace: str, number: int) -> None:
        self._namespace = namespace
        self._wake = f"aism:{namespace}:wake:{number}"
        self._agents: dict[bytes, str] = {}
        self._read_to: dict[bytes, bytes] = {self._wake.encode(): BEGINNING}
        """Of each stream, by its key, the last entry that was read, as a word of a command."""
        self._head = b""
        """The command that reads them, up to the keys; empty if it has to be made anew."""

    def __len__(self) -> int:
        return len(self._agents)

    def __contains__(self, agent: str) -> bool:
        return self._key(agent) in self._agents

    def _key(self, agent: str) -> bytes:
        return request_key(self._namespace, agent).encode()

    def add(self, agent: str, link: StoreLink | None) -> None:
        """Read this agent's stream too, from its beginning. `link` is a connection other than the reading one."""
        self._agents[self._key(agent)] = agent
        self._read_to[self._key(agent)] = BEGINNING
        self._head = b""
        if link is not None:
            link.tell("XADD", self._wake, "MAXLEN", 1, "*", "agent", agent)

    def remove(self, agent: str) -> None:
        """Do not read this agent's stream any more."""
        self._agents.pop(self._key(agent), None)
        self._read_to.pop(self._key(agent), None)
        self._head = b""

    async def read(self, link: StoreLink, take: Callable[[list[Arrival]], Awaitable[None]]) -> None:
        """Give everything that arrives to `take`, until the connection ends. Raises LinkDown, StoreError."""
        self._read_to = dict.fromkeys(self._read_to, BEGINNING)
        while True:
            arrivals = await self._next(link)
            await take(arrivals)
            if len(arrivals) > 1:
                await asyncio.sleep(pause_s(len(arrivals)))

    async def _next(self, link: StoreLink) -> list[Arrival]:
        if not self._head:
            options = ("XREAD", "COUNT", ENTRIES_AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS")
            words = command(*options, *self._read_to).partition(b"\r\n")[2]
            self._head = b"*%d\r\n%b" % (len(options) + 2 * len(self._read_to), words)
        found = await link.ask_encoded(self._head + b"".join(self._read_to.values()))
        arrivals: list[Arrival] = []
        for key, entries in found or ():
            if key in self._read_to:
                last = entries[-1][0]
                self._read_to[key] = b"$%d\r\n%b\r\n" % (len(last), last)
            if (agent := self._agents.get(key)) is not None:
                arrivals += [Arrival(agent, entry.decode(), _pairs(words)) for entry, words in entries]
        return arrivals


def _pairs(words: list[bytes]) -> dict[bytes, bytes]:
    every = iter(words)
    return dict(zip(every, every, strict=False))
