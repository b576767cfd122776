"""The first step of a start: the supervisor's process, which warms up while its command is still being parsed.

Imports nothing heavy, because the command line is not imported yet when an `up` begins. `host.live.control.protocol`
describes the descriptors; a supervisor whose pipe ends without a node exits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Final, NamedTuple

from host.program import command

SUPERVISOR: Final = command("host.live.supervisor.__main__")

HASH_SEED: Final = "0"
"""A node's hash seed unless PYTHONHASHSEED is a number: a `set` has the same order in each life of the node."""


class Begun(NamedTuple):
    """A supervisor without a node. `node` is the pipe for it, `progress` the socket for reports."""

    process: subprocess.Popen[bytes]
    node: int
    progress: socket.socket
    attached: bool

    def close(self) -> None:
        """Dismiss the supervisor: it reads the end of the pipe, and exits."""
        os.close(self.node)
        self.progress.close()


def begin(*, attached: bool, program: tuple[str, ...] = SUPERVISOR) -> Begun:
    """Start a supervisor; every descriptor except its two is closed in it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    node, bring = os.pipe2(os.O_CLOEXEC)
    fds = (node, theirs.fileno())
    try:
        with _blocked_signals():
            process = _start([*program, *map(str, fds)], fds, attached)
    except BaseException:
        ours.close()
        os.close(bring)
        raise
    finally:
        os.close(node)
        theirs.close()
    return Begun(process, bring, ours, attached)


def _start(command: list[str], fds: tuple[int, ...], attached: bool) -> subprocess.Popen[bytes]:
    """Start the process. Until it has a log, its errors go to our standard error."""
    null, seed = subprocess.DEVNULL, os.environ.get("PYTHONHASHSEED", "")
    env = {**os.environ, "PYTHONHASHSEED": seed if seed.isdecimal() else HASH_SEED}
    if attached:
        return subprocess.Popen([*command, "--attached"], stdin=null, pass_fds=fds, env=env)
    return subprocess.Popen(command, stdin=null, stdout=null, pass_fds=fds, env=env, start_new_session=True)


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Block signals: a supervisor inherits that, and unblocks them once it can shut down in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
