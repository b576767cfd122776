"""For all tests: no time limit for an example of Hypothesis, since a busy machine is no mistake; no child is left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

LEAVING_S = 10.0
"""A process that was told to leave may take its time, on a busy machine."""

settings.register_profile("patient", deadline=None, print_blob=True)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    """A process that a test started and left running takes time from later ones, and hides what they leave."""
    before = children()
    yield
    deadline = time.monotonic() + LEAVING_S
    while left := children() - before:
        assert time.monotonic() < deadline, f"children still run: {left}"
        time.sleep(0.005)


def children() -> set[str]:
    """What this process has started and still runs; empty where the kernel does not tell."""
    try:
        found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except FileNotFoundError:
        return set()
    return {pid for pid in found if _runs(pid)}


def _runs(pid: str) -> bool:
    """Not one that has ended, or the helper that multiprocessing keeps for as long as a program lives."""
    try:
        is_over = Path("/proc", pid, "stat").read_text().rsplit(") ", 1)[1].startswith("Z")
        return not is_over and b"multiprocessing.resource_tracker" not in Path("/proc", pid, "cmdline").read_bytes()
    except FileNotFoundError:
        return False
