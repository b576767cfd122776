"""Where the store is, and its process, if it is ours: what the bridge needs to be connected.

`AISM_REDIS_URL` names a server of somebody else; otherwise one is started. Operators find the bus by the file
`bus.POINTER` below the root folder, which only its owner may read.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from engines.agents.bridge.resp import StoreError
from engines.agents.bus import OPERATOR, POINTER

from .root_claim import claim_root
from .store_commands import StoreCommands, allow
from .store_link import LinkDown, Place, StoreLink, connect, place_of
from .store_server import (
    START_S,
    Account,
    StoreServer,
    StoreSettings,
    digest_of,
    find_server,
    socket_path,
    write_private,
)

URL: Final = "AISM_REDIS_URL"
ENGINE: Final = "engine"
TOKEN_BYTES: Final = 32
LOOK_S: Final = 0.005


class StorePlace:
    """The store of one bridge."""

    def __init__(self, node: str, config: Any, commands: StoreCommands, environment: Mapping[str, str]) -> None:
        self._node = node
        self._config = config
        self._commands = commands
        self._environment = environment
        self._root = Path(config.root).resolve()
        self._server: StoreServer | None = None
        self._claim = -1
        self._password = secrets.token_hex(TOKEN_BYTES)
        self._connecting = asyncio.Lock()
        self.bus = ""
        self.quarantined = ""
        """Where the files of a store are that its server has refused; "" once reported."""

    async def open(self) -> None:
        """Find the server or the URL. Raises RootTaken, NoServer, FolderTaken, ValueError, OSError."""
        self._claim = await asyncio.to_thread(claim_root, self._root, self._node)
        pointer = self._root / POINTER
        pointer.parent.mkdir(parents=True, exist_ok=True)
        token = _known_token(pointer) or f"0-{secrets.token_hex(TOKEN_BYTES)}"
        self._operator = self._commands.operator(digest_of(token))
        if url := self._environment.get(URL):
            self._place = place_of(url)
            parts = urlsplit(url)
            address = f"unix://{self._place.path}" if self._place.path else f"{parts.scheme}://{parts.hostname}"
            port = "" if self._place.path else f":{self._place.port}"
            self.bus = f"{address}{port}?ns={self._config.namespace}"
        else:
            await self._open_server()
        bus = {"bus": self.bus, "user": OPERATOR, "token": token}
        await asyncio.to_thread(write_private, pointer, json.dumps(bus))

    async def _open_server(self) -> None:
        folder = self._root / "engine" / "store"
        found = await asyncio.to_thread(find_server, self._environment)
        socket = socket_path(self._root, self._environment)
        one = self._config
        settings = StoreSettings(folder, socket, one.socket_perm, one.fsync, one.memory_bytes)
        self._server = await asyncio.to_thread(StoreServer, found, settings)
        self._place = Place(socket, "", 0, False, ENGINE, self._password)
        self.bus = f"unix://{socket}?ns={one.namespace}"

    def close(self) -> None:
        """End the server, if it is ours, and leave the root."""
        if self._server is not None:
            self._server.close()
        if self._claim >= 0:
            os.close(self._claim)

    async def connect(self) -> StoreLink:
        """A connection for the engine; the server is started if it does not run. Raises LinkDown, StoreError."""
        async with self._connecting:
            if self._server is not None and self._server.has_ended():
                return await self._started(self._server)
            link = await connect(self._place)
            if self._server is None:
                await link.ask(*allow(self._operator))
            return link

    async def restart(self) -> None:
        """The store does not answer: end its process, if it is ours."""
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    async def discard(self) -> None:
        """The store has something else than we put there: let it start empty, if it is ours."""
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)
            self.quarantined = str(await asyncio.to_thread(self._server.quarantine))

    async def _started(self, server: StoreServer) -> StoreLink:
        for _ in range(2):
            server.start((Account(ENGINE, digest_of(self._password), ("~*", "&*", "+@all")), self._operator))
            try:
                async with asyncio.timeout(START_S):
                    while not server.has_ended():
                        try:
                            return await connect(self._place)
                        except LinkDown:
                            await asyncio.sleep(LOOK_S)
                        except StoreError as error:
                            if error.code != "LOADING":
                                raise
                            await asyncio.sleep(LOOK_S)
            except TimeoutError:
                await asyncio.to_thread(server.stop)
                raise LinkDown(f"the store is not ready after {START_S:g} s") from None
            if not server.refuses_files():
                break
            self.quarantined = str(await asyncio.to_thread(server.quarantine))
        raise LinkDown(f"the store has not started: {server.why()}")


def _known_token(pointer: Path) -> str:
    """The token of operators from the last time; "" if there is none."""
    try:
        return str(json.loads(pointer.read_text())["token"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ""
