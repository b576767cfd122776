from __future__ import annotations

import os
import signal

import pytest

from host.live.lifeline import Orphaned, await_parent, die_with


def test_a_child_dies_with_its_parent() -> None:
    """The death of a supervisor that closes nothing leaves its workers."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        if os.fork() == 0:
            die_with(os.getppid())
            os.write(writing, b"x")
            signal.pause()
        os.close(writing)
        signal.pause()
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert os.read(reading, 1) == b"", "the grandchild's end of the pipe closes with its death"
    os.close(reading)


def test_a_parent_that_is_not_ours_is_noticed() -> None:
    """A worker of a supervisor that died meanwhile runs on, alone."""
    with pytest.raises(Orphaned, match="has not adopted us"):
        await_parent(1 << 22, 1_000_000)
