"""Finds nodes by their data folders, if their runtime folder is not where a command looks.

A runtime folder depends on the environment (XDG_RUNTIME_DIR, TMPDIR) and on the path of the node file; it may be
removed by a cleaner, and the path may come to lead elsewhere (a folder was moved, a link was switched). Throughout all
that the supervisor holds the lock file of its data folder open, and this file identifies the node: it contains an
`Instance`, written by the supervisor when it takes the lock and each time its runtime folder changes. So /proc is
searched for processes of this user that hold such a lock, and for the file's present path.

A process in another process namespace is not found. The search takes some milliseconds, so commands do it last.
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
"""Only so many of a supervisor's lowest descriptors are searched: it takes the lock before it opens many."""


def holders() -> list[Instance]:
    """The nodes of this user with a living supervisor, sorted by node file; `data` is the data folder's path now."""
    found = (_held_by(pid) for pid in os.listdir("/proc") if pid.isdigit() and _is_supervisor(pid))
    return sorted((instance for instance in found if instance is not None), key=lambda i: i.config)


def all_instances() -> list[Instance]:
    """Every running node of this user, those of this runtime folder first; some may not be reachable yet."""
    found = {instance.pid: instance for instance in holders()}
    near = [found.pop(instance.pid, instance) for instance in running_instances()]
    return [*near, *found.values()]


def holder_of(data: str) -> Instance | None:
    """The node whose supervisor holds the lock of this data folder."""
    return next((instance for instance in holders() if is_same_folder(instance.data, data)), None)


def write_holder(lock_fd: int, instance: Instance) -> None:
    """Write the holder into the lock of a data folder. Raises OSError; the former content is then no longer whole."""
    content = msgspec.json.encode(instance)
    os.pwrite(lock_fd, content, 0)
    os.ftruncate(lock_fd, len(content))


def is_same_folder(one: str, other: str) -> bool:
    """Whether both paths lead to one existing folder."""
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
    """The holder in the lock that a descriptor is open on; None if it is no lock."""
    try:
        target = os.readlink(path)
        if os.path.basename(target.removesuffix(" (deleted)")) != LOCK:
            return None
        with open(path, "rb") as file:
            instance = msgspec.json.decode(file.read(), type=Instance)
    except (OSError, msgspec.MsgspecError):
        return None
    return msgspec.structs.replace(instance, data=os.path.dirname(target)) if str(instance.pid) == pid else None
