"""Back-pressure through processes: who is stopped, who is not, what a bound costs, and how soon a sender goes on."""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import Any

import pytest
from live_nodes import LiveNode, World, until
from worker_harness import FAMILIES, Bench

from engines.model import encode, load_family
from host.config.spec import EngineSpec, MailboxSpec, Placement
from host.live import wire
from transport.native import native_available
from transport.port import KIND_GO, KIND_STOP

RESUMES = 200
RESUME_NS_MAX = 10_000_000
"""Beyond what any frame takes at that time."""
"""The bound for the middle one; the slowest of a busy machine is its scheduler's business."""

ON_THE_WAY = 4 * (2_048 + 256)
"""What some cycles drain while the word to stop is on its way to a sender that a busy machine lets wait."""

RSS_BYTES_MAX = 4 << 20
"""What a process may still grow after it is warm."""


def relay(name: str, to: str = "", group: str = "", family: str = "RELAY", **rest: Any) -> EngineSpec:
    placement = Placement("group", group) if group else Placement()
    bounds = MailboxSpec(rest.pop("capacity", 10_000), rest.pop("policy", "wait"))
    params = {"next": to or name, "take_ms": 0, "copies": 1, **rest}
    return EngineSpec(name, f"circling:{family}", params, mailboxes={0: bounds}, placement=placement)


def seen(node: LiveNode, engine: str) -> int:
    return int(node.ask("state", engine=engine)[0]["state"]["seen"])


def letters(node: LiveNode) -> dict[str, int]:
    return {item["reason"]: item["count"] for item in node.ask("dead_letters", counts=True)}


def hold(node: LiveNode, engine: str) -> None:
    node.send(engine, "Hold")
    until(lambda: node.states()[engine] == "suspended", "the choice")


@pytest.mark.storm
def test_a_suspended_engine_stops_its_senders_and_nobody_else(world: World) -> None:
    """A lane waits for an engine, a neighbour in the slot of a full one starves, or a sender blocks its own slot."""
    engines = [
        relay("full", group="one", capacity=8),
        relay("free", group="one"),
        relay("stopped", "full", group="two", take_ms=1),
        relay("beside", "free", group="two"),
        relay("source", "stopped"),
    ]
    with world.up(world.spec(*engines)) as node:
        hold(node, "full")
        node.send("source", "Pour", count=300, left=1)
        until(lambda: node.states()["stopped"] == "paused", "the stop")
        node.send("beside", "Pour", count=5_000, left=0)
        until(lambda: seen(node, "free") == 5_000, "the neighbour's mail, through the lane of who is stopped")
        assert node.states() | {"source": ""} == {
            "full": "suspended",
            "free": "running",
            "stopped": "paused",
            "beside": "running",
            "source": "",
        }
        assert 6 <= node.ps()["full"]["mailbox_depth"] < 300
        node.ask("answer", engine="full", choice="go")
        until(lambda: seen(node, "full") == 300, "all that was held")
        assert letters(node) == {}


@pytest.mark.storm
@pytest.mark.parametrize(
    ("family", "policy", "kept"),
    [
        ("RELAY", "wait", 400),
        ("RELAY", "reject", 8),
        ("LEAKY", "drop-oldest", 8),
        ("RELAY", "drop-oldest", 400),
    ],
)
def test_the_policies_through_a_chain_of_three_processes(world: World, family: str, policy: str, kept: int) -> None:
    """A bound loses what it may not, or nothing where it has to; a loss is not counted; only a lossy box drops."""
    engines = [relay("first", "second"), relay("second", "third", take_ms=1, capacity=50)]
    with world.up(world.spec(*engines, relay("third", family=family, policy=policy, capacity=8))) as node:
        hold(node, "third")
        node.send("first", "Pour", count=400, left=1)
        if kept == 400:
            until(lambda: node.states()["second"] == "paused", "the stop")
        else:
            until(lambda: letters(node).get("mailbox_full") == 400 - kept, "the letters")
        node.ask("answer", engine="third", choice="go")
        until(lambda: seen(node, "third") == kept, "what the policy kept")
        assert letters(node) == ({} if kept == 400 else {"mailbox_full": 400 - kept})


