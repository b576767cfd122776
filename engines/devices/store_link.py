"""One connection to the store: commands leave in order, their replies come in the same order.

`ask` gives the reply to one command, `tell` sends one whose reply matters to nobody; a refused one is counted. Scripts
go by their digest, and whole where the store does not know them any more. When the connection ends, everything that
waits ends with `LinkDown`, and so does each later call.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Final, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from engines.agents.bridge.resp import ProtocolError, Replies, Reply, StoreError, Word, command

CONNECT_S: Final = 5.0
BACKLOG_MAX: Final = 2_000
"""Commands without a reply, above which `room` waits."""


class LinkDown(Exception):
    """There is no connection."""


class Script(NamedTuple):
    """A script in Lua, and its digest."""

    text: str
    digest: str


def script(text: str) -> Script:
    """A script."""
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Place(NamedTuple):
    """Where a store is, from a URL: unix:///PATH, redis://HOST:PORT or rediss://HOST:PORT, with user and password."""

    path: str
    host: str
    port: int
    is_tls: bool
    user: str
    password: str


def place_of(url: str) -> Place:
    """The place that a URL names. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("unix", "redis", "rediss"):
        raise ValueError(f"a URL of a store begins with unix:, redis: or rediss:, not {parts.scheme!r}")
    is_unix = parts.scheme == "unix"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Place(
        unquote(parts.path) if is_unix else "",
        parts.hostname or "127.0.0.1",
        parts.port or 6379,
        parts.scheme == "rediss",
        user,
        password,
    )


class StoreLink(asyncio.Protocol):
    """A connection. Made by `connect`."""

    def __init__(self) -> None:
        self.refused = 0
        self.is_unsound = False
        """Whether a key of ours was something else than we made it: the files were damaged, and read all the same."""
        self._replies = Replies()
        self._waiting: deque[Callable[[Reply], None] | None] = deque()
        self._transport: asyncio.Transport | None = None
        self._room: list[asyncio.Future[None]] = []
        self._unsent: list[bytes] = []
        self.down: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(self, *words: Word) -> None:
        """Send a command. Raises LinkDown."""
        self._send(command(*words), None)

    def ask(self, *words: Word) -> asyncio.Future[Reply]:
        """Send a command. Its reply comes with the future, or StoreError, or LinkDown. Raises LinkDown."""
        return self.ask_encoded(command(*words))

    def ask_encoded(self, data: bytes) -> asyncio.Future[Reply]:
        """As `ask`, for a command as it is sent. Raises LinkDown."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def settle(reply: Reply) -> None:
            if future.done():
                return
            if isinstance(reply, Exception):
                future.set_exception(reply)
            else:
                future.set_result(reply)

        self._send(data, settle)
        return future

    def run(self, one: Script, keys: Sequence[str], arguments: Sequence[Word]) -> None:
        """Run a script. Raises LinkDown."""

        def look(reply: Reply) -> None:
            if isinstance(reply, StoreError) and reply.code == "NOSCRIPT":
                self._send(command("EVAL", one.text, len(keys), *keys, *arguments), None)
            elif isinstance(reply, StoreError):
                self._count(reply)

        self._send(command("EVALSHA", one.digest, len(keys), *keys, *arguments), look)

    async def room(self) -> None:
        """Wait until few commands are without a reply, or the connection has ended."""
        while len(self._waiting) > BACKLOG_MAX and not self.down.done():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(future)
            await future

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol`."""
        try:
            replies = self._replies.feed(data)
        except ProtocolError:
            self.close()
            return
        for reply in replies:
            settle = self._waiting.popleft()
            if settle is not None:
                settle(reply)
            elif isinstance(reply, StoreError):
                self._count(reply)
        if self._room and len(self._waiting) <= BACKLOG_MAX:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """As `asyncio.Protocol`."""
        if not self.down.done():
            self.down.set_result(None)
        while self._waiting:
            settle = self._waiting.popleft()
            if settle is not None:
                settle(LinkDown("the connection has ended"))
        self._make_room()

    def _count(self, error: StoreError) -> None:
        self.refused += 1
        if "WRONGTYPE" in str(error):
            self.is_unsound = True
            self.close()

    def _send(self, data: bytes, settle: Callable[[Reply], None] | None) -> None:
        if self._transport is None or self.down.done():
            raise LinkDown("there is no connection")
        self._waiting.append(settle)
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        """All commands of one turn of the loop leave together: a call of the kernel costs more than a command."""
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and not self.down.done():
            self._transport.write(b"".join(unsent))

    def _make_room(self) -> None:
        room, self._room = self._room, []
        for future in room:
            if not future.done():
                future.set_result(None)


async def connect(place: Place) -> StoreLink:
    """A connection whose user has logged in. Raises LinkDown, StoreError."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            if place.path:
                _, link = await loop.create_unix_connection(StoreLink, place.path)
            else:
                tls = ssl.create_default_context() if place.is_tls else None
                _, link = await loop.create_connection(StoreLink, place.host, place.port, ssl=tls)
            try:
                if place.password:
                    await link.ask("AUTH", *([place.user] if place.user else []), place.password)
                else:
                    await link.ask("PING")
            except BaseException:
                link.close()
                raise
            return link
    except (OSError, TimeoutError) as error:
        raise LinkDown(str(error) or type(error).__name__) from None
