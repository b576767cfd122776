"""Ties between the lives of processes, which the standard library has no calls for: prctl, through ctypes.

PR_SET_PDEATHSIG belongs to the *thread* that forked: supervisor and zygote fork from their main threads only. The
parent may die unseen between a fork and the call, so the parent is compared after the call.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Orphaned(Exception):
    """The process that should be our parent is gone."""


def become_subreaper() -> None:
    """From now on, descendants whose parent dies become children of this process, which then reads how they end."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be killed when `parent`, our parent now, dies. Raises `Orphaned` if it has died already."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise Orphaned(f"{parent} is gone")


def await_parent(parent: int, timeout_ns: int) -> None:
    """Wait until `parent` has adopted us, which takes until the process between us has exited.

    Raises `Orphaned` if that takes longer than `timeout_ns`.
    """
    deadline = time.monotonic_ns() + timeout_ns
    while os.getppid() != parent:
        if time.monotonic_ns() > deadline:
            raise Orphaned(f"{parent} has not adopted us")
        os.sched_yield()


def prctl(option: int, argument: int) -> None:
    """Raises OSError if the kernel refuses."""
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
