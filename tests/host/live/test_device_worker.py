"""Devices: drivers on an event loop, live, as part of a node."""

from __future__ import annotations

from typing import Any

import pytest
from deadline import DEADLINE_NS
from live_nodes import World, counter, until

from host.config.spec import EngineSpec, MailboxSpec, Placement, TransportSpec

BLASTER = "blasting:BLASTER"
WATCHER = "blasting:WATCHER"
ONE = Placement("group", group="all")


def sight(node: Any, engine: str, count: int) -> Any:
    """What the watcher saw, once it saw so many."""

    def found() -> Any:
        seen = node.send(engine, "Report", wait="Sight")
        return seen if seen["count"] >= count else None

    return until(found, f"{count} items at {engine}")


@pytest.mark.parametrize("local", ["auto", "zmq"])
def test_a_stream_arrives_whole_and_in_order(world: World, local: Any) -> None:
    """False if a driver that sends as fast as it can lost an item, or two changed places."""
    spec = world.spec(
        EngineSpec("source", BLASTER), EngineSpec("watcher", WATCHER), transport=TransportSpec(local=local)
    )
    with world.up(spec) as node:
        assert node.ps()["source"]["state"] == "device"
        node.send("source", "Blast", count=50_000, target="watcher")
        seen = sight(node, "watcher", 50_000)
        assert (seen["count"], seen["disorder"]) == (50_000, 0)
        until(lambda: node.ps()["watcher"]["handled"] >= 50_000, "the count of what was handled")
        assert node.ask("dead_letters", limit=10) == []


def test_a_slow_receiver_holds_a_fast_driver_back(world: World) -> None:
    """False if a small mailbox lost mail or let its sender run on for ever."""
    watcher = EngineSpec("watcher", WATCHER, mailboxes={0: MailboxSpec(capacity=64)})
    with world.up(world.spec(EngineSpec("source", BLASTER), watcher)) as node:
        node.send("source", "Blast", count=20_000, target="watcher")
        assert sight(node, "watcher", 20_000)["disorder"] == 0
        assert node.ask("dead_letters", limit=10) == []


@pytest.mark.storm
def test_mail_of_a_device_to_nobody_becomes_dead_letters(world: World) -> None:
    """False if a driver's mistake in a name were silent, or stopped its sends to others."""
    with world.up(world.spec(EngineSpec("source", BLASTER), EngineSpec("watcher", WATCHER))) as node:
        node.send("source", "Blast", count=100, target="nobody")
        node.send("source", "Blast", count=100, target="watcher")
        assert sight(node, "watcher", 100)["disorder"] == 0
        counts = until(lambda: node.ask("dead_letters", counts=True), "dead letters")
        assert counts == [{"reason": "unknown", "count": 100}]


def test_a_driver_that_returns_ends_its_engine(world: World) -> None:
    """False if the end of a driver left an engine that takes mail nobody reads."""
    with world.up(world.spec(EngineSpec("source", BLASTER), counter("c"))) as node:
        node.send("source", "Leave")
        until(lambda: node.events("ended", "source"), "the end of the device")
        assert "source" not in node.ps()


def test_a_driver_that_raises_is_reported_and_started_again(world: World) -> None:
    """False if a crash of a driver went unnoticed, or its engine stayed dead."""
    with world.up(world.spec(EngineSpec("source", BLASTER), EngineSpec("watcher", WATCHER))) as node:
        node.send("source", "Fall")
        (failed,) = until(lambda: node.events("failed", "source"), "the failure")
        assert "RuntimeError: as asked" in failed["detail"]
        until(lambda: node.events("restarted", "source"), "the restart")
        node.send("source", "Blast", count=10, target="watcher")
        assert sight(node, "watcher", 10)["disorder"] == 0


@pytest.mark.storm
def test_devices_of_one_process_send_to_each_other(world: World) -> None:
    """False if neighbours were reached only through lanes."""
    spec = world.spec(EngineSpec("a", BLASTER, placement=ONE), EngineSpec("b", BLASTER, placement=ONE))
    with world.up(spec) as node:
        assert node.ps()["a"]["pid"] == node.ps()["b"]["pid"]
        node.send("a", "Blast", count=10, target="b")
        counts = until(lambda: node.ask("dead_letters", counts=True), "dead letters")
        assert counts == [{"reason": "type", "count": 10}]


def test_a_device_is_reloaded_with_its_mail_and_its_streams(world: World) -> None:
    """False if a reload of a device lost what it had sent, or made its next sends look like repeats."""
    with world.up(world.spec(EngineSpec("source", BLASTER), EngineSpec("watcher", WATCHER))) as node:
        node.send("source", "Blast", count=1_000, target="watcher")
        sight(node, "watcher", 1_000)
        node.ask("reload", engine="source", to="", timeout_ns=DEADLINE_NS)
        node.send("source", "Blast", count=1_000, target="watcher")
        assert sight(node, "watcher", 2_000)["count"] == 2_000
        assert node.events("gap") == []
