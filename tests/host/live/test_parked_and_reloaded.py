"""An engine is parked, or let go on, while its code is exchanged: the new process takes it as it is then."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, counter, until
from test_live_reload import GATED, at_gate, edit, open_gate, reloading

from host.config.spec import ChildSpec, EngineSpec, Placement, SupervisionSpec
from host.live.control.protocol import ControlError

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def parking(name: str = "a", **rest: Any) -> EngineSpec:
    return counter(name, durability="crash", child=ChildSpec(poison="park"), **rest)


def poison(node: LiveNode, name: str = "a") -> int:
    """Have an engine meet a message it cannot handle; the number of the entry."""
    with suppress(ControlError):
        node.send(name, "Raise")
    (entry,) = until(lambda: node.ask("quarantine", do="ls"), "the entry")
    until(lambda: node.states()[name] == "parked", "parked")
    return int(entry["id"])


@pytest.mark.storm
def test_one_that_is_let_go_on_meanwhile_goes_on(world: World) -> None:
    """False if it was parked for good, with no entry that could be dealt with."""
    with world.up(world.spec(parking(), supervision=FREE)) as node:
        number = poison(node)
        edit(world, "import os\n", GATED + "import os\ngate('importing')\n")
        with reloading(node) as found:
            at_gate(world, "importing")
            node.ask("quarantine", do="discard", id=number)
            until(lambda: node.states()["a"] == "running", "going on")
            open_gate(world, "importing")
        assert found[0]["engine"] == "a"
        assert node.total("a") == 0
        assert node.states()["a"] == "running"


@pytest.mark.storm
def test_one_that_is_parked_meanwhile_stays_so(world: World) -> None:
    """False if it went on with its next message, although its policy says that it must not."""
    with world.up(world.spec(parking(), supervision=FREE)) as node:
        edit(world, "import os\n", GATED + "import os\ngate('importing')\n")
        with reloading(node) as found:
            at_gate(world, "importing")
            number = poison(node)
            open_gate(world, "importing")
        assert found[0]["engine"] == "a"
        node.send("a", "Add")
        assert node.states()["a"] == "parked"
        assert node.ask("state", engine="a")[0]["state"]["total"] == 0
        node.ask("quarantine", do="discard", id=number)
        assert node.total("a") == 1


def test_a_neighbour_of_the_same_family_stays_parked_and_keeps_its_policy(world: World) -> None:
    """False if an engine that moves along in a reload went on, or did not park at its next message of that kind."""
    group = Placement("group", "g")
    with world.up(world.spec(parking(placement=group), parking("b", placement=group), supervision=FREE)) as node:
        for _ in range(2):
            number = poison(node, "b")
            node.ask("reload", engine="a", timeout_ns=DEADLINE_NS)
            assert node.states()["b"] == "parked"
            node.ask("quarantine", do="discard", id=number)
            assert node.total("b") == 0
