"""Where processes come from: the zygote, held by its socket.

It is started before the supervisor imports anything heavy, so that it gets warm meanwhile; requests wait in its
socket. A zygote that died is replaced at the next request; workers are not its children and live on.
"""

from __future__ import annotations

import select
from typing import Final

import msgspec

from host.live.packets import Channel
from host.live.supervisor.zygote_start import StartedZygote, exec_zygote
from host.live.wire import Packet
from host.live.zygote import Ahead, Fork, Log
from transport.port import Closed

ROOM_S: Final = 1.0
"""How long a request may wait for room in the zygote's socket, which holds hundreds; then the zygote hangs."""


class Nursery:
    """The zygote, and births through it. For the supervisor's main thread.

    Args:
        log_fd: becomes everybody's output.
        ahead: what workers will ask for.
    """

    def __init__(self, zygote: StartedZygote, log_fd: int, ahead: Ahead) -> None:
        self._log_fd = log_fd
        self._ahead = ahead
        self._channel: Channel[Packet] | None = None
        self._adopt(zygote)

    def bear(self, request: Fork, socket_fd: int) -> int:
        """Have a child forked that owns `socket_fd`, which the caller closes. A dead zygote is replaced first.

        Returns which zygote was asked. Raises `Closed` when the new one is dead too.
        """
        for _ in range(2):
            channel = self._channel or self._adopt(exec_zygote())
            try:
                channel.send(request, (socket_fd,))
                while channel.waiting and select.select([], [channel], [], ROOM_S)[1]:
                    channel.flush()
                return self.pid
            except Closed:
                self.close()
        raise Closed("zygote: dies as soon as it is started")

    def has_lost(self, zygote: int) -> bool:
        """Whether a zygote that was asked is gone. It never says anything, so what can be read is the end of file."""
        return self._channel is None or zygote != self.pid or bool(select.select([self._channel], [], [], 0)[0])

    def close(self) -> None:
        """Let the zygote go: it reads the end of file. Idempotent."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _adopt(self, zygote: StartedZygote) -> Channel[Packet]:
        self.pid = zygote.pid
        self._channel = Channel(zygote.socket, msgspec.msgpack.Decoder(Packet))
        self._channel.send(Log(), (self._log_fd,))
        self._channel.send(self._ahead)
        return self._channel
