"""The source of `bench oneway`: a device whose driver calls `send` once a record, as fast as its host takes them.

A device and not an engine, because an engine sends only from a transition: it would measure two engines instead of one.
"""

from __future__ import annotations

from engines.benchmark.oneway import Emit, Record
from engines.model import Device, DeviceHost


class Stream:
    """Waits for an order, carries it out, waits for the next."""

    async def run(self, host: DeviceHost) -> None:
        """Live until cancelled."""
        while True:
            order = (await host.receive()).message
            await self._emit(host, order)

    async def _emit(self, host: DeviceHost, order: Emit) -> None:
        send, target, record = host.send, order.target, order.record
        for _ in range(order.count):
            while not send(target, record):
                await host.writable(target)


SOURCE = Device("record-source", accepts=Emit, emits=Record, driver=Stream)
