"""One node runs on a root folder: its bridge holds a lock there, whose file says which node that is.

A bridge that starts while another one of its node still ends waits for it. Where one of another node runs, it is
refused: that one is alive, as is the process that it is a child of, which is not ours. What is left of a node that was
killed ends within `ENDING_S`.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

LOCK: Final = "engine/lock"
WAIT_S: Final = 10.0
ENDING_S: Final = 1.0
LOOK_S: Final = 0.01
HOLDER_BYTES_MAX: Final = 4_096


class RootTaken(Exception):
    """Another node runs on the root: which one, and how to end it."""


class Holder(NamedTuple):
    """What the file says: the name of the node, its bridge's process, and the process that this is a child of."""

    node: str
    pid: int
    parent: int

    @property
    def is_of_another_node(self) -> bool:
        """Whether it is alive, and no predecessor of ours."""
        return self.parent != os.getppid() and _is_alive(self.pid) and _is_alive(self.parent)


def claim_root(root: Path, node: str) -> int:
    """Take the root for a node; the descriptor holds it. Blocks. Raises RootTaken, OSError."""
    (root / LOCK).parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    begun_s = time.monotonic()
    while not _is_locked(fd, fcntl.LOCK_EX):
        holder = _holder(fd)
        is_other = holder is not None and holder.is_of_another_node
        if time.monotonic() - begun_s > (ENDING_S if is_other else WAIT_S):
            os.close(fd)
            raise _taken(root, holder)
        time.sleep(LOOK_S)
    content = json.dumps(Holder(node, os.getpid(), os.getppid())).encode()
    os.ftruncate(fd, 0)
    os.pwrite(fd, content, 0)
    return fd


def check_root(root: Path) -> None:
    """For a device that begins beside the bridge. Blocks. Raises RootTaken if another node runs on the root."""
    begun_s = time.monotonic()
    while (holder := _other(root)) is not None:
        if time.monotonic() - begun_s > ENDING_S:
            raise _taken(root, holder)
        time.sleep(LOOK_S)


def _other(root: Path) -> Holder | None:
    """The holder, if it is of another node."""
    try:
        fd = os.open(root / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        holder = None if _is_locked(fd, fcntl.LOCK_SH) else _holder(fd)
    finally:
        os.close(fd)
    return holder if holder is not None and holder.is_of_another_node else None


def _is_locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(fd: int) -> Holder | None:
    try:
        node, pid, parent = json.loads(os.pread(fd, HOLDER_BYTES_MAX, 0))
        return Holder(str(node), int(pid), int(parent))
    except (ValueError, TypeError):
        return None


def _taken(root: Path, holder: Holder | None) -> RootTaken:
    who = f"node '{holder.node}' (its bridge is process {holder.pid})" if holder else "another node"
    how = "`aism down` there, or `enginehost down` with its node file"
    return RootTaken(f"{who} runs on {root} already; end it first: {how}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
