"""A producer in a forked process beside a consumer in this one: the frame of every bare peer.

The consumer's clock runs from the first record it takes to the last, so neither fork nor set-up is measured. Each side
is told its core where there is more than one, as the engine host's workers are by their placement.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

CHILD_FAILED: Final = 70


def cores() -> tuple[int, int]:
    """Two cores to use, (-1, -1) on a machine with one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (-1, -1)


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """This process on `core` for the length of the block; -1 leaves it where it is."""
    before = os.sched_getaffinity(0)
    if core >= 0:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def forked(work: Callable[[], None], core: int) -> Iterator[int]:
    """Run `work` in a child pinned to `core`; on leaving the block the child is ended and reaped."""
    pid = os.fork()
    if pid == 0:
        try:
            with pinned(core):
                work()
            os._exit(0)
        except BaseException:
            os._exit(CHILD_FAILED)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
