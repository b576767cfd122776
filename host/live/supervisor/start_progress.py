"""Reports the progress of a node's start: to the waiting command, to a service manager, and to other commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from typing import Final

import msgspec

from host.config.spec import NodeSpec
from host.live.control.instances import Instance
from host.live.control.protocol import Response

LAST_WORDS_S: Final = 1.0
"""How long an exiting supervisor waits for a reader that is behind; it reads as fast as it can, or is stopped."""


class StartProgress:
    """Packets to the command that started us, in order. A command that has exited is no error: its packets are dropped.

    Packets that the kernel has no room for wait here until the event loop can send them; `finish` sends the rest.
    """

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(False)
        self._waiting: deque[bytes] = deque()

    def tell(self, response: Response) -> None:
        """Send one packet, if the command is still there."""
        self._waiting.append(msgspec.msgpack.encode(response))
        if len(self._waiting) == 1 and not self._send_waiting():
            with contextlib.suppress(RuntimeError):  # no loop runs yet: `finish` sends it
                asyncio.get_running_loop().add_writer(self.socket, self._go_on)

    def finish(self) -> None:
        """Give a slow reader `LAST_WORDS_S` for each waiting packet."""
        self.socket.settimeout(LAST_WORDS_S)
        self._send_waiting()

    def _go_on(self) -> None:
        if self._send_waiting():
            asyncio.get_running_loop().remove_writer(self.socket)

    def _send_waiting(self) -> bool:
        """Whether no packet is left waiting."""
        while self._waiting:
            try:
                self.socket.send(self._waiting[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            except OSError:
                self._waiting.clear()
                return True
            self._waiting.popleft()
        return True


def notify_system(text: str) -> None:
    """Notify a service manager (systemd's NOTIFY_SOCKET) of our progress."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)


def instance_of(spec: NodeSpec) -> Instance:
    """This process as the supervisor of a node, as commands find it."""
    return Instance(spec.node, spec.path, spec.digest, os.getpid(), time.time_ns(), given=spec.given)
