"""Processes as the kernel shows them: who descends from whom, since when, and what they use."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Final

from host.live.process_stat import resident_bytes, stat_fields

ENDED: Final = ("", "Z", "X")
"""The states of a process that does not live, or is not there."""

_ticks: Final = os.sysconf("SC_CLK_TCK")


def started(pid: int) -> int:
    """When a process started, in ticks since the boot; with its id, this names a process for ever. 0: there is none."""
    fields = stat_fields(pid) or [""]
    return 0 if fields[0] in ENDED else int(fields[19])


def children_of_all() -> dict[int, list[int]]:
    """The living children of each process."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat_fields(name) or [""])[0] not in ENDED:
            children.setdefault(int(fields[1]), []).append(int(name))
    return children


def descendants(pid: int, children: dict[int, list[int]] | None = None) -> list[int]:
    """All living descendants of a process, parents first."""
    children = children_of_all() if children is None else children
    found, waiting = [], [pid]
    while waiting:
        own = children.get(waiting.pop(), [])
        found += own
        waiting += own
    return found


def cpu_ns(pids: list[int]) -> int:
    """Processor time that these processes have used."""
    used = sum(int(ticks) for pid in pids for ticks in stat_fields(pid)[11:15])
    return used * 1_000_000_000 // _ticks


def memory_bytes(pids: list[int]) -> int:
    """Proportional set size of these processes together; the resident size of one whose map is not readable."""
    return sum(map(_memory_of, pids))


def command_name(pid: int) -> str:
    """The name of the program that a process runs; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def kill(pid: int, number: int) -> None:
    """Send a signal; nothing happens if the process is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def reap(pid: int, statuses: dict[int, int]) -> None:
    """Collect all children that have exited, with the status of each."""
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            return
        statuses[ended] = status


def end_tree(pid: int, statuses: dict[int, int], within_s: float = 5.0) -> bool:
    """Kill all descendants of this process, which is their subreaper. Returns whether none is left."""
    until = time.monotonic() + within_s
    while True:
        left = descendants(pid)
        for each in left:
            kill(each, signal.SIGSTOP)  # so that none forks while the others are killed
        for each in left:
            kill(each, signal.SIGKILL)
        reap(pid, statuses)
        if not left or time.monotonic() > until:
            return not left
        time.sleep(0.002)


def _memory_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resident_bytes(pid)
