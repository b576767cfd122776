"""Children of a journaled parent in processes of their own: one that ended is not born again by any start."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, SupervisionSpec

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def bear(node: LiveNode, count: int) -> None:
    fields = {"count": ["json", count]}
    args = {"engine": "parent", "tag": "Bear", "fields": fields, "wait": "Born", "timeout_ns": 30_000_000_000}
    (born,) = node.ask("send", timeout_s=31, **args)
    assert born["count"] == count


def started(node: LiveNode, ended: int) -> int:
    """How many engines this life has started, once so many ended."""
    until(lambda: len(node.events("ended")) >= ended, f"the end of {ended} children")
    return len(node.events("started"))


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_a_start_does_not_bear_them_again(world: World, mode: str) -> None:
    """False if each start took a process, and then a slot, for every child there ever was."""
    parent = EngineSpec("parent", "engines.benchmark.spawn:PARENT", durability=mode)
    spec = world.spec(parent, supervision=FREE, spawned="process")
    with world.up(spec) as node:
        bear(node, 6)
        assert started(node, 6) == 7
        node.end()
    with world.up(spec) as node:
        bear(node, 3)
        assert started(node, 3) == 4
        for pid in world.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not world.processes(), "the end of all processes")
    with world.up(spec) as node:
        bear(node, 2)
        assert started(node, 2) <= 4, "the last of the life before may not have been told to its parent"
        assert node.events("spawn_refused") == []
