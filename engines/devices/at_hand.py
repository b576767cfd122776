"""Mail of a device, as much at once as has arrived, so that one transaction or one sync serves many orders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from engines.model import Delivery, DeviceHost


async def mail_at_hand(
    host: DeviceHost, count_max: int, size_of: Callable[[Any], int] = lambda _: 0, size_max: int = 0
) -> AsyncGenerator[list[Delivery[Any]], None]:
    """Yields lists of 1 to `count_max` messages in order of arrival, without waiting for more than the first.

    With `size_max`, a list ends at the message with which the sum of `size_of` reaches it. While a list is worked on,
    at most one message more is taken from the mailbox, so senders are stopped as usual. What was taken when the driver
    is cancelled is lost, as with any driver.
    """
    waiting = asyncio.ensure_future(host.receive())
    try:
        while True:
            mail = [await waiting]
            size = size_of(mail[0].message)
            waiting = asyncio.ensure_future(host.receive())
            while len(mail) < count_max and (not size_max or size < size_max):
                await asyncio.sleep(0)
                if not waiting.done():
                    break
                mail.append(waiting.result())
                size += size_of(mail[-1].message)
                waiting = asyncio.ensure_future(host.receive())
            yield mail
    finally:
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
