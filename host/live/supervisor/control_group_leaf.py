"""Version 2 of control groups: a group gives memory limits to those below it only when no process is in itself.

So the node moves: `divide` puts it into a leaf, `<home>/enginehost`, with what it has started and the command that
started it, and then lets memory be limited below the home; `unite` takes that back. A home with other processes in it
is left as it is. Several nodes may live in one leaf: a command in the leaf starts the next one there. The first node
divides, the last one unites; a lock on the home's folder keeps them apart.

Crash points: a supervisor that dies after `mkdir` leaves an empty leaf, after moving its own processes a leaf that is
emptied by their deaths, after enabling a home that is divided: the next start finds the leaf and goes on there. What a
service manager started, it clears away with the group itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from typing import Final

from host.live.supervisor.control_group_home import LEAF, words

TRIES: Final = 8
"""A process of ours may be born where the last look did not see it; births of ours are some a second."""

PREFIX: Final = "enginehost-"
"""Of every group that is not the leaf."""


def divide(home: str) -> None:
    """Let memory be limited below `home`. Idempotent. Raises OSError, and everything is as before then."""
    with _locked(home):
        if "memory" in words(f"{home}/cgroup.subtree_control"):
            return
        leaf = f"{home}/{LEAF}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(leaf)
        try:
            _enable(home, leaf)
        except OSError:
            _leave(home, leaf)
            raise


def unite(home: str) -> None:
    """Be in `home` again, if nobody else is below it. For the end of a node: what it started is gone."""
    leaf = f"{home}/{LEAF}"
    with contextlib.suppress(OSError), _locked(home):
        if _folders(home) != [LEAF] or not set(processes(leaf)) <= _ours():
            return
        write(f"{home}/cgroup.subtree_control", "-memory")
        _leave(home, leaf)


def processes(folder: str) -> list[int]:
    """Who is in a group. Raises OSError."""
    return [int(word) for word in words(f"{folder}/cgroup.procs")]


def write(path: str, text: str) -> None:
    """One write to a file that the kernel made; OSError says what it thinks of it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _enable(home: str, leaf: str) -> None:
    for last in range(TRIES - 1, -1, -1):
        inside = processes(home)
        if others := set(inside) - _ours() - {0}:
            raise OSError(errno.EBUSY, f"other processes are in it, as {min(others)}")
        for pid in inside:
            _move(pid, leaf)
        try:
            write(f"{home}/cgroup.subtree_control", "+memory")
        except OSError as error:
            if error.errno != errno.EBUSY or not last:
                raise
        else:
            return


def _leave(home: str, leaf: str) -> None:
    """Back into the home, those of the leaf, and the leaf away."""
    with contextlib.suppress(OSError):
        for pid in processes(leaf):
            _move(pid, home)
    with contextlib.suppress(OSError):
        os.rmdir(leaf)


def _move(pid: int, folder: str) -> None:
    with contextlib.suppress(ProcessLookupError):
        write(f"{folder}/cgroup.procs", str(pid))


def _folders(home: str) -> list[str]:
    return [entry.name for entry in os.scandir(home) if entry.is_dir()]


def _ours() -> set[int]:
    """This process, who started it, and all that descends from it."""
    parents = {int(entry): _parent(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    ours, fresh = {os.getpid(), os.getppid()}, {os.getpid()}
    while fresh := {pid for pid, parent in parents.items() if parent in fresh}:
        ours |= fresh
    return ours


def _parent(pid: str) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])
    return 0


@contextlib.contextmanager
def _locked(home: str) -> Iterator[None]:
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
