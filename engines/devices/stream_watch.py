"""Looks after the streams of agents: one that was spoilt is made anew, an agent that floods its own is cut off.

An agent may choose the ids of its entries; after the greatest one its stream takes no more. It may put more than the
bridge reads; beyond `STREAM_ENTRIES_MAX` or `STREAM_BYTES_MAX` its user is off, its connections end, its stream is
empty, and the next session may put requests again. What one read got was in the stream together; the rest is asked for
when that is as many entries as a read takes. Nor may one agent take the places of all for connections.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from engines.agents.bus import OPERATOR, request_key, user_name

from .request_streams import ENTRIES_AT_ONCE, Arrival
from .store_link import StoreLink

STREAM_ENTRIES_MAX: Final = 256
STREAM_BYTES_MAX: Final = 1 << 20
CONNECTIONS_LEAST: Final = 1_000
"""Fewer connections in all are not looked at."""

CONNECTIONS_MAX: Final = 200
"""Of one user. Beyond it all of them end; a call connects again."""

FUTURE_MS: Final = 60_000
"""An entry whose id lies further in the future than that has spoilt its stream: later ids must be larger."""


class StreamWatch:
    """The watch over the streams of a namespace. `alarm` gets the agent, a word, and a sentence; `renewed` an agent
    whose stream is to be read from its beginning."""

    def __init__(self, namespace: str, alarm: Callable[[str, str, str], None], renewed: Callable[[str], None]) -> None:
        self._namespace = namespace
        self._alarm = alarm
        self._renewed = renewed

    async def look(self, link: StoreLink, arrivals: list[Arrival], sessions: Callable[[str], int], now_ns: int) -> None:
        """After a read. Raises LinkDown, StoreError."""
        last_ms = now_ns // 1_000_000 + FUTURE_MS
        for one in arrivals:
            if int(one.entry.partition("-")[0]) > last_ms:
                await self._renew(link, one.agent)
                self._alarm(one.agent, "stream_id", "an entry had an id of the future; the stream was made anew")
        sizes: dict[str, list[int]] = {}
        for one in arrivals:
            sizes.setdefault(one.agent, []).append(sum(map(len, one.fields.values())))
        for agent, found in sizes.items():
            is_busy, is_over = len(found) >= ENTRIES_AT_ONCE, sum(found) > STREAM_BYTES_MAX
            if agent != OPERATOR and (is_over or (is_busy and await self._is_flooded(link, agent))):
                await self._cut_off(link, agent, sessions(agent))

    async def look_at_connections(self, link: StoreLink) -> None:
        """Once in a while. Raises LinkDown, StoreError."""
        found = re.search(rb"connected_clients:(\d+)", await link.ask("INFO", "clients"))
        if found is None or int(found[1]) < CONNECTIONS_LEAST:
            return
        users = Counter(re.findall(rb" user=([\w-]+)\.\d+ ", await link.ask("CLIENT", "LIST")))
        for name, count in users.items():
            if count > CONNECTIONS_MAX:
                await self._crowded(link, name.decode(), count)

    async def _crowded(self, link: StoreLink, agent: str, count: int) -> None:
        for session in set(re.findall(rb" user=%b\.(\d+) " % agent.encode(), await link.ask("CLIENT", "LIST"))):
            link.tell("CLIENT", "KILL", "USER", user_name(agent, int(session)))
        self._alarm(agent, "connections", f"the agent had {count:,} connections to the store; they were ended")

    async def _is_flooded(self, link: StoreLink, agent: str) -> bool:
        key = request_key(self._namespace, agent)
        entries, size = link.ask("XLEN", key), link.ask("MEMORY", "USAGE", key)
        return bool(await entries > STREAM_ENTRIES_MAX or (await size or 0) > STREAM_BYTES_MAX)

    async def _cut_off(self, link: StoreLink, agent: str, session: int) -> None:
        user = user_name(agent, session)
        link.tell("ACL", "SETUSER", user, "off")
        link.tell("ACL", "SAVE")
        link.tell("CLIENT", "KILL", "USER", user)
        await self._renew(link, agent)
        self._alarm(agent, "flood", "the agent put more requests than its stream may hold, and was cut off")

    async def _renew(self, link: StoreLink, agent: str) -> None:
        await link.ask("DEL", request_key(self._namespace, agent))
        self._renewed(agent)
