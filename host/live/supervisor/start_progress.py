"""How far the start of a node is: for the command that waits, for a service manager, and for commands that look."""

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
"""For a reader of our progress that is behind when we leave; it reads as fast as it can, or is stopped."""


class StartProgress:
    """Packets to whoever started us, in order. It may have gone: then nobody is told, and nothing is wrong.

    What the kernel has no room for waits here and leaves from the event loop; `finish` is for what is left at the end.
    """

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(False)
        self._waiting: deque[bytes] = deque()

    def tell(self, response: Response) -> None:
        """Send one packet, if somebody is there."""
        self._waiting.append(msgspec.msgpack.encode(response))
        if len(self._waiting) == 1 and not self._send_waiting():
            with contextlib.suppress(RuntimeError):  # no loop runs yet: `finish` sends it
                asyncio.get_running_loop().add_writer(self.socket, self._go_on)

    def finish(self) -> None:
        """Give a reader that is late `LAST_WORDS_S` for each packet that waits."""
        self.socket.settimeout(LAST_WORDS_S)
        self._send_waiting()

    def _go_on(self) -> None:
        if self._send_waiting():
            asyncio.get_running_loop().remove_writer(self.socket)

    def _send_waiting(self) -> bool:
        """Whether nothing waits any more."""
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
    """Tell a service manager that waits for it (systemd's NOTIFY_SOCKET) how far we are."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)


def instance_of(spec: NodeSpec) -> Instance:
    """This process as the supervisor of a node, as commands find it."""
    return Instance(spec.node, spec.path, spec.digest, os.getpid(), time.time_ns(), given=spec.given)
