"""Programs that families started, when what they hang on has ended.

A worker leads a session, so most of what it started is in its process group and is killed when it is reaped: until then
the number of the group cannot mean another one. What left the session, as daemons do, becomes a child of the
supervisor, a subreaper, when its parent ends; the supervisor cannot tell it from a worker that is just being born, so
it lives until the node ends. A supervisor that is killed leaves such programs running: nothing ties them to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

SWEEP_NS: Final = 1_000_000_000
"""For killed processes to be gone; each round finds the children of those killed in the one before."""

LOOK_S: Final = 0.002
"""Between two rounds."""


def end_group(pid: int) -> None:
    """Kill what is left in the process group of `pid`, a child of ours that ended and is not reaped yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def end_children(reap: Callable[[], None]) -> None:
    """Kill all children of this process, and theirs, which become ours; `reap` takes their ends."""
    until_ns = time.monotonic_ns() + SWEEP_NS
    while (living := list(_children())) and time.monotonic_ns() < until_ns:
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(LOOK_S)
        reap()


def _children() -> Iterator[int]:
    """Numbers of our children, the dead that nobody reaped included."""
    me = os.getpid()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", entry, "stat").read_bytes()
                if int(stat.rpartition(b")")[2].split()[1]) == me:
                    yield int(entry)