@pytest.mark.storm
def test_memory_is_bounded_under_a_flood(world: World) -> None:
    """A fast sender fills the memory of a slow receiver, or its own."""
    engines = [relay("flood", "slow", family="FLOOD"), relay("slow", take_ms=0.2, capacity=500)]
    with world.up(world.spec(*engines)) as node:
        node.send("flood", "Pour", count=0, left=0)
        until(lambda: seen(node, "slow") > 2_000, "a warm start")
        warm = {name: item["memory_bytes"] for name, item in node.ps().items()}
        until(lambda: seen(node, "slow") > 10_000, "a flood")
        items = node.ps()
        grown = {name: items[name]["memory_bytes"] - warm[name] for name in warm}
        assert all(change < RSS_BYTES_MAX for change in grown.values()), grown
        assert items["slow"]["mailbox_depth"] < 500 + ON_THE_WAY
        assert letters(node) == {}


def test_what_a_kill_costs_is_counted(world: World) -> None:
    """Mail of a neighbour in the process, a message at a choice, or outputs that are held die without a word."""
    engines = [relay("asked", group="one", capacity=8), relay("sender", "asked", group="one")]
    with world.up(world.spec(*engines)) as node:
        hold(node, "asked")
        node.send("sender", "Pour", count=20, left=0)
        until(lambda: node.states()["sender"] == "paused", "the stop")
        waiting = node.ps()["asked"]["mailbox_depth"]
        os.kill(node.ps()["asked"]["pid"], signal.SIGKILL)
        [crashed] = until(lambda: node.events("crashed", "asked"), "the death")
        assert crashed["lost"] == waiting + 1
        assert crashed["unsent"] == 20 - waiting
        assert letters(node) == {"crashed": 1}


@pytest.mark.storm
def test_mail_to_itself_that_dies_is_counted(world: World) -> None:
    """What an engine sent to itself is on no lane, so nobody drains it again, and nobody counts it."""
    with world.up(world.spec(relay("self", take_ms=30))) as node:
        node.send("self", "Pour", count=100, left=0)
        until(lambda: seen(node, "self") >= 3, "some of it")
        handled = seen(node, "self")
        os.kill(node.ps()["self"]["pid"], signal.SIGKILL)
        [crashed] = until(lambda: node.events("crashed", "self"), "the death")
        assert 90 - handled < crashed["lost"] <= 100 - handled
        assert crashed["unsent"] == 0


@pytest.mark.skipif(not native_available(), reason="the test plays a peer through lanes")
def test_a_sender_goes_on_soon_after_the_go(bench: Bench, record_property: Any) -> None:
    """A sender that was stopped sleeps on when its target says go."""
    kinds = {kind.__name__: kind for kind in load_family("circling:RELAY", (FAMILIES,)).accepts_types}
    peer = bench.peer(2)
    worker = bench.worker(EngineSpec("a", "circling:RELAY", {"next": "r", "take_ms": 0, "copies": 1}))
    worker.hear(wire.Ready)
    drop = encode(kinds["Drop"](1))
    peer.send("a", drop)
    assert worker.hear(wire.Resolve).name == "r"
    worker.say(wire.Route("r", 2))
    assert peer.frame().target == "r"
    taken_ns, usual_ns = [], []
    for n in range(2, 2 * RESUMES + 2, 2):
        began_ns = time.monotonic_ns()
        peer.send("a", drop, next_n=n)
        assert peer.frame().first_n == n
        usual_ns.append(time.monotonic_ns() - began_ns)
        signal_to(peer, KIND_STOP)
        peer.send("a", drop, next_n=n + 1)
        worker.ask("stats", number=n)  # it has handled the drop, and holds what that made
        began_ns = time.monotonic_ns()
        signal_to(peer, KIND_GO)
        assert peer.frame().first_n == n + 1
        taken_ns.append(time.monotonic_ns() - began_ns)
    cuts = statistics.quantiles(taken_ns, n=100)
    record_property("resume_us_p50_p99_max", [round(ns / 1e3) for ns in (cuts[49], cuts[98], max(taken_ns))])
    assert cuts[49] < RESUME_NS_MAX + 2 * statistics.median(usual_ns)


def signal_to(peer: Any, kind: int) -> None:
    """Say stop or go for `r`."""
    assert peer.link.signal(1, kind, "r")
    peer.link.flush()
