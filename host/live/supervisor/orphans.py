"""Kills programs that families started, when their process or the node ends.

A worker leads a session, so most programs it started are in its process group, and are killed when the worker is
reaped: until then the group's number cannot mean another group. A program that left the session, as daemons do, becomes
a child of the supervisor, a subreaper, when its parent ends. The supervisor cannot distinguish it from a worker that is
just being born, so it lives until the node ends. A supervisor that is killed leaves such programs running: nothing ties
them to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Final

from host.live.process_stat import parent_of

SWEEP_NS: Final = 1_000_000_000
"""For killed processes to end; each round finds the children of those killed in the round before."""

LOOK_S: Final = 0.002
"""Between two rounds."""


def end_group(pid: int) -> None:
    """Kill the rest of the process group of `pid`, a child of ours that ended and is not reaped yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def end_children(reap: Callable[[], None]) -> None:
    """Kill all children of this process, and their children, which become ours; `reap` reaps them."""
    until_ns = time.monotonic_ns() + SWEEP_NS
    while (living := list(_children())) and time.monotonic_ns() < until_ns:
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(LOOK_S)
        reap()


def _children() -> Iterator[int]:
    """The pids of our children, zombies included."""
    me = os.getpid()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and parent_of(entry) == me:
            yield int(entry)
