"""Circles of stopped engines on live nodes: found within a second, named, and resolved; and nothing else is one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, MailboxSpec, Placement

CAPACITY = 8
FOUND_S = 1.0
SLACK_STARTS = 8
"""What a test may add, in starts of its node: a busy machine stretches both. The bound itself is measured elsewhere."""


def relay(name: str, to: str, group: str = "", family: str = "RELAY", **params: Any) -> EngineSpec:
    placement = Placement("group", group) if group else Placement()
    boxes = {0: MailboxSpec(capacity=CAPACITY)}
    return EngineSpec(name, f"circling:{family}", {"next": to, **params}, mailboxes=boxes, placement=placement)


def ring(names: Sequence[str], groups: Sequence[str] = ()) -> list[EngineSpec]:
    """Each hands on to the next one, the last to the first."""
    following = [*names[1:], names[0]]
    return [
        relay(name, to, groups[i] if groups else "") for i, (name, to) in enumerate(zip(names, following, strict=True))
    ]


def starter(names: Sequence[str]) -> EngineSpec:
    """One that has all send in its turn: where they are told one by one, the first may be done before the last."""
    return EngineSpec("starter", "circling:STARTER", {"to": list(names)})


def start(node: LiveNode) -> None:
    node.send("starter", "Start", count=2 * CAPACITY, left=4)


def pour(node: LiveNode, names: Sequence[str], left: int = 4) -> None:
    for name in names:
        node.send(name, "Pour", count=2 * CAPACITY, left=left)


def named(node: LiveNode) -> set[frozenset[str]]:
    """The circles that events name."""
    return {frozenset(event["engines"]) for event in node.events("circle")}


def lost(node: LiveNode) -> int:
    return {i["reason"]: int(i["count"]) for i in node.ask("dead_letters", counts=True)}.get("deadlock", 0)


def at_rest(node: LiveNode, names: Sequence[str]) -> bool:
    """Whether they handled all there is."""
    items = node.ps()
    return all(items[name]["state"] in ("running", "device") and not items[name]["mailbox_depth"] for name in names)


def counts(node: LiveNode, names: Sequence[str]) -> tuple[int, int]:
    """Drops that came, and that were made."""
    states = [node.ask("state", engine=name)[0]["state"] for name in names]
    return sum(state["seen"] for state in states), sum(state["made"] for state in states)


def all_accounted_for(node: LiveNode, names: Sequence[str]) -> bool:
    """Whether each drop that was made came or is a dead letter."""
    seen, made = counts(node, names)
    return at_rest(node, names) and seen + lost(node) == made


@pytest.mark.storm
@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ("ab", ()),
        pytest.param("abc", (), marks=pytest.mark.storm),
        pytest.param("abcdefgh", (), marks=pytest.mark.storm),
        pytest.param("abcd", ("one", "one", "two", "two"), marks=pytest.mark.storm),
        ("abcd", ("one", "two", "one", "two")),
        ("abc", ("one", "one", "")),
    ],
)
def test_a_circle_is_found_within_a_second_named_and_resolved(
    world: World, names: str, groups: tuple[str, ...]
) -> None:
    """Engines that stop each other over process boundaries stand still for ever, or lose more than the bound costs."""
    began_s = time.monotonic()
    with world.up(world.spec(*ring(names, groups), starter(names))) as node:
        up_s = time.monotonic()
        start(node)
        until(lambda: node.events("circle"), "the circle")
        assert time.monotonic() - up_s < FOUND_S + SLACK_STARTS * (up_s - began_s)
        assert node.events("circle")[0]["relief"] == "allowance"
        until(lambda: all_accounted_for(node, names), "the end of all drops")
        assert named(node) == {frozenset(names)}
        assert all(item["state"] == "running" for item in node.ps().values())


@pytest.mark.storm
def test_two_circles_are_two_and_a_spent_allowance_ends_in_letters(world: World) -> None:
    """One circle hides another, or a circle that makes more than all mailboxes take never ends."""
    with world.up(world.spec(*ring("ab"), *ring("xyz"))) as node:
        pour(node, "abxyz")
        until(lambda: len(named(node)) == 2, "both circles")
        assert named(node) == {frozenset("ab"), frozenset("xyz")}
        until(lambda: all_accounted_for(node, "abxyz"), "the end of all drops")
        assert {event["relief"] for event in node.events("circle")} == {"allowance", "loss"}
        assert lost(node) > 0


@pytest.mark.storm
def test_a_slow_chain_and_a_user_who_thinks_are_no_circle(world: World) -> None:
    """Engines that only wait for a slow one, or for a user, are called a circle, and lose messages."""
    chain = [relay(name, to, copies=1, take_ms=2) for name, to in ("pq", "qr", "rs", "st")]
    end = relay("t", "t", take_ms=20)
    asked = [relay("m", "n"), relay("n", "m")]
    with world.up(world.spec(*chain, end, *asked, *ring("ab"))) as node:
        node.send("n", "Hold")
        until(lambda: node.states()["n"] == "suspended", "the choice")
        node.send("p", "Pour", count=60, left=3)
        node.send("m", "Pour", count=40, left=1)
        node.send("p", "Pour", count=60, left=3)
        pour(node, "ab")
        until(lambda: node.events("circle", "a"), "the circle that is one")
        assert node.states()["n"] == "suspended"
        node.ask("answer", engine="n", choice="go")
        until(lambda: at_rest(node, "pqrst") and counts(node, "pqrst") == (480, 480), "the end of the chain")
        assert all(circle in ({"a", "b"}, {"m", "n"}) for circle in named(node))
        assert node.ask("state", engine="t")[0]["state"]["seen"] == 120


@pytest.mark.storm
def test_a_device_may_be_part_of_a_circle(world: World) -> None:
    """A driver that waits to send, in a circle, waits for ever."""
    engines = [relay("a", "b"), relay("b", "pump"), relay("pump", "a", family="PUMP")]
    with world.up(world.spec(*engines, starter(["a", "b", "pump"]))) as node:
        start(node)
        until(lambda: node.events("circle"), "the circle")
        until(lambda: at_rest(node, ["a", "b", "pump"]), "the end of all drops")
        assert named(node) == {frozenset(("a", "b", "pump"))}


@pytest.mark.storm
def test_a_circle_during_a_reload_loses_nothing_but_what_is_said(world: World) -> None:
    """A reload of an engine in a circle loses its mail, or the circle is forgotten with the process."""
    with world.up(world.spec(*ring("abc"))) as node:
        pour(node, "abc")
        source = world.roots / "circling.py"
        for number in range(3):
            source.write_text(source.read_text() + f"\nVERSION = {number}\n")
            node.ask("reload", engine="abc"[number], timeout_ns=DEADLINE_NS)
        until(lambda: all_accounted_for(node, "abc"), "the end of all drops")
        assert len(node.events("reloaded")) == 3


@pytest.mark.storm
def test_a_circle_during_a_restart_ends(world: World) -> None:
    """A process that dies in a circle leaves the others standing, or a relief meant for it reaches the next one."""
    with world.up(world.spec(*ring("abc"))) as node:
        pour(node, "abc")
        until(lambda: node.events("circle"), "the circle")
        os.kill(node.ps()["b"]["pid"], signal.SIGKILL)
        until(lambda: node.events("restarted", "b"), "the restart")
        until(lambda: at_rest(node, "abc"), "the end of all drops")
        [crashed] = node.events("crashed", "b")
        assert crashed["lost"] > 0
