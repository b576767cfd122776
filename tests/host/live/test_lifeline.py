from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deadline import DEADLINE_S

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


BORN_LATE = """\
import os
from host.live.spawn.zygote_start import fork_zygote

asked = os.getppid
parent = os.getpid()

def seen_before_the_end():
    os.getppid = asked
    while asked() == parent:
        os.sched_yield()
    return parent

os.getppid = seen_before_the_end
fork_zygote(())
os._exit(7)
"""


def test_a_zygote_whose_supervisor_was_refused_says_nothing() -> None:
    """False if the reason of a failed `up` were followed by a traceback, when the supervisor ends while the zygote
    ties its life to it."""
    found = subprocess.run(
        [sys.executable, "-c", BORN_LATE],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (found.returncode, found.stderr) == (7, "")
