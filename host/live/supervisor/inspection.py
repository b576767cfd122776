"""Inspects families for the supervisor: a child of the zygote imports them and reports.

`host.live.inspection` describes the child and its reports; it exits by itself, at the latest by its own alarm. The
child that inspects the families of the node file may stay for a while (`spawn.template`). A report is kept for the
node's life, because it is used only for whether a family is a device; a reload asks the candidate itself.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Literal

import msgspec

from host.config.finding import Finding
from host.config.spec import NodeSpec
from host.live.inspection.inspect import (
    ALARM_AFTER_NS,
    DEADLINE_NS,
    DIED,
    Collector,
    FamilyReport,
    Inquiry,
    frame,
    inquiry_of,
)
from host.live.inspection.inspect_records import PIECE_BYTES_MAX
from host.live.spawn.zygote import Fork
from host.live.supervisor.nursery import Nursery

Entry = Literal["inspect", "template"]

PIECE_BYTES: Final = 64 * 1024
"""One read; pieces of an answer are half of it."""


class FamilyLook(msgspec.Struct, frozen=True):
    """The result: reports by family reference, and findings about the arguments of engines."""

    families: dict[str, FamilyReport]
    findings: tuple[Finding, ...] = ()

    def is_device(self, family: str) -> bool:
        """Whether a family is a device; one that could not be imported is not."""
        return family in self.families and self.families[family].device


class Inspector:
    """Inspects, in the event loop."""

    def __init__(self, nursery: Nursery, roots: tuple[str, ...]) -> None:
        self._nursery = nursery
        self._roots = roots
        self._known: dict[str, FamilyReport] = {}

    async def look_at_node(self, spec: NodeSpec) -> FamilyLook:
        """Inspect the families of a node file, and what it gives to their engines."""
        look = await self._ask(inquiry_of(spec), "template")
        self._known |= look.families
        return look

    async def look_at(self, family: str) -> FamilyReport:
        """Inspect one family; immediate if it was inspected before."""
        if family not in self._known:
            inquiry = Inquiry((family,), self._roots, deadline_ns=DEADLINE_NS + ALARM_AFTER_NS)
            self._known |= (await self._ask(inquiry, "inspect")).families
        return self._known[family]

    async def _ask(self, inquiry: Inquiry, entry: Entry) -> FamilyLook:
        """Ask one child after another, until one survives all the families left."""
        blamed: dict[str, FamilyReport] = {}
        while True:
            collector = Collector(inquiry)
            left = None if await self._ask_child(inquiry, collector, entry) else collector.without_begun()
            if left is None:
                if not collector.done:
                    collector.give_up(DIED)
                return FamilyLook(blamed | collector.families, collector.findings)
            blamed |= collector.families
            inquiry = left

    async def _ask_child(self, inquiry: Inquiry, collector: Collector, entry: Entry) -> bool:
        """Whether a child reported everything, or ran out of time; False if it died before."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                self._nursery.bear(Fork(entry, "families", "enginehost: looks at families"), theirs.fileno())
            ours.setblocking(False)
            try:
                async with asyncio.timeout(DEADLINE_NS / 1e9):
                    await self._exchange(ours, inquiry, collector)
            except TimeoutError:
                collector.give_up(f"took longer than {DEADLINE_NS / 1e9:g} s to import")
            if collector.stays:
                self._nursery.use_template(ours.dup(), collector.sources)
        return collector.done

    async def _exchange(self, ours: socket.socket, inquiry: Inquiry, collector: Collector) -> None:
        loop = asyncio.get_running_loop()
        try:
            data = frame(inquiry)
            for at in range(0, len(data), PIECE_BYTES_MAX):
                await loop.sock_sendall(ours, data[at : at + PIECE_BYTES_MAX])
            while not collector.done:
                data = await loop.sock_recv(ours, PIECE_BYTES)
                if not data:
                    break
                collector.feed(data)
        except ConnectionError:
            pass
