"""Places: the processes of a bare peer, forked together, started together, ended together, each with a result.

    place (forked)                     here
    joins the fabric, sends R     ──▶  waits for all R
    works                         ◀──  sends G: go
    sends length, then numbers    ──▶  waits for all numbers, with a deadline
    waits                         ◀──  hangs up after the last result
    leaves the fabric, exits           kills places that do not exit in time

So neither fork nor set-up is measured, and no place removes memory or sockets that another one still reads. A place
dies with this process (PR_SET_PDEATHSIG), and with the block that started it, also after an error or Ctrl-C.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final

ROUND_S: Final = 120.0
"""Bound of a round; one takes about a second."""
LEAVE_S: Final = 3.0
PR_SET_PDEATHSIG: Final = 1
LENGTH: Final = struct.Struct("<cQ")

Begin = Callable[[], None]
Work = Callable[[Begin], Sequence[int]]
"""The work of a place: it joins, calls `begin` when it is ready to start, and returns whole numbers."""


class PlaceFailed(Exception):
    """A place failed; the text is its traceback, or that it ended without a result."""


def cores() -> tuple[int, int]:
    """Two usable cores, or (-1, -1) on a machine with one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (-1, -1)


def run_places(works: Sequence[Work]) -> list[Sequence[int]]:
    """Run each work in its own process, and return their results in order.

    Two places get a core each if there are two, like the engine host's workers in the same suites. The system places
    larger numbers, for all peers.

    Raises: PlaceFailed, TimeoutError.
    """
    pinned = cores() if len(works) == 2 else (-1,) * len(works)
    deadline_s = time.monotonic() + ROUND_S
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(_place(work, core)) for work, core in zip(works, pinned, strict=True)]
        for line in lines:
            _read(line, 1, deadline_s)
        for line in lines:
            line.sendall(b"G")
        results = [_result(line, deadline_s) for line in lines]
        for line in lines:
            line.shutdown(socket.SHUT_RDWR)
        return results


@contextlib.contextmanager
def _place(work: Work, core: int) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(work, theirs, core, parent)
    theirs.close()
    try:
        yield ours
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        ours.close()
        _reap(pid)


def _live(work: Work, line: socket.socket, core: int, parent: int) -> None:
    """The life of a place; does not return. Only its parent handles Ctrl-C."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            if core >= 0:
                os.sched_setaffinity(0, {core})
            _tell(line, work)
            code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def _tell(line: socket.socket, work: Work) -> None:
    def begin() -> None:
        line.sendall(b"R")
        line.recv(1)

    try:
        kind, body = b"=", array.array("q", work(begin)).tobytes()
    except Exception:
        kind, body = b"!", traceback.format_exc().encode()
    line.sendall(LENGTH.pack(kind, len(body)) + body)
    line.recv(1)


def _result(line: socket.socket, deadline_s: float) -> Sequence[int]:
    kind, length = LENGTH.unpack(_read(line, LENGTH.size, deadline_s))
    body = _read(line, length, deadline_s)
    if kind == b"!":
        raise PlaceFailed(body.decode())
    return array.array("q", body)


def _read(line: socket.socket, length: int, deadline_s: float) -> bytes:
    """Exactly `length` bytes. Instead of R, a place may send its failure."""
    body = b""
    while len(body) < length:
        if not select.select([line], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            raise TimeoutError(f"a process of this peer sent nothing for {ROUND_S:g} s")
        part = line.recv(min(length - len(body), 1 << 20))
        if not part:
            raise PlaceFailed("a process of this peer ended without a result")
        body += part
    if length == 1 and body == b"!":
        size = LENGTH.unpack(body + _read(line, LENGTH.size - 1, deadline_s))[1]
        raise PlaceFailed(_read(line, size, deadline_s).decode())
    return body


def _reap(pid: int) -> None:
    """Wait until the process exits; kill it if that takes too long."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], LEAVE_S)[0]:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    finally:
        os.close(pidfd)
