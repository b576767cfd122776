"""Where processes come from: the zygote, held by its socket.

It is started before the supervisor imports anything heavy, so that it gets warm meanwhile; requests wait in its
socket. A zygote that died is replaced at the next request; workers are not its children and live on.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import Final

import msgspec

from host.live.packets import Channel, channel_pair
from host.live.wire import Packet
from host.live.zygote import Fork
from transport.port import Closed

ROOM_S: Final = 1.0
"""How long a request may wait for room in the zygote's socket, which holds hundreds; then the zygote hangs."""


class Nursery:
    """The zygote, and births through it. For the supervisor's main thread. `log_fd` becomes everybody's stderr."""

    def __init__(self, log_fd: int) -> None:
        self._log_fd = log_fd
        self.pid = 0
        self._channel: Channel[Packet] | None = None
        self._start()

    def bear(self, request: Fork, socket_fd: int) -> None:
        """Have a child forked that owns `socket_fd`, which the caller closes. A dead zygote is replaced first.

        Raises `Closed` when the new one is dead too.
        """
        for _ in range(2):
            channel = self._channel or self._start()
            try:
                channel.send(request, (socket_fd,))
                while channel.waiting and select.select([], [channel], [], ROOM_S)[1]:
                    channel.flush()
                return
            except Closed:
                self.close()
        raise Closed("zygote: dies as soon as it is started")

    def close(self) -> None:
        """Let the zygote go: it reads the end of file. Idempotent."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _start(self) -> Channel[Packet]:
        """Exec a zygote, with no signal blocked, whatever this process blocks while it starts."""
        ours, theirs = channel_pair()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        streams = [(null, 0), (self._log_fd, 1), (self._log_fd, 2), (theirs.fileno(), 3)]
        self.pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "host.live.zygote", "3"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in streams],
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM],
        )
        os.close(null)
        theirs.close()
        self._channel = Channel(ours, msgspec.msgpack.Decoder(Packet))
        return self._channel
