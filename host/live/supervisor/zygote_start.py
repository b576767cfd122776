"""The first things a supervisor does, before it has imported anything of weight: block signals, exec a zygote."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Final, NamedTuple

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that end a node in order."""

SOCKET_FD: Final = 3
"""Where a zygote, and later each of its children, finds its socket: right after the standard streams."""


class StartedZygote(NamedTuple):
    """A process that warms up, and our end of its socket."""

    pid: int
    socket: socket.socket


def exec_zygote() -> StartedZygote:
    """Start a zygote, with no signal blocked whatever this process blocks. Call from the main thread."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "host.live.zygote"],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET_FD)],
        setsid=True,  # a Ctrl-C at the terminal is the supervisor's alone
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM],
    )
    theirs.close()
    return StartedZygote(pid, ours)
