"""A device's host for tests: the driver and its twin get the same mail, and what they send is compared."""

from __future__ import annotations

import asyncio
from typing import Any

from deadline import DEADLINE_S
from example_world import World

from engines.model import Configuration, Delivery, Device, Message, Ref


class Desk:
    """A device's host: hands out mail, keeps what is sent; every second send finds the way full first."""

    def __init__(self, config: Any, mail: list[Delivery[Any]]) -> None:
        self.me = Configuration("test", "device", None, config)
        self.config = config
        self.mail = list(mail)
        self.sent: list[Any] = []
        self.done = asyncio.Event()
        self._answers_due = sum(getattr(each.message, "destination", None) is not None for each in mail)
        self._is_full = False
        self._is_exhausted = False

    def now_ns(self) -> int:
        return 1_000

    async def receive(self) -> Delivery[Any]:
        if not self.mail:
            self._is_exhausted = True
            self._look()
            await asyncio.Event().wait()
        return self.mail.pop(0)

    def send(self, target: Ref[Any], message: Any) -> bool:
        self._is_full = not self._is_full
        if not self._is_full:
            self.sent.append(message)
            self._look()
        return not self._is_full

    def _look(self) -> None:
        """Done: no mail is left, and each order with a destination is answered."""
        if self._is_exhausted and len(self.sent) >= self._answers_due:
            self.done.set()

    async def writable(self, target: Ref[Any]) -> None:
        await asyncio.sleep(0)

    async def send_when_writable(self, target: Ref[Any], message: Any) -> None:
        while not self.send(target, message):
            await self.writable(target)


def driven(device: Device[Any, Any, Any], config: Any, *mail: Message | Delivery[Any]) -> list[Any]:
    """What the driver sends for this mail; a bare message comes from `ann`."""

    async def run() -> list[Any]:
        desk = Desk(config, [delivered(item) for item in mail])
        task = asyncio.create_task(device.driver().run(desk))
        done = asyncio.create_task(desk.done.wait())
        await asyncio.wait([task, done], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        done.cancel()
        await asyncio.wait([task, done])
        if not task.cancelled() and (error := task.exception()):
            raise error
        return desk.sent

    return asyncio.run(run())


def twinned(device: Device[Any, Any, Any], config: Any, *mail: Message | Delivery[Any]) -> list[Any]:
    """What the twin sends for this mail."""
    assert device.twin is not None
    world = World(outside=["ann"])
    world.now_ns = 1_000
    world.add("device", device.twin, config)
    for item in map(delivered, mail):
        world.send("device", item.message, sender=item.sender)
    world.run()
    return world.outside["ann"]


def delivered(item: Message | Delivery[Any]) -> Delivery[Any]:
    """Mail with its sender."""
    return item if isinstance(item, Delivery) else Delivery("ann", 0, item)
