"""The trace of a node's disk: that it has every call, and that a state after a loss of power is one of its own."""

from __future__ import annotations

from random import Random

import pytest
from live_nodes import World
from traced_disk import SYNC, Tracing, read_tree

from host.config.spec import EngineSpec


@pytest.mark.storm
def test_a_trace_replayed_is_the_folder(world: World, tracing: Tracing) -> None:
    """False if a call of any process were missed, so that a test of lost power looked at less than there is."""
    engines = [EngineSpec(mode, "lasting:LASTING", durability=mode) for mode in ("volatile", "crash", "durable")]
    spec = world.spec(*engines)
    for total in (5, 10):
        with tracing.life(), world.up(spec) as node:
            for mode in ("volatile", "crash", "durable"):
                for _ in range(5):
                    node.send(mode, "Add")
            assert node.total("durable") == total
            node.end()
        assert tracing.recording().last().contents() == read_tree(tracing.data)
        assert any(record.kind == SYNC for record in tracing.recording().records)
    disk = tracing.recording().last()
    tracing.put(disk.after_power_loss(Random(1), ("none",)))
    assert disk.contents() == read_tree(tracing.data)
