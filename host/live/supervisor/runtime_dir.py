"""The runtime folder of a node's instance: one for each node file, locked for as long as its supervisor lives.

It holds `lock` (flock'd, the only thing that counts), `node.json` (the running node, for commands that look from
outside), `control` (the supervisor's socket) and, where links are ZeroMQ, `s<slot>`. A kill of the supervisor frees the
lock and leaves the other files; the next holder removes them before it does anything else, so nothing stale can be
mistaken for alive. If the folder is removed (by a cleaner of temporary files, at the end of a login), the supervisor
makes it again, here or in the other place that commands look at. Workers do not inherit the lock: its descriptor closes
at exec, and no other process opens it.

A name below is at most 10 bytes: socket paths must fit into the 108 bytes of a `sockaddr_un`. A root too long for that
is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import Final

import msgspec

from host.live.control.holders import LOCK, write_holder
from host.live.control.instances import CONTROL, Instance, instance_folders
from host.live.journal.folder import replace_file

SOCKET_PATH_BYTES: Final = 107
"""Longest path of a Unix socket without its closing zero byte."""

NAME_BYTES: Final = 10
"""Longest file name used in the folder, `/` included."""

NODE: Final = "node.json"


class FolderRefused(Exception):
    """The folder cannot be used: not ours, open to others, or with a path too long for a socket."""


class FolderTaken(Exception):
    """Another supervisor holds the folder."""


class RuntimeDir:
    """A locked folder. `close` removes it, the lock last.

    `data_lock` is the lock of the node's data folder, -1 until there is one.
    """

    def __init__(self, folder: str, lock_fd: int) -> None:
        self.folder = folder
        self.data_lock = -1
        self._lock_fd = lock_fd

    @property
    def control(self) -> str:
        """Path of the control socket."""
        return os.path.join(self.folder, CONTROL)

    def link(self, slot: int) -> str:
        """ZeroMQ address of a slot's link."""
        return f"ipc://{self.folder}/s{slot}"

    def announce(self, instance: Instance) -> None:
        """Write `node.json`, whole or not at all, and the same into the lock of the data folder. Raises OSError."""
        instance = msgspec.structs.replace(instance, folder=self.folder)
        replace_file(os.path.join(self.folder, NODE), msgspec.json.encode(instance), synced=False)
        if self.data_lock >= 0:
            write_holder(self.data_lock, instance)

    @property
    def is_whole(self) -> bool:
        """False once the folder, or a file in it that commands need, was removed."""
        return self._holds_lock() and all(os.path.exists(os.path.join(self.folder, n)) for n in (NODE, CONTROL))

    def try_restore(self, config: str) -> bool:
        """Make and lock a folder again, perhaps another one; the caller fills it. False if none can be had now."""
        if self._holds_lock():
            return True
        for folder in instance_folders(config):
            with contextlib.suppress(FolderRefused, FolderTaken, OSError):
                lock_fd = _lock_private(folder)
                os.close(self._lock_fd)
                self.folder, self._lock_fd = folder, lock_fd
                return True
        return False

    def _holds_lock(self) -> bool:
        try:
            return os.path.samestat(os.stat(os.path.join(self.folder, "lock")), os.fstat(self._lock_fd))
        except OSError:
            return False

    def close(self) -> None:
        """Remove the folder with everything in it, then release the lock. Idempotent."""
        if self._lock_fd < 0:
            return
        with contextlib.suppress(OSError):
            _empty(self.folder)
            os.unlink(os.path.join(self.folder, "lock"))
            os.rmdir(self.folder)
        os.close(self._lock_fd)
        self._lock_fd = -1


def claim(config: str) -> RuntimeDir:
    """Create, check and lock the folder of a node file, and remove what a killed supervisor left.

    Raises `FolderRefused`, `FolderTaken`.
    """
    folder = instance_folders(config)[0]
    lock_fd = _lock_private(folder)
    _empty(folder)
    return RuntimeDir(folder, lock_fd)


def _lock_private(folder: str) -> int:
    """The lock of a folder that is ours alone. Raises `FolderRefused`, `FolderTaken`, OSError."""
    if len(os.fsencode(folder)) + NAME_BYTES > SOCKET_PATH_BYTES:
        raise FolderRefused(f"{folder} is too long for a socket path: set XDG_RUNTIME_DIR or TMPDIR to a shorter one")
    for path in (os.path.dirname(folder), folder):
        _make_private(path)
    return _lock(folder)


def lock_data(folder: str) -> int:
    """Lock the folder of a node's data until this process ends; the descriptor.

    The lock on the runtime folder is not enough: its place depends on the environment, and two node files may name one
    data folder. Raises `FolderTaken`, OSError.
    """
    return _locked(folder, LOCK, 0)


def _locked(folder: str, name: str, flags: int) -> int:
    fd = os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise FolderTaken(folder) from None
    return fd


def _make_private(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, mode=0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise FolderRefused(f"{path} is not a folder of this user")
    if found.st_mode & 0o077:
        os.chmod(path, 0o700)


def _lock(folder: str) -> int:
    """The lock's descriptor. Retries if a closing supervisor removed the file between our open and our lock."""
    path = os.path.join(folder, "lock")
    for _ in range(100):
        _make_private(folder)
        fd = _locked(folder, "lock", os.O_NOFOLLOW)
        with contextlib.suppress(OSError):
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        os.close(fd)
    raise FolderRefused(f"{path} is replaced again and again")


def _empty(folder: str) -> None:
    for name in os.listdir(folder):
        if name != "lock":
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))
