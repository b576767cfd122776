"""Work in a throw-away process: forked for one job, in a session of its own, killed with everything it started.

The caller has one thread. The child owns the write end of a pipe and what it is told to keep, and none of the caller's
exit handlers run in it. Crash points: the child dies: its end of the pipe closes. The caller dies: an alarm, if
`isolate` set one, ends the child.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Never

from host.live.clock import left_ms
from host.live.lifeline import await_parent, die_with

PIECE_BYTES: Final = 1 << 20
"""One read."""

ALARM_AFTER_NS: Final = 1_000_000_000
"""How much later than its caller's deadline a child ends itself."""

ALARM_S_MAX: Final = 1e9
"""Thirty years; much more does not fit the kernel's time."""


@contextmanager
def forked(work: Callable[[int], object]) -> Iterator[int]:
    """The read end of a pipe from a child that runs `work` on the write end; on leaving the block the child is gone."""
    pid, reading = begin_child(work)
    try:
        yield reading
    finally:
        os.close(reading)
        _end(pid)


def begin_child(work: Callable[[int], object], kept: int = -1) -> tuple[int, int]:
    """The pid of a child that runs `work` on the write end of a pipe, and the read end. Raises OSError.

    The child keeps the descriptor `kept` open as well, under another number.
    """
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        _live(work, writing, kept)
    os.close(writing)
    return pid, reading


def begin_orphan(work: Callable[[int], object], heir: int) -> tuple[int, int]:
    """The pid of a child that exits at once, and the read end of a pipe from a grandchild that runs `work` on the write
    end. Raises OSError.

    The process `heir`, a subreaper above this one, is the grandchild's parent, reads its exit, and takes it along when
    it dies. The child is the caller's, which does not wait for it: until it has run and forked, mail would wait, too.
    """

    def run(writing: int) -> None:
        if os.fork() == 0:
            await_parent(heir, ALARM_AFTER_NS)
            die_with(heir)
            work(writing)

    return begin_child(run)


def pieces(reading: int, end_ns: int) -> Iterator[bytes]:
    """What a child writes, until it ends. Raises `TimeoutError` at `end_ns` of the monotonic clock."""
    ready = select.poll()
    ready.register(reading, select.POLLIN)
    while True:
        is_ready = ready.poll(left_ms(end_ns))
        if time.monotonic_ns() >= end_ns:
            raise TimeoutError
        if is_ready:
            data = os.read(reading, PIECE_BYTES)
            if not data:
                return
            yield data


def isolate(deadline_ns: int) -> None:
    """In the child: no bytecode files, no signal handlers of the caller's, and an end when nobody waits any more.

    A deadline of 0 sets no alarm.
    """
    sys.dont_write_bytecode = True
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    end_after(deadline_ns)


def end_after(deadline_ns: int) -> None:
    """In the child: an end soon after this time, counted from now; 0: no alarm."""
    if deadline_ns:
        signal.setitimer(signal.ITIMER_REAL, min((deadline_ns + ALARM_AFTER_NS) / 1e9, ALARM_S_MAX))


def silence() -> None:
    """In the child: its standard streams lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _live(work: Callable[[int], object], writing: int, kept: int) -> Never:
    """From the fork to the exit; nothing returns into the caller's stack."""
    try:
        os.setsid()
        last = fcntl.fcntl(kept, fcntl.F_DUPFD, 4) if kept >= 0 else 3
        os.dup2(writing, 3)
        os.closerange(4, last)
        os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
        work(3)
    finally:
        os._exit(0)


def _end(pid: int) -> None:
    """Kill the child and all it started, and take its exit. It may not have a session yet."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        break
    os.waitpid(pid, 0)
