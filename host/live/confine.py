"""Limits of one process, which it sets for itself before it imports a family.

RLIMIT_DATA bounds private memory that can be written: what Python and its extensions allocate, not lanes and other
shared mappings. Beyond it an allocation fails: as MemoryError in a rule, which undoes that transition and nothing else;
one that nobody catches ends the process with an exit code of its own. RLIMIT_CPU bounds time of a processor over the
whole life of the process; beyond it the kernel sends SIGXCPU, then SIGKILL. Neither can be raised again from within.

What RLIMIT_DATA does not see, shared memory and programs that an engine starts, a control group bounds where one can be
had. The supervisor makes and removes it (`host.live.supervisor.control_groups`); a process enters right after its fork,
so that little of what it touches is counted elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import Final

SECOND: Final = 1_000_000_000


def confine(memory_bytes: int | None, cpu_ns: int | None) -> None:
    """Set the limits that are given, unless the process has lower ones already."""
    if memory_bytes is not None:
        _lower(resource.RLIMIT_DATA, memory_bytes, memory_bytes)
    if cpu_ns is not None:
        seconds = -(-cpu_ns // SECOND)
        _lower(resource.RLIMIT_CPU, seconds, seconds + 1)


def enter_group(folder: str) -> None:
    """Become a process of a control group. One that is gone or refuses us is the supervisor's to tell: it looks."""
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
