"""Version 2 of control groups: a group can limit the memory of its children only while it holds no process itself.

So the node moves: `divide` puts it into a leaf, `<home>/enginehost`, with the processes it started and the command that
started it, and then enables memory limits below the home; `unite` undoes that. A home with other processes in it is
left as it is. Several nodes may live in one leaf: a command in the leaf starts the next one there. The first node
divides, the last one unites; a lock on the home's folder keeps them apart.

Crash points: a supervisor that dies after `mkdir` leaves an empty leaf; after moving its own processes, a leaf that
their deaths empty; after enabling, a divided home. The next start finds the leaf and continues from there. A service
manager removes what it started together with the group.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from typing import Final

from host.live.process_stat import parent_of
from host.live.supervisor.control_group_home import LEAF, words

TRIES: Final = 8
"""A process of ours may be born after the last listing of the group; births are a few a second."""

PREFIX: Final = "enginehost-"
"""Begins the name of every group other than the leaf."""


def divide(home: str) -> None:
    """Enable memory limits below `home`. Idempotent. Raises OSError; everything is then as before."""
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
    """Move back into `home`, if no other process is below it. For the end of a node, when its processes are gone."""
    leaf = f"{home}/{LEAF}"
    with contextlib.suppress(OSError), _locked(home):
        if _folders(home) != [LEAF] or not set(processes(leaf)) <= _ours():
            return
        write(f"{home}/cgroup.subtree_control", "-memory")
        _leave(home, leaf)


def processes(folder: str) -> list[int]:
    """The processes in a group. Raises OSError."""
    return [int(word) for word in words(f"{folder}/cgroup.procs")]


def write(path: str, text: str) -> None:
    """One write to a file of the kernel. Raises OSError with the kernel's reason."""
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
    """Move the processes of the leaf back into the home, and remove the leaf."""
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
    """This process, its parent, and all its descendants."""
    parents = {int(entry): parent_of(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    ours, fresh = {os.getpid(), os.getppid()}, {os.getpid()}
    while fresh := {pid for pid, parent in parents.items() if parent in fresh}:
        ours |= fresh
    return ours


@contextlib.contextmanager
def _locked(home: str) -> Iterator[None]:
    fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
