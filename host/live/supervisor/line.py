"""A channel in the supervisor's event loop: what the kernel does not take now goes out when it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Generic, TypeVar

from host.live.packets import Channel
from host.live.wire import Packet
from transport.port import Closed

Received = TypeVar("Received")


class Line(Generic[Received]):
    """Owns the channel. `fd` is -1 once closed."""

    def __init__(self, channel: Channel[Received]) -> None:
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None
        self.fd = channel.fileno()

    def send(self, packet: Packet, descriptors: Sequence[int] = ()) -> None:
        """Send or queue, in order. Raises `Closed`."""
        if self.fd < 0:
            raise Closed("line: closed by us")
        self._channel.send(packet, descriptors)
        if self._channel.waiting and self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_writer(self.fd, self._flush)

    def receive(self) -> tuple[Received, list[int]] | None:
        """As `Channel.receive`."""
        return self._channel.receive()

    def close(self) -> None:
        """Close it, what waits included. Idempotent."""
        if self.fd >= 0:
            self._stop_writing()
            self._channel.close()
            self.fd = -1

    def _flush(self) -> None:
        with contextlib.suppress(Closed):
            if not self._channel.flush():
                return
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._loop is not None:
            self._loop.remove_writer(self.fd)
            self._loop = None
