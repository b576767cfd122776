"""Time until a new process answers, without enginehost.

`fork` copies this interpreter with all modules; a fresh interpreter starts from nothing.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from bench.rounds import Contestant, Round


def contestants(count: int) -> list[Contestant]:
    """`multiprocessing.Process`, and a fresh interpreter, which is slow and runs fewer times."""
    return [
        Contestant("mp.Process, fork", lambda: _times(_forked, count)),
        Contestant("fresh python", lambda: _times(_interpreter, max(count // 5, 1))),
    ]


def _times(make: Callable[[], int], count: int) -> Round:
    taken_ns = [make() for _ in range(count)]
    return Round(sorted(taken_ns)[count // 2], count, taken_ns)


def _forked() -> int:
    """Nanoseconds until a child answers; it has ended when this returns."""
    context = multiprocessing.get_context("fork")
    began_ns = time.monotonic_ns()
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs,))
    process.start()
    ours.recv_bytes()
    taken_ns = time.monotonic_ns() - began_ns
    process.join()
    ours.close()
    theirs.close()
    return taken_ns


def _answer(line: Connection) -> None:
    line.send_bytes(b"pong")


def _interpreter() -> int:
    began_ns = time.monotonic_ns()
    with subprocess.Popen([sys.executable, "-c", "print()"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return time.monotonic_ns() - began_ns
