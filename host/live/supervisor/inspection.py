"""Inspects families for the supervisor: a child of the zygote imports them and reports.

`host.live.inspection` describes the child and its reports; it exits by itself, at the latest by its own alarm. The
child that inspects the families of the node file may stay for a while (`spawn.template`). A report is kept for the
node's life, because it is used only for whether a family is a device; a reload asks the candidate itself.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Literal

from host.config.spec import NodeSpec
from host.live.inspection.inspect import DEADLINE_NS, Collector, Inspection, frame, inquiry_of
from host.live.inspection.inspect_records import PIECE_BYTES_MAX, FamilyReport, Inquiry
from host.live.spawn.zygote import Fork
from host.live.supervisor.nursery import Nursery

Entry = Literal["inspect", "template"]

PIECE_BYTES: Final = 64 * 1024
"""One read; pieces of an answer are half of it."""


class Inspector:
    """Inspects, in the event loop."""

    def __init__(self, nursery: Nursery, roots: tuple[str, ...]) -> None:
        self._nursery = nursery
        self._roots = roots
        self._known: dict[str, FamilyReport] = {}

    async def look_at_node(self, spec: NodeSpec) -> Inspection:
        """The families of a node file, and what it gives to their engines."""
        look = await self._ask(inquiry_of(spec), "template")
        self._known |= look.families
        return look

    async def look_at(self, family: str) -> FamilyReport:
        """Inspect one family; immediate if it was inspected before."""
        if family not in self._known:
            inquiry = Inquiry((family,), self._roots, deadline_ns=DEADLINE_NS)
            self._known |= (await self._ask(inquiry, "inspect")).families
        return self._known[family]

    async def _ask(self, inquiry: Inquiry, entry: Entry) -> Inspection:
        collector = Collector(inquiry)
        while not collector.done:
            await self._ask_child(collector, entry)
        return collector.inspection

    async def _ask_child(self, collector: Collector, entry: Entry) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                self._nursery.bear(Fork(entry, "families", "enginehost: looks at families"), theirs.fileno())
            ours.setblocking(False)
            try:
                async with asyncio.timeout(0) as limit:
                    await self._exchange(ours, collector, limit)
            except TimeoutError:
                collector.end_late()
            if not collector.done:
                collector.end_early()
            if collector.stays:
                self._nursery.use_template(ours.dup(), collector.sources)

    async def _exchange(self, ours: socket.socket, collector: Collector, limit: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        limit.reschedule(loop.time() + DEADLINE_NS / 1e9)
        try:
            data = frame(collector.inquiry)
            for at in range(0, len(data), PIECE_BYTES_MAX):
                await loop.sock_sendall(ours, data[at : at + PIECE_BYTES_MAX])
            while not collector.done:
                data = await loop.sock_recv(ours, PIECE_BYTES)
                if not data:
                    break
                collector.feed(data)
                limit.reschedule(loop.time() + DEADLINE_NS / 1e9)
        except ConnectionError:
            pass
