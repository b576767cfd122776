"""Rehearsals and dry runs on live nodes: new code runs the last triggers of a journaled engine first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, counter

from host.live.control.protocol import ControlError

ADDS = "t.env.state.total + add.amount"
SAYS = "Total(t.env.state.total, VERSION)"
STATE = "    total: int = 0"
EMITS = "    emits=Total,"


def source(world: World) -> Path:
    return world.roots / "counting.py"


def edit(world: World, *changes: tuple[str, str]) -> None:
    text = source(world).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    source(world).write_text(text)


def reload(node: LiveNode, engine: str = "a", **args: Any) -> Any:
    return node.ask("reload", engine=engine, timeout_ns=DEADLINE_NS, **{"rehearse": 10_000, **args})[0]


def refusal(node: LiveNode, **args: Any) -> str:
    """What a refused reload says; the old process is still there."""
    pid = node.ps()["a"]["pid"]
    with pytest.raises(ControlError) as caught:
        reload(node, **args)
    assert caught.value.error == "refused"
    assert node.ps()["a"]["pid"] == pid
    return str(caught.value)


def busy(node: LiveNode, count: int = 20) -> None:
    """Messages of both kinds in the log."""
    for amount in range(count):
        node.send("a", "Add", amount=amount)
    assert node.send("a", "Ask", wait="Total")["count"] == sum(range(count))


def test_code_that_does_the_same_takes_over(world: World) -> None:
    """False if a refactoring were refused, or the rehearsal ran fewer turns than the log has."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        edit(world, (ADDS, "add.amount + t.env.state.total"))
        item = reload(node)
        assert item["rehearsal"] == [{"engine": "a", "turns": 21, "intended": 0, "added": [], "lost": ""}]
        assert node.total("a") == 190


def test_an_output_that_differs_is_refused_with_its_trigger_and_both_outputs(world: World) -> None:
    """False if undeclared behaviour went into force, or its author could not see where it differs."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        edit(world, (SAYS, "Total(t.env.state.total + 1000, VERSION)"))
        said = refusal(node)
        assert "turn 21, a message of" in said
        assert "'count': 190" in said
        assert "'count': 1190" in said
        assert node.total("a") == 190
        assert reload(node, rehearse=0)["state"] == "as it is"


def test_a_state_that_differs_is_refused_with_its_place(world: World) -> None:
    """False if code that counts otherwise took over, because it says nothing of it."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        edit(world, (ADDS, "t.env.state.total + 2 * add.amount"))
        said = refusal(node)
        assert "turn 2, a message of" in said
        assert "differs after it: state.total" in said


def test_a_declared_difference_takes_over(world: World) -> None:
    """False if an author could not say that a difference is intended."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        intended = f"{EMITS}\n    intended=lambda m: m.places == ('state.total',) or m.after.result == 'committed',"
        edit(world, (ADDS, "t.env.state.total + 2 * add.amount"), (EMITS, intended))
        (result,) = reload(node)["rehearsal"]
        assert (result["turns"], result["intended"]) == (21, 2)


def test_a_field_more_is_no_difference_and_is_named(world: World) -> None:
    """False if the new field of a state were refused, or nobody learnt that its past is not in it."""
    with world.up(world.spec(counter("a", durability="durable"))) as node:
        busy(node)
        edit(world, (STATE, f"{STATE}\n    more: int = 0"), (f"Count({ADDS})", f"Count({ADDS}, t.env.state.more + 1)"))
        (result,) = reload(node)["rehearsal"]
        assert (result["turns"], result["added"]) == (21, ["state.more"])


def test_a_dry_run_replaces_nothing_and_reports(world: World) -> None:
    """False if a dry run changed the engine, or left out what a reload would find."""
    with world.up(world.spec(counter("a", durability="crash"))) as node:
        busy(node)
        before = node.ps()["a"]
        edit(world, (STATE, f"{STATE}\n    more: int = 0"))
        item = reload(node, is_trial=True)
        assert item["tried"]
        assert item["state"] == "converted"
        assert item["changes"] == ["the layout of the state differs"]
        assert item["pause_ns"] > 0
        assert node.ps()["a"]["pid"] == before["pid"]
        assert node.ps()["a"]["version"] == before["version"]
        assert node.total("a") == 190
        busy_again = node.send("a", "Add", amount=10)
        assert busy_again is not None
        assert node.total("a") == 200
        assert not reload(node)["tried"]
        assert node.total("a") == 200


def test_a_dry_run_of_a_volatile_engine(world: World) -> None:
    """False if an engine without a log could not be tried, or lost its state by that."""
    with world.up(world.spec(counter("a"))) as node:
        busy(node)
        edit(world, (SAYS, "Total(t.env.state.total + 1000, VERSION)"))
        item = reload(node, is_trial=True)
        assert "rehearsal" not in item
        assert node.total("a") == 190
