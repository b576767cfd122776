"""Every process of a node killed -9 at once: nothing is left behind, and nothing blocks the next start."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest
from live_nodes import World, counter, until


def kill_all(world: World) -> None:
    """Each process in turn, whoever is still there."""
    for pid in world.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.storm
@pytest.mark.parametrize("engines", [2, 6])
def test_a_kill_of_everything_leaves_nothing_that_blocks_the_next_start(world: World, engines: int) -> None:
    """A process, shared memory, or a stale socket or lock stays, and the next `up` waits for it or refuses."""
    spec = world.spec(*(counter(f"c{i}") for i in range(engines)))
    shared_memory = set(os.listdir("/dev/shm"))
    for _ in range(3):
        with world.up(spec) as node:
            assert node.total("c0") == 0, "a crashed volatile engine begins again"
            for i in range(engines):
                node.send(f"c{i}", "Add")
            kill_all(world)
            until(lambda: not world.processes(), "the end of all processes")
        assert not [name for name in set(os.listdir("/dev/shm")) - shared_memory if "enginehost" in name]
    with world.up(spec) as node:
        node.end()
    assert world.left() == []
