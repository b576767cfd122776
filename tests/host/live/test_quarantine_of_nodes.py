"""Poison of journaled engines, on a live node: set aside, kept over the death of anything, and brought back."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from live_nodes import LiveNode, World, until
from test_supervision_of_nodes import FREE, event, is_up, post

from host.config.spec import ChildSpec, EngineSpec, TransportSpec
from host.live.control.protocol import ControlError


def journaled(name: str, policy: Any = "skip") -> EngineSpec:
    return EngineSpec(name, "failing:VICTIM", child=ChildSpec(poison=policy), durability="crash")


def entries(node: LiveNode, count: int) -> list[Any]:
    return until(lambda: (found := node.ask("quarantine", do="ls"))[count - 1 :] and found, f"{count} entries")


def test_an_action_that_raises_goes_to_quarantine_at_once_and_comes_back(world: World) -> None:
    """A message that a bug could not handle is lost, or its engine stops for it."""
    with world.up(world.spec(journaled("a"), journaled("b"), supervision=FREE)) as node:
        with pytest.raises(ControlError, match="quarantined"):
            node.send("a", "Raise", wait="Total")
        node.send("a", "Add")
        assert node.total("a") == 1
        (entry,) = entries(node, 1)
        assert (entry["engine"], entry["message"], entry["reason"]) == ("a", ["Raise"], "RuntimeError: as asked")
        (whole,) = node.ask("quarantine", do="show", id=entry["id"])
        assert "failing.py" in whole["detail"]
        assert len(whole["state"]) == 32
        assert whole["code"] == node.ps()["a"]["version"]
        node.ask("quarantine", do="replay", id=entry["id"])
        (again,) = until(
            lambda: [e for e in node.ask("quarantine", do="ls") if e["id"] != entry["id"]], "it fails once more"
        )
        node.ask("quarantine", do="discard", id=again["id"])
        assert node.ask("quarantine", do="ls") == []
        with pytest.raises(ControlError, match="no entry"):
            node.ask("quarantine", do="discard", id=again["id"])
        assert node.ask("dead_letters", limit=10) == []


def test_a_message_that_kills_is_tried_once_more_and_then_set_aside(world: World) -> None:
    """A message that kills is tried for ever, or not even once more."""
    with world.up(world.spec(journaled("a"), journaled("b"), supervision=FREE)) as node:
        node.send("b", "Spit", target="a", count=3, raising=0, killing=3)
        (entry,) = entries(node, 1)
        until(lambda: is_up(node, "a"), "the last restart")
        assert (entry["n"], entry["message"]) == (3, ["Signal", 11])
        assert "signal" in entry["reason"]
        assert len(node.events("crashed", "a")) == 2
        assert node.ask("dead_letters", limit=10) == []


@pytest.mark.storm
def test_a_kill_by_somebody_else_is_no_attempt(world: World) -> None:
    """Who kills processes at random fills the quarantine with good messages."""
    with world.up(world.spec(journaled("a"), supervision=FREE)) as node:
        post(node, "a", "Spin")
        for n in range(1, 4):
            until(lambda: node.states()["a"] == "busy", "the loop")
            os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
            event(node, "crashed", "a", n)
        assert node.ask("quarantine", do="ls") == []


@pytest.mark.storm
def test_attempts_and_entries_outlive_a_kill_of_the_supervisor(world: World) -> None:
    """A kill -9 of everything gives poison a new life, or loses what was set aside."""
    spec = world.spec(journaled("a"), supervision=FREE)
    with world.up(spec) as node:
        post(node, "a", "Raise")
        (entry,) = entries(node, 1)
        os.kill(node.pid, signal.SIGKILL)
        until(lambda: not world.processes(), "the end of all")
    with world.up(spec) as node:
        (same,) = node.ask("quarantine", do="ls")
        assert same == entry
        node.end()


@pytest.mark.parametrize("way_out", ["replay", pytest.param("discard", marks=pytest.mark.storm)])
def test_a_parked_engine_waits_until_its_poison_is_dealt_with(world: World, way_out: str) -> None:
    """An engine that must not skip a message skips it, or never goes on."""
    with world.up(world.spec(journaled("a", "park"), journaled("b"), supervision=FREE)) as node:
        post(node, "a", "Raise")
        (entry,) = entries(node, 1)
        assert node.states() == {"a": "parked", "b": "running"}
        node.send("a", "Add", amount=5)
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        event(node, "restarted", "a")
        until(lambda: node.states()["a"] == "parked", "parked again")
        node.send("a", "Add", amount=7)
        node.ask("quarantine", do=way_out, id=entry["id"])
        if way_out == "replay":
            (again,) = until(
                lambda: [e for e in node.ask("quarantine", do="ls") if e["id"] != entry["id"]], "it fails once more"
            )
            node.ask("quarantine", do="discard", id=again["id"])
        until(lambda: node.states()["a"] == "running", "going on")
        assert node.total("a") >= 7


def test_an_engine_can_stop_at_poison(world: World) -> None:
    """An engine goes on although it was to end."""
    with world.up(world.spec(journaled("a", "stop"), journaled("b"), supervision=FREE)) as node:
        post(node, "a", "Raise")
        entries(node, 1)
        event(node, "ended", "a")
        assert set(node.ps()) == {"b"}
        with pytest.raises(ControlError, match="a is not running; entry 1 stays"):
            node.ask("quarantine", do="replay", id=1)


ORDERLY = """
import os
from engines.model import Arrived, Box, Effects, Family, Message, Value, rule

class Word(Message):
    n: int

class Heard(Value):
    of: tuple[int, ...] = ()

@rule
def hear(m: Word, t: Arrived[Word, None, Heard]) -> Effects[Heard, None]:
    if m.n == 3 and not os.path.exists({flag!r}):
        raise ValueError(m.n)
    return Heard((*t.env.state.of, m.n))

ORDERLY = Family("orderly", accepts=Word, state=Heard()).rules(hear)
"""


@pytest.mark.parametrize("local", ["auto", "zmq"])
@pytest.mark.parametrize("durability", ["crash", "durable"])
def test_what_parked_an_engine_is_taken_before_what_waited_behind_it(world: World, durability: Any, local: Any) -> None:
    """False if a message that was replayed came after those that its engine was parked for, to keep their order."""
    flag = world.folder / "mended"
    (world.roots / "orderly.py").write_text(ORDERLY.format(flag=str(flag)))
    spec = EngineSpec("o", "orderly:ORDERLY", durability=durability, child=ChildSpec(poison="park"))
    with world.up(world.spec(spec, supervision=FREE, transport=TransportSpec(local=local))) as node:
        for n in range(1, 6):
            post(node, "o", "Word", n=n)
        (entry,) = entries(node, 1)
        flag.touch()
        node.send("o", "Word", n=6)
        node.ask("quarantine", do="replay", id=entry["id"])
        node.send("o", "Word", n=7)
        until(lambda: len(node.ask("state", engine="o")[0]["state"]["of"]) == 7, "all of them")
        assert node.ask("state", engine="o")[0]["state"]["of"] == [1, 2, 3, 4, 5, 6, 7]
