"""Messages that leave as soon as they can, without their sender waiting: a queue for each target that is full."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from engines.model import DeviceHost, Ref

QUEUE_MAX: Final = 100_000
"""Of one target. Beyond it the newest are dropped and counted: what they said comes again."""


class Outgoing:
    """The queues of one driver. Messages to one target keep their order."""

    def __init__(self, host: DeviceHost, tasks: asyncio.TaskGroup) -> None:
        self._host = host
        self._tasks = tasks
        self._queues: dict[str, deque[Any]] = {}
        self.dropped = 0

    def send(self, target: Ref[Any], message: Any) -> None:
        """Send now, or after what waits for this target."""
        queue = self._queues.get(str(target))
        if queue is not None:
            if len(queue) < QUEUE_MAX:
                queue.append(message)
            else:
                self.dropped += 1
        elif not self._host.send(target, message):
            self._queues[str(target)] = deque([message])
            self._tasks.create_task(self._drain(target))

    async def _drain(self, target: Ref[Any]) -> None:
        queue = self._queues[str(target)]
        while queue:
            await self._host.send_when_writable(target, queue[0])
            queue.popleft()
        del self._queues[str(target)]
