"""Limits that a process sets for itself before it imports a family.

RLIMIT_DATA bounds private writable memory: what Python and its extensions allocate, not lanes and other shared
mappings. Beyond it an allocation fails: as MemoryError in a rule, which undoes that transition and nothing else; an
uncaught one ends the process with an exit code of its own. A candidate of a reload has such a bound until it takes
over, even if its engine has none. RLIMIT_CPU bounds processor time over the whole life of the
process; beyond it the kernel sends SIGXCPU, then SIGKILL. Neither can be raised again from within.

RLIMIT_DATA does not cover shared memory and programs that an engine starts; a control group bounds these where one can
be made. The supervisor makes and removes it (`host.live.supervisor.control_groups`); a process enters right after its
fork, before much of its memory is counted elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

from host.config.spec import SECOND


def confine(memory_bytes: int | None, cpu_ns: int | None) -> None:
    """Set the given limits, unless the process has lower ones already."""
    if memory_bytes is not None:
        _lower(resource.RLIMIT_DATA, memory_bytes, memory_bytes)
    if cpu_ns is not None:
        seconds = -(-cpu_ns // SECOND)
        _lower(resource.RLIMIT_CPU, seconds, seconds + 1)


@contextlib.contextmanager
def lent(memory_bytes: int) -> Iterator[None]:
    """Within the block, memory for this process is bounded, if it has no lower bound."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or memory_bytes < soft:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def enter_group(folder: str) -> None:
    """Enter a control group. The supervisor checks that, and reports a group that is gone or refuses us."""
    with contextlib.suppress(OSError):
        fd = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)


def _lower(which: int, soft: int, hard: int) -> None:
    _, before = resource.getrlimit(which)
    if before != resource.RLIM_INFINITY:
        soft, hard = min(soft, before), min(hard, before)
    resource.setrlimit(which, (soft, hard))
