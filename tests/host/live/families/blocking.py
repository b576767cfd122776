"""A device whose driver blocks its event loop, for tests of the watch."""

from __future__ import annotations

import time

from engines.model import Device, DeviceHost, Message


class Block(Message):
    """Sleep without giving way."""


class Driver:
    async def run(self, host: DeviceHost) -> None:
        while True:
            await host.receive()
            time.sleep(3_600)  # the mistake that is to be seen


BLOCKER = Device("blocker", accepts=Block, driver=Driver)
