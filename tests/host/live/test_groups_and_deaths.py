"""A child of a group dies while the group waits for another one to leave: everybody comes back all the same."""

from __future__ import annotations

import os
import signal
from typing import Any

import msgspec
import pytest
from live_nodes import LiveNode, World, until
from test_live_reload import at_gate, gated_migration, open_gate, reloading

from host.config.spec import ChildSpec, EngineSpec, GroupSpec, SupervisionSpec
from host.live.control.protocol import ControlError

SECOND = 1_000_000_000
FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
PATIENT = ChildSpec(shutdown_ns=SECOND)


def is_renewed(node: LiveNode, before: dict[str, int]) -> bool:
    now = node.ps()
    return all(now[name]["state"] == "running" and now[name]["pid"] != pid for name, pid in before.items())


@pytest.mark.storm
@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
@pytest.mark.parametrize("deaths", ["ab", "ba"])
def test_a_death_while_another_one_leaves(world: World, strategy: Any, deaths: str) -> None:
    """False if the plan under way was dropped and the next one did not cover it: a group that is down for ever."""
    group = GroupSpec("g", strategy, ("a", "b", "c"), None, SECOND)
    engines = [EngineSpec(name, "failing:VICTIM", child=PATIENT) for name in "abc"]
    with world.up(world.spec(*engines, supervision=msgspec.structs.replace(FREE, groups=(group,)))) as node:
        before = {name: node.ps()[name]["pid"] for name in "abc"}
        node.halt("c")
        for name in deaths:
            os.kill(before[name], signal.SIGKILL)
            until(lambda name=name: node.events("crashed", name), f"the end of {name}")
        until(lambda: is_renewed(node, before), "the group")
        assert node.events("internal_error") == []
        assert [event["engine"] for event in node.events("restarted")] == ["a", "b", "c"]


@pytest.mark.storm
def test_a_death_while_the_new_process_of_another_one_adopts(world: World) -> None:
    """False if the group started a process into a slot that a reload was about to hand over: two on the same lanes."""
    group = GroupSpec("g", "one_for_all", ("a", "b"), None, SECOND)
    engines = [EngineSpec(name, "counting:COUNTER", child=PATIENT) for name in "ab"]
    with world.up(world.spec(*engines, supervision=msgspec.structs.replace(FREE, groups=(group,)))) as node:
        before = {name: node.ps()[name]["pid"] for name in "ab"}
        gated_migration(world)
        with reloading(node) as found:
            at_gate(world, "migrating")
            os.kill(before["a"], signal.SIGKILL)
            until(lambda: before["a"] not in world.processes(), "the end of a")
            os.kill(before["b"], signal.SIGKILL)
            until(lambda: node.events("restarted", "b"), "the group")
            open_gate(world, "migrating")
        assert isinstance(found[0], ControlError)
        until(lambda: is_renewed(node, before), "the group")
        until(lambda: len(world.processes()) == 4, "two workers")
        assert [node.total(name) for name in "ab"] == [0, 0]
        assert node.events("internal_error") == []


@pytest.mark.storm
def test_a_member_that_ends_before_it_is_ready(world: World) -> None:
    """False if those after one that ended well, and asks for no restart, were never started."""
    group = GroupSpec("g", "one_for_all", ("a", "b"), None, SECOND)
    transient = msgspec.structs.replace(PATIENT, restart="transient")
    engines = [EngineSpec("a", "failing:VICTIM", child=transient), EngineSpec("b", "counting:COUNTER", child=PATIENT)]
    with world.up(world.spec(*engines, supervision=msgspec.structs.replace(FREE, groups=(group,)))) as node:
        (world.roots / "leaves-at-import").touch()
        os.kill(node.ps()["b"]["pid"], signal.SIGKILL)
        until(lambda: node.events("finished", "a"), "the end of a")
        until(lambda: node.events("restarted", "b"), "the start of b")
        assert node.states() == {"a": "finished", "b": "running"}
