"""A node that starts without the engines whose log is damaged, and goes on with them once the log is right again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from live_nodes import World, until

from host.cli.commands.up import render_node
from host.config.spec import EngineSpec, GroupSpec, SupervisionSpec
from host.live.control.launch import Launch

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def node_spec(world: World, **rest: Any) -> Any:
    engines = [EngineSpec(name, "lasting:ACCOUNT", durability="crash") for name in ("a", "b")]
    return world.spec(*engines, supervision=FREE, **rest)


def damage(world: World) -> tuple[Path, bytes]:
    """One byte of a's log is another one; the file, and what it was."""
    segment = min((world.folder / "test" / "journal" / "a").glob("*.log"))
    content = segment.read_bytes()
    spoiled = bytearray(content)
    spoiled[len(content) // 2] ^= 1
    segment.write_bytes(spoiled)
    return segment, content


def credited(node: Any, engine: str) -> int:
    return int(node.ask("state", engine=engine)[0]["state"]["credited"])


@pytest.mark.storm
def test_the_rest_starts_and_senders_are_as_with_any_degraded_engine(world: World) -> None:
    """False if one damaged log kept the node from starting, if its engine ran or its log changed, or if what was sent
    to it meanwhile and fits into its lane did not arrive once the log was right again."""
    spec = node_spec(world)
    with world.up(spec) as node:
        node.send("a", "Transfer", to="b", amount=1, number=1)
        node.send("b", "Transfer", to="a", amount=1, number=1)
        until(lambda: credited(node, "a") == credited(node, "b") == 1, "two transfers")
        node.end()
    segment, content = damage(world)
    spoiled = segment.read_bytes()
    with Launch(spec, attached=False) as launch:
        assert world.responses(launch)[-1].error == "not_ready"
        launch.process.wait(10)
    with world.up(msgspec.structs.replace(spec, without_damaged=True)) as node:
        assert node.states() == {"a": "degraded", "b": "running"}
        assert f"{segment.name} at offset" in node.ps()["a"]["fault"]
        assert f"{segment.name} at offset" in node.events("degraded", "a")[0]["reason"]
        node.send("b", "Transfer", to="a", amount=1, number=2)
        assert segment.read_bytes() == spoiled
        segment.write_bytes(content)
        node.ask("restart", engine="a")
        until(lambda: node.states()["a"] == "running", "the restart")
        until(lambda: credited(node, "a") == 2, "the transfer")


def test_the_command_says_which_engines_are_left_out(world: World) -> None:
    """False if `up --without-damaged` named the engines as ready, or said nothing of why they are not."""
    spec = node_spec(world)
    with world.up(spec) as node:
        node.send("a", "Transfer", to="b", amount=1, number=1)
        node.end()
    damage(world)
    with Launch(msgspec.structs.replace(spec, without_damaged=True), attached=False) as launch:
        last = world.responses(launch)[-1]
        shown = render_node([{**last.items[0], "ready": [{"engine": "b", "pid": 1}], "took_ns": 1}])
        launch.process.terminate()
        launch.process.wait(10)
    assert "a       degraded" in shown
    assert "\na: journal: " in shown


@pytest.mark.storm
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
def test_a_member_of_a_group_is_left_out_alone(world: World, strategy: Any) -> None:
    """False if the others of its group waited for ever for one whose log is damaged."""
    group = GroupSpec("g", strategy, ("a", "b"), None, 1_000_000_000)
    spec = node_spec(world)
    with world.up(spec) as node:
        node.send("a", "Transfer", to="b", amount=1, number=1)
        node.end()
    damage(world)
    supervision = msgspec.structs.replace(FREE, groups=(group,))
    spec = msgspec.structs.replace(spec, supervision=supervision, without_damaged=True)
    with world.up(spec) as node:
        assert node.states() == {"a": "degraded", "b": "running"}
