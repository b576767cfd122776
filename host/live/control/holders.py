"""Nodes found by their data folders, for when their runtime folder is not where a command looks.

A runtime folder depends on the environment (XDG_RUNTIME_DIR, TMPDIR) and on the path of the node file; it may be swept
away, and the path may come to lead elsewhere (a folder was moved, a link was switched). What no sweep and no move
changes is that the supervisor holds the lock of its data folder open, and this file says who it is: an `Instance`,
written by the supervisor when it takes the lock and each time its runtime folder changes. So the processes of this user
are asked, through /proc: which of them holds such a lock, and where the file is now.

A process of another process namespace is not found. Looking takes some milliseconds, so commands do it last.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from host.live.control.instances import Instance, running_instances

PROGRAM: Final = b"enginehost\n"
"""Short name of a supervisor's process."""

LOCK: Final = "lock"
"""Name of the lock in a data folder."""

DESCRIPTORS_MAX: Final = 256
"""Of a supervisor's, the lowest so many are looked at: it takes the lock before it opens much."""


def holders() -> list[Instance]:
    """The nodes of this user whose supervisors live, by the path of their node file; `data` is where it is now."""
    found = (_held_by(pid) for pid in os.listdir("/proc") if pid.isdigit() and _is_supervisor(pid))
    return sorted((instance for instance in found if instance is not None), key=lambda i: i.config)


def all_instances() -> list[Instance]:
    """Every node of this user that runs, those of this runtime folder first; some may not be reachable yet."""
    found = {instance.pid: instance for instance in holders()}
    near = [found.pop(instance.pid, instance) for instance in running_instances()]
    return [*near, *found.values()]


def holder_of(data: str) -> Instance | None:
    """The node whose supervisor holds the lock of this data folder."""
    return next((instance for instance in holders() if is_same_folder(instance.data, data)), None)


def write_holder(lock_fd: int, instance: Instance) -> None:
    """Say in the lock of a data folder who holds it. Raises OSError; what was there before is then no longer whole."""
    content = msgspec.json.encode(instance)
    os.pwrite(lock_fd, content, 0)
    os.ftruncate(lock_fd, len(content))


def is_same_folder(one: str, other: str) -> bool:
    """Whether both paths lead to one folder, which exists."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _is_supervisor(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read() == PROGRAM and os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False


def _held_by(pid: str) -> Instance | None:
    try:
        fds = sorted(map(int, os.listdir(f"/proc/{pid}/fd")))[:DESCRIPTORS_MAX]
    except OSError:
        return None
    return next((instance for fd in fds if (instance := _read(pid, f"/proc/{pid}/fd/{fd}")) is not None), None)


def _read(pid: str, path: str) -> Instance | None:
    """What the lock behind a descriptor says, if it is one."""
    try:
        target = os.readlink(path)
        if os.path.basename(target.removesuffix(" (deleted)")) != LOCK:
            return None
        with open(path, "rb") as file:
            instance = msgspec.json.decode(file.read(), type=Instance)
    except (OSError, msgspec.MsgspecError):
        return None
    return msgspec.structs.replace(instance, data=os.path.dirname(target)) if str(instance.pid) == pid else None
