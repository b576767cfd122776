"""A child of a group dies while the group waits for another one to leave: everybody comes back all the same."""

from __future__ import annotations

import os
import signal
from typing import Any

import msgspec
import psutil
import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import ChildSpec, EngineSpec, GroupSpec, SupervisionSpec

SECOND = 1_000_000_000
FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
PATIENT = ChildSpec(shutdown_ns=SECOND)


def stand(node: LiveNode, name: str) -> None:
    """Have a process stand still. Returns once it does."""
    process = psutil.Process(node.ps()[name]["pid"])
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: process.status() == psutil.STATUS_STOPPED, f"{name} stopped")


def is_renewed(node: LiveNode, before: dict[str, int]) -> bool:
    now = node.ps()
    return all(now[name]["state"] == "running" and now[name]["pid"] != pid for name, pid in before.items())


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
@pytest.mark.parametrize("deaths", ["ab", "ba"])
def test_a_death_while_another_one_leaves(world: World, strategy: Any, deaths: str) -> None:
    """False if the plan under way was dropped and the next one did not cover it: a group that is down for ever."""
    group = GroupSpec("g", strategy, ("a", "b", "c"), None, SECOND)
    engines = [EngineSpec(name, "failing:VICTIM", child=PATIENT) for name in "abc"]
    with world.up(world.spec(*engines, supervision=msgspec.structs.replace(FREE, groups=(group,)))) as node:
        before = {name: node.ps()[name]["pid"] for name in "abc"}
        stand(node, "c")
        for name in deaths:
            os.kill(before[name], signal.SIGKILL)
            until(lambda name=name: node.events("crashed", name), f"the end of {name}")
        until(lambda: is_renewed(node, before), "the group")
        assert node.events("internal_error") == []
        assert [event["engine"] for event in node.events("restarted")] == ["a", "b", "c"]
