"""A driver's view of its process: mail to receive, ways to send.

`send` runs for every message a device emits, so the usual case, a known target with room, is a dictionary look-up, the
codec, and the outlet. Everything else (names being looked up, stops, full lanes, neighbours) goes through the outbox,
which also knows what to wait for. The table of ready outlets is cleared whenever the outbox has news of a target.

Sends leave when the driver yields, or when a frame is full (smart batching).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from engines.model import Configuration, Delivery, Ref, blob_places, encode, parse_address
from host.node.cell import Cell
from host.node.scheduler import Scheduler
from transport.port import FRAME_MESSAGES_MAX, Closed, TooLarge

HELD_MAX: Final = 1_000
"""Messages kept for a name that is being looked up; beyond it `send` returns False."""


class DriverHost:
    """The `DeviceHost` of one device engine. Used from its driver's task."""

    def __init__(
        self,
        scheduler: Scheduler,
        cell: Cell,
        soon: Callable[[], None],
        publish: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`soon` runs a cycle once the running driver has yielded; `publish` publishes now what was sent; `on_ready` is
        called when the driver first asks for mail, since it has opened by then what it needs."""
        self._scheduler = scheduler
        self._outbox = scheduler.outbox
        self._soon = soon
        self._publish = publish
        self._on_ready: Callable[[], None] | None = on_ready
        self._cell = cell
        self._ready: dict[str, Callable[[bytes], bool]] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._unpublished = 0
        self._emits_blobs = any(map(blob_places, cell.family.emits_types))
        cell.notify = self._notified

    @property
    def me(self) -> Configuration[Any]:
        """As `DeviceHost.me`."""
        return self._cell.configuration

    @property
    def config(self) -> Any:
        """As `DeviceHost.config`."""
        return self._cell.configuration.params

    def now_ns(self) -> int:
        """As `DeviceHost.now_ns`."""
        return self._scheduler.clock()

    async def receive(self) -> Delivery[Any]:
        """As `DeviceHost.receive`."""
        if (on_ready := self._on_ready) is not None:
            self._on_ready = None
            on_ready()
        while True:
            delivery = self._scheduler.take_mail(self._cell)
            if self._cell.is_stopping:
                self._soon()
            if delivery is not None:
                return delivery
            await self._news()

    def send(self, target: Ref[Any], message: Any) -> bool:
        """As `DeviceHost.send`."""
        send = self._ready.get(target)  # type: ignore[call-overload]
        if send is None:
            return self._send_first(str(target), message)
        try:
            if not send(encode(message)):
                return self._send_first(str(target), message)
        except (TooLarge, Closed):
            return self._send_first(str(target), message)
        self._unpublished = unpublished = self._unpublished + 1
        if unpublished == 1:
            self._soon()
        elif unpublished >= FRAME_MESSAGES_MAX:
            self.settle()
            self._publish()
        return True

    async def writable(self, target: Ref[Any]) -> None:
        """As `DeviceHost.writable`."""
        name, _ = parse_address(str(target))
        while name in self._cell.held:
            await self._news()

    async def send_when_writable(self, target: Ref[Any], message: Any) -> None:
        """As `DeviceHost.send_when_writable`."""
        while not self.send(target, message):
            await self.writable(target)

    def settle(self) -> None:
        """Add the messages sent to the count; called before each cycle, and at a full frame."""
        self._cell.sent += self._unpublished
        self._unpublished = 0

    def forget_ways(self) -> None:
        """The outbox has news of a target: look every target up again before the next send to it."""
        self._ready.clear()

    def _send_first(self, target: str, message: Any) -> bool:
        """A send that is not the usual case, or the first to a target."""
        cell, outbox = self._cell, self._outbox
        name, mailbox = parse_address(target)
        queue = cell.held.get(name)
        if queue is not None:
            if not queue or len(queue) >= HELD_MAX:
                return False
            outbox.hold_more(cell, name, mailbox, message)
            return True
        cause = outbox.try_post(cell, name, mailbox, message)
        self._soon()
        if cause is None:
            way = cell.ways.get((name, mailbox))
            is_usual = name not in outbox.stops and not self._emits_blobs
            if is_usual and way is not None and way.outlet is not None:
                self._ready[target] = way.outlet.send
            return True
        is_kept = cause[0] == "route"
        outbox.hold(cell, name, [(mailbox, message)] if is_kept else [], cause)
        return is_kept

    async def _news(self) -> None:
        """Wait until mail came or a target may take messages again; may return spuriously."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _notified(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
