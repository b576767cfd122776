"""Engines that end, and processes that die, just while somebody reloads."""

from __future__ import annotations

import os
import resource
import signal
from typing import Any

import pytest
from live_nodes import LiveNode, World, counter, until
from test_live_reload import GATED, at_gate, edit, gated_migration, open_gate, reloading

from host.config.spec import ChildSpec, SupervisionSpec
from host.live.control.protocol import ControlError

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def with_child(node: LiveNode) -> None:
    node.send("a", "Breed")
    until(lambda: node.states().get("a/child") == "running", "the child")


def is_in_order(world: World, node: LiveNode) -> bool:
    """Only `a` is left, and answers."""
    until(lambda: node.states() == {"a": "running"} and len(world.processes()) == 3, "only a")
    return node.total("a") == 0 and not node.events("internal_error")


@pytest.mark.parametrize("spawned", [pytest.param("parent", marks=pytest.mark.storm), "process"])
def test_an_engine_ends_while_it_is_reloaded(world: World, spawned: Any) -> None:
    """False if its neighbours were left without a process that runs them, or its slot was never freed."""
    with world.up(world.spec(counter("a"), supervision=FREE, spawned=spawned)) as node:
        with_child(node)
        edit(world, "import os\n", GATED + "import os\ngate('importing')\n")
        with reloading(node, engine="a/child") as found:
            at_gate(world, "importing")
            node.send("a/child", "End")
            until(lambda: node.events("ended", "a/child"), "the end of the child")
            open_gate(world, "importing")
        assert (found[0].error, str(found[0])) == ("not_found", "a/child ended while it was reloaded")
        assert is_in_order(world, node)


@pytest.mark.storm
def test_its_parent_dies_while_an_engine_is_reloaded(world: World) -> None:
    """False if a child goes on whose parent began anew, or its slot is never freed."""
    with world.up(world.spec(counter("a"), supervision=FREE, spawned="process")) as node:
        with_child(node)
        gated_migration(world)
        with reloading(node, engine="a/child") as found:
            at_gate(world, "migrating")
            os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
            until(lambda: node.events("ended", "a/child"), "the end of the child")
            open_gate(world, "migrating")
        assert isinstance(found[0], ControlError)
        assert is_in_order(world, node)


@pytest.mark.storm
def test_an_engine_ends_as_soon_as_its_new_code_runs(world: World) -> None:
    """False if whoever reloads is told of a mistake of ours."""
    with world.up(world.spec(counter("a"), supervision=FREE)) as node:
        with_child(node)
        gated_migration(world)
        with reloading(node, engine="a/child") as found:
            at_gate(world, "migrating")
            with pytest.raises(ControlError):
                node.client.request("send", {"engine": "a/child", "tag": "End", "timeout_ns": 100_000_000})
            open_gate(world, "migrating")
        assert isinstance(found[0], dict) or "ended while it was reloaded" in str(found[0])
        assert is_in_order(world, node)


@pytest.mark.storm
@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_an_engine_comes_back_when_the_new_process_has_no_room_for_its_log(world: World, restart: Any) -> None:
    """False if the end of the old process, which was asked to leave, is told as that of the new one: it was done."""
    engine = counter("a", durability="crash", child=ChildSpec(restart=restart))
    with world.up(world.spec(engine, supervision=FREE)) as node:
        node.send("a", "Add", amount=9)
        gated_migration(world)
        with reloading(node) as found:
            new = at_gate(world, "migrating")
            resource.prlimit(new, resource.RLIMIT_FSIZE, (0, 0))
            open_gate(world, "migrating")
        assert found[0].error == "failed"
        until(lambda: node.states()["a"] == "running", "the restart")
        (crashed,) = node.events("crashed")
        assert (crashed["reason"], crashed["pid"]) == ("exception", new)
        assert node.total("a") == 9


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["volatile", "crash"])
def test_the_first_child_of_a_family_is_born_while_the_new_code_is_imported(world: World, mode: Any) -> None:
    """False if a family that the new process was not told of were the end of a reload, or of a child."""
    source = world.roots / "counting.py"
    text = source.read_text().replace('Spawn("counting:COUNTER"', 'Spawn("counting:OTHER"')
    text = text.replace('spawns=["counting:COUNTER"]', 'spawns=["counting:OTHER"]')
    text += '\n\nOTHER = Family("other", state=Count(), accepts=Add).rules(add)\n'
    source.write_text(text)
    with world.up(world.spec(counter("a", durability=mode))) as node:
        node.send("a", "Add", amount=1)
        edit(world, "import os\n", GATED + "import os\ngate('importing')\n")
        with reloading(node, engine="a", rehearse=100, timeout_ns=5_000_000_000) as found:
            at_gate(world, "importing")
            with_child(node)
            node.send("a/child", "Add", amount=2)
            open_gate(world, "importing")
        assert isinstance(found[0], dict), found
        node.send("a/child", "Add", amount=3)
        assert node.ask("state", engine="a/child")[0]["state"] == {"total": 5}
        assert node.total("a") == 1
