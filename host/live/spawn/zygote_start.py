"""The first steps of a supervisor, before it has imported anything heavy: block signals, make a zygote.

The first zygote is a fork of a process that has loaded nothing yet: that saves the start of an interpreter, 25 ms on
the way to the first engine. A later one is exec'd, since the supervisor has threads, sockets and half the library by
then. From then on both are alike: a session of their own, default signals, one inherited socket.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Final, Never

from host.live.spawn import SOCKET_FD
from host.program import command

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that shut a node down in order."""


def fork_zygote(inherited: tuple[int, ...]) -> socket.socket:
    """Fork a zygote from this process, which has one thread, blocks `SIGNALS`, and owns `inherited` descriptors.

    Returns our end of its socket; it is warming up.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        _be_zygote(theirs, (*inherited, ours.detach()))
    theirs.close()
    return ours


def _be_zygote(own: socket.socket, others: tuple[int, ...]) -> Never:
    """Run the zygote; never returns into the supervisor's stack."""
    code = 1
    try:
        os.setsid()
        for fd in others:
            os.close(fd)
        fd = own.detach()
        if fd != SOCKET_FD:
            os.dup2(fd, SOCKET_FD)
            os.close(fd)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        from host.live.spawn.zygote import main

        main()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def exec_zygote() -> socket.socket:
    """As `fork_zygote`, as a program of its own, with no signal blocked, whatever is blocked here. Main thread only."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.posix_spawn(
        sys.executable,
        command("host.live.spawn.zygote"),
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET_FD)],
        setsid=True,  # a Ctrl-C at the terminal must reach the supervisor only
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM],
    )
    theirs.close()
    return ours
