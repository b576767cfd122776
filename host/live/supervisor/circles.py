"""Finds circles of stopped engines, and relieves them. The rules are in `host.node.circles`.

Control pages show which slots may take part in one; only their workers are queried, and a node with no stuck engine
costs some reads of memory a second. A worker that does not answer in time is left out of this look: it is in a long
transition, and an engine in a transition is not stuck. A neighbour of it may be; that circle is found later.

Each relief is an event `circle`, with the engines in it and what was done: `allowance` or `loss`.
"""

from __future__ import annotations

import asyncio
from typing import Final, assert_never

import msgspec

from host.live.supervisor.node import Node
from host.live.supervisor.slots import Slot
from host.live.wire import Allow, Lose
from host.node.circles import LOOK_NS, QUERY, Allowance, Looks, Loss, Stuck
from host.node.progress import STUCK

ANSWER_NS_MAX: Final = 200_000_000
"""How long one look waits for workers: with a pause and another look, the search still ends within a second."""


class Untangling:
    """The search over a node; `run` is a task for its whole life."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._looks = Looks()

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_NS / 1e9)
            for relief in self._looks.reliefs(await self._stuck()):
                self._perform(relief)

    async def _stuck(self) -> list[Stuck]:
        node = self._node
        asked = [slot for slot in node.slots.values() if slot.state == "running" and slot.memory.moves()[STUCK]]
        processes = [slot.process for slot in asked if slot.process is not None]
        replies = await node.queries.ask_all(processes, QUERY, ANSWER_NS_MAX) if processes else []
        payloads = [item for reply in replies if reply is not None and reply.payload for item in reply.payload]
        return msgspec.convert(payloads, list[Stuck])

    def _perform(self, relief: Allowance | Loss) -> None:
        slot = self._slot_of(relief)
        if slot is None:
            return
        engines = list(relief.circle)
        match relief:
            case Allowance(_, engine):
                self._node.tell(slot.number, Allow(engine))
                self._node.event("circle", engine, relief="allowance", engines=engines)
            case Loss(_, engine, target):
                self._node.tell(slot.number, Lose(engine, target))
                self._node.event("circle", engine, relief="loss", engines=engines, target=target)
            case _:
                assert_never(relief)

    def _slot_of(self, relief: Allowance | Loss) -> Slot | None:
        """The slot of its engine, while the process that answered lives there."""
        slots = (slot for slot in self._node.slots.values() if slot.process is not None)
        return next((slot for slot in slots if slot.process and slot.process.pid == relief.process), None)
