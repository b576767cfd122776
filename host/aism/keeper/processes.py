"""Processes as the kernel shows them: who descends from whom, since when, and what they use."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_SET_NAME: Final = 15

_libc = ctypes.CDLL(None, use_errno=True)
_ticks: Final = os.sysconf("SC_CLK_TCK")


def prctl(option: int, value: int) -> None:
    """Raises OSError if the kernel refuses."""
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def set_name(name: str) -> None:
    """What `top` shows of this process."""
    _libc.prctl(PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]), 0, 0, 0)


def started(pid: int) -> int:
    """When a process started, in ticks since the boot; with its id, this names a process for ever. 0: there is none."""
    fields = _stat(pid)
    return 0 if fields is None or fields[0] in (b"Z", b"X") else int(fields[19])


def children_of_all() -> dict[int, list[int]]:
    """The living children of each process."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))) is not None and fields[0] not in (b"Z", b"X"):
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
    used = 0
    for pid in pids:
        if (fields := _stat(pid)) is not None:
            used += sum(map(int, fields[11:15]))
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


def _stat(pid: int) -> list[bytes] | None:
    """Fields of a process from its state on: 0 state, 1 parent, 11 to 14 times, 19 start; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b") ", 1)[1].split()
    except (OSError, IndexError):
        return None


def _memory_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0
