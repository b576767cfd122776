"""A channel in the supervisor's event loop: what the kernel cannot take now is sent as soon as it can."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from host.live.packets import Channel
from host.node.news import Packet
from transport.port import Closed

Received = TypeVar("Received")

SHORT_S: Final = 0.01
"""Between two tries while the kernel is short of a resource that no event announces."""


class Line(Generic[Received]):
    """Owns the channel. `fd` is -1 once closed."""

    def __init__(self, channel: Channel[Received]) -> None:
        self._channel = channel
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.fd = channel.fileno()

    def send(self, packet: Packet, descriptors: Sequence[int] = ()) -> None:
        """Send or queue, in order. Raises `Closed`."""
        if self.fd < 0:
            raise Closed("line: closed by us")
        self._channel.send(packet, descriptors)
        if self._channel.waiting and self._loop is None:
            self._write_later()

    def receive(self) -> tuple[Received, list[int]] | None:
        """As `Channel.receive`."""
        return self._channel.receive()

    def close(self) -> None:
        """Close it and drop what waits. Idempotent."""
        if self.fd >= 0:
            self._stop_writing()
            self._channel.close()
            self.fd = -1

    def _flush(self) -> None:
        self._stop_writing()
        with contextlib.suppress(Closed):
            if not self._channel.flush():
                self._write_later()

    def _write_later(self) -> None:
        """Write when the socket is writable. If it is already, in a moment: the reader has to free a resource first."""
        self._loop = asyncio.get_running_loop()
        if self._channel.is_short:
            self._timer = self._loop.call_later(SHORT_S, self._flush)
        else:
            self._loop.add_writer(self.fd, self._flush)

    def _stop_writing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif self._loop is not None:
            self._loop.remove_writer(self.fd)
        self._loop = None
