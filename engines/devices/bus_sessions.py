"""The sessions that may use the bus: what the orchestrator wants, and what of it the store has still to be given.

The store keeps users in a file, so a restart of it costs no agent a call. What could not be given to it while it was
down is given on the next connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from engines.agents.bus import request_key, user_name
from engines.agents.messages import Admit, Revoke

from .store_commands import StoreCommands, allow
from .store_link import StoreLink


class BusSessions:
    """The sessions. `admitted` is called when the store knows one."""

    def __init__(self, commands: StoreCommands, admitted: Callable[[Admit], None]) -> None:
        self._commands = commands
        self._admitted = admitted
        self._wanted: dict[str, Admit] = {}
        self._unrevoked: set[tuple[str, int]] = set()
        self._ended: set[str] = set()

    def admit(self, order: Admit) -> bool:
        """Remember a session; False if there is a later one. An earlier one of the agent is over."""
        before = self._wanted.get(order.agent)
        if before is not None and before.session > order.session:
            return False
        if before is not None and before.session < order.session:
            self._unrevoked.add((before.agent, before.session))
        self._wanted[order.agent] = order
        self._ended.discard(order.agent)
        self._unrevoked.discard((order.agent, order.session))
        return True

    def revoke(self, order: Revoke) -> None:
        """Remember that a session is over."""
        wanted = self._wanted.get(order.agent)
        if wanted is not None and wanted.session == order.session:
            del self._wanted[order.agent]
            self._ended.add(order.agent)
        self._unrevoked.add((order.agent, order.session))

    def give(self, link: StoreLink, order: Admit) -> None:
        """Have the store know a session. Raises LinkDown."""
        link.tell("HSET", self._commands.sessions, order.agent, order.session)
        account = self._commands.account(order.agent, order.session, order.token_digest)
        made = link.ask(*allow(account))
        link.tell("ACL", "SAVE")
        made.add_done_callback(lambda done: self._look(done, order))

    def give_all(self, link: StoreLink) -> list[str]:
        """Have a new connection's store know every session; returns their agents. Raises LinkDown."""
        for order in self._wanted.values():
            self.give(link, order)
        return list(self._wanted)

    def take_away(self, link: StoreLink) -> None:
        """Have the store forget the sessions that are over, which ends their connections too. Raises LinkDown."""
        if self._unrevoked:
            link.tell("ACL", "DELUSER", *(user_name(*one) for one in self._unrevoked))
            link.tell("ACL", "SAVE")
            self._unrevoked.clear()

    async def agents_gone(self, link: StoreLink) -> list[str]:
        """Agents without a session whose streams are empty: the store forgets them. Raises LinkDown, StoreError."""
        gone = []
        for agent in list(self._ended):
            key = request_key(self._commands.namespace, agent)
            if await link.ask("XLEN", key) == 0 and agent in self._ended:
                self._ended.discard(agent)
                link.tell("DEL", key)
                link.tell("HDEL", self._commands.sessions, agent)
                gone.append(agent)
        return gone

    def _look(self, done: asyncio.Future[Any], order: Admit) -> None:
        if not done.cancelled() and done.exception() is None:
            self._admitted(order)
