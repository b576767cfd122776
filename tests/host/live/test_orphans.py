"""What a worker forks for a reload, and does not wait for."""

from __future__ import annotations

import os
import select

from deadline import DEADLINE_S
from live_nodes import in_child

from host.live.inspection.child import begin_orphan
from host.live.lifeline import become_subreaper


def test_the_process_that_forks_an_orphan_does_not_wait_for_it() -> None:
    """False if mail waited until a child had its turn on a busy machine, which takes ten times as long as a fork."""
    in_child(_fork_one)


def _fork_one() -> None:
    become_subreaper()
    me, (gate, opens) = os.getpid(), os.pipe()
    os.register_at_fork(after_in_child=lambda: os.getppid() == me and select.select([gate], [], [], DEADLINE_S))
    child, reading = begin_orphan(lambda writing: os.write(writing, b"the past"), me)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.write(opens, b"!")
    assert os.read(reading, 100) == b"the past"
    assert os.waitpid(child, 0) == (child, 0)
