"""The suite `startup` runs: a node comes up through the command line, is looked at, and goes."""

from __future__ import annotations

import pytest

from bench.peers.startup import startup
from host.live.control.instances import running_instances


@pytest.mark.storm
def test_a_round_says_how_long_the_start_took_and_what_idling_costs() -> None:
    """If false, `bench startup` measures nothing, or leaves its node behind."""
    before = {instance.pid for instance in running_instances()}
    taken = startup(3).run()
    detail = taken.detail
    assert taken.value > 0
    assert taken.handled == 3
    assert 0 < detail["private_kib"] <= detail["private_kib_max"]
    assert detail["idle_cpu_ns"] >= 0
    assert not [
        instance for instance in running_instances() if instance.pid not in before and instance.node == "bench-startup"
    ]
