"""Engines with a journal on live nodes: whatever is killed, their state is there again."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deadline import DEADLINE_S
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, Placement, SupervisionSpec, TransportSpec
from host.live.control.launch import Launch
from host.live.control.protocol import ControlError
from host.node.journal.retention import SNAPSHOT_TURNS

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
MODES = ["crash", "durable"]


def lasting(name: str, durability: Any, **rest: Any) -> EngineSpec:
    return EngineSpec(name, "lasting:LASTING", durability=durability, **rest)


def kill_all(world: World) -> None:
    """Each process in turn, whoever is still there."""
    for pid in world.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.processes(), "the end of all processes")


def kill_worker(node: LiveNode, engine: str, restarts: int = 1) -> None:
    """kill -9, and the next process runs."""
    os.kill(node.ps()[engine]["pid"], signal.SIGKILL)
    until(lambda: _is_back(node, engine, restarts), f"the restart of {engine}")


def _is_back(node: LiveNode, engine: str, restarts: int) -> bool:
    item = node.ps().get(engine)
    return item is not None and item["state"] in ("running", "suspended", "waiting") and item["restarts"] >= restarts


@pytest.mark.parametrize("local", ["auto", "zmq"])
@pytest.mark.parametrize("mode", MODES)
def test_the_state_is_there_after_a_kill_of_its_worker(world: World, mode: str, local: Any) -> None:
    """What was acknowledged is gone, or counted twice; or a volatile engine beside it is affected."""
    spec = world.spec(
        lasting("a", mode), lasting("v", "volatile"), supervision=FREE, transport=TransportSpec(local=local)
    )
    with world.up(spec) as node:
        node.send("v", "Add", amount=7)
        for kill in range(1, 4):
            for _ in range(5):
                node.send("a", "Add")
            kill_worker(node, "a", kill)
            assert node.total("a") == 5 * kill
        assert node.total("v") == 7
        assert node.ps()["v"]["restarts"] == 0
        recovered = node.events("recovered", "a")
        assert [event["mode"] for event in recovered] == [mode] * 3
        assert recovered[-1]["turns"] >= 15
        assert len(node.events("restarted", "a")) == len(node.events("crashed", "a")) == 3


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_the_state_is_there_after_a_kill_of_everything(world: World, mode: str) -> None:
    """A node that is started again on its data folder begins anew, or takes new mail for repeats of old."""
    spec = world.spec(lasting("a", mode), supervision=FREE)
    for life in range(4):
        with world.up(spec) as node:
            assert node.total("a") == 5 * life
            for _ in range(5):
                node.send("a", "Add")
            kill_all(world)
    with world.up(spec) as node:
        assert node.total("a") == 20
        assert len(node.events("recovered", "a")) == 1
        node.end()
    with world.up(spec) as node:
        assert node.total("a") == 20


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_a_timer_and_a_choice_that_stand_survive(world: World, mode: str) -> None:
    """A timer fires never or twice; a question is forgotten, or its message becomes a dead letter."""
    spec = world.spec(lasting("t", mode), lasting("q", mode), supervision=FREE)
    with world.up(spec) as node:
        node.send("t", "Later", after_ns=300_000_000)
        node.send("q", "Decide")
        until(lambda: _stands(node, "q"), "the question")
        kill_worker(node, "t")
        kill_worker(node, "q")
        kill_all(world)
    with world.up(spec) as node:
        until(lambda: node.send("t", "Ask", wait="Total")["fired"] == 1, "the timer")
        until(lambda: _stands(node, "q"), "the question")
        node.ask("answer", engine="q", choice="yes")
        kill_all(world)
    with world.up(spec) as node:
        assert node.send("q", "Ask", wait="Total")["decided"] == ["yes"]
        assert node.send("t", "Ask", wait="Total")["fired"] == 1


def log_files(world: World, slot: str) -> list[Path]:
    """Segments of a slot's log, the oldest first."""
    return sorted((world.folder / "test" / "journal" / slot).glob("*.log"))


def test_a_log_that_is_damaged_is_refused_with_its_place(world: World) -> None:
    """A node starts on what is wrong, or says nothing that helps, or writes into it."""
    spec = world.spec(lasting("a", "crash"), lasting("b", "crash"), supervision=FREE)
    with world.up(spec) as node:
        for _ in range(20):
            node.send("a", "Add")
        node.end()
    segment = log_files(world, "a")[0]
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    before = {path.name: path.read_bytes() for path in log_files(world, "a")}
    with Launch(spec, attached=False) as launch:
        last = world.responses(launch)[-1]
        launch.process.wait(DEADLINE_S)
    assert last.error == "not_ready"
    (item,) = last.items
    assert (item["engine"], item["reason"]) == ("a", "journal")
    assert f"{segment.name} at offset" in item["detail"]
    assert {path.name: path.read_bytes() for path in log_files(world, "a")} == before


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_a_disk_that_fails_ends_the_process_and_costs_nothing(world: World, mode: str) -> None:
    """An engine goes on over a disk that takes nothing, and what it said is gone."""
    spec = world.spec(lasting("a", mode), supervision=FREE)
    with world.up(spec) as node:
        node.send("a", "Add", amount=5)
        size = log_files(world, "a")[-1].stat().st_size
        resource.prlimit(node.ps()["a"]["pid"], resource.RLIMIT_FSIZE, (size, size))
        with suppress(ControlError):
            node.send("a", "Add")
        until(lambda: node.events("journal_stopped"), "the event")
        assert "File too large" in node.events("journal_stopped")[0]["reason"]
        until(lambda: _is_back(node, "a", 1), "the restart")
        assert node.total("a") == 6
        assert node.events("crashed", "a")[0]["reason"] == "exception"


@pytest.mark.storm
@pytest.mark.parametrize("local", ["auto", "zmq"])
def test_a_recovery_is_bounded_by_snapshots(world: World, local: Any) -> None:
    """Every start runs all that ever was: here 24,000 turns."""
    bank = [EngineSpec(name, "lasting:ACCOUNT", durability="crash") for name in "ab"]
    teller = EngineSpec("teller", "lasting:TELLER")
    with world.up(world.spec(*bank, teller, supervision=FREE, transport=TransportSpec(local=local))) as node:
        for first in range(1, 24_000, 1_000):
            node.send("teller", "Spree", accounts=["a", "b"], first=first, count=1_000)
            until(lambda first=first: node.ask("state", engine="a")[0]["state"]["sent"] >= first // 2, "a spree")
        slot = world.folder / "test" / "journal" / "a"
        until(lambda: node.ask("state", engine="a")[0]["state"]["credited"] == 12_000, "all transfers")
        until(lambda: node.send("b", "Transfer", to="a", amount=1, number=10**6) and list(slot.glob("*.snap")), "one")
        kill_worker(node, "a")
        event = node.events("recovered", "a")[0]
        assert event["turns"] >= 24_000
        assert event["replayed"] <= event["turns"] - SNAPSHOT_TURNS
        assert node.ask("state", engine="a")[0]["state"]["sent"] == 12_000


def test_an_engine_that_ended_stays_so(world: World) -> None:
    """A restart of the node makes again what said it was over, or waits for it for ever."""
    spec = world.spec(lasting("a", "crash"), lasting("b", "crash"), supervision=FREE)
    with world.up(spec) as node:
        node.send("a", "End")
        until(lambda: node.events("ended", "a"), "the end")
        kill_all(world)
    with world.up(spec) as node:
        assert node.total("b") == 0
        with pytest.raises(ControlError, match="ended"):
            node.total("a")


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_an_engine_whose_state_another_log_has_does_not_begin_anew(world: World, mode: str) -> None:
    """Another placement costs an engine its state, and nobody says so; or the way back is barred as well."""
    together = world.spec(*(lasting(name, mode, placement=Placement("group", "g")) for name in "ab"), supervision=FREE)
    apart = world.spec(lasting("a", mode, placement=Placement("group", "g")), lasting("b", mode), supervision=FREE)
    with world.up(together) as node:
        node.send("b", "Add", amount=3)
        kill_all(world)
    with Launch(apart, attached=False) as launch:
        last = world.responses(launch)[-1]
        launch.process.wait(DEADLINE_S)
    assert last.error == "not_ready"
    (item,) = last.items
    assert (item["engine"], item["reason"]) == ("b", "journal")
    assert "the state of b is in the log of 'group g'" in item["detail"]
    with world.up(together) as node:
        assert node.total("b") == 3
        assert len(node.events("recovered", "b")) == 1


def test_a_device_with_a_journal_is_refused(world: World) -> None:
    """A node file promises what a driver cannot keep."""
    spec = world.spec(EngineSpec("d", "blocking:BLOCKER", durability="crash"))
    with Launch(spec, attached=False) as launch:
        last = world.responses(launch)[-1]
        launch.process.wait(DEADLINE_S)
    assert "has no journal" in last.items[0]["detail"]


def _stands(node: LiveNode, engine: str) -> bool:
    return bool(node.ps()[engine]["waits_for"])


@pytest.mark.parametrize("mode", MODES)
def test_children_and_neighbours_survive(world: World, mode: str) -> None:
    """A spawned child begins anew, or its parent's process does not know it any more."""
    group = Placement("group", "g")
    spec = world.spec(lasting("a", mode, placement=group), lasting("v", "volatile", placement=group), supervision=FREE)
    with world.up(spec) as node:
        node.send("a", "Bear", word="c")
        until(lambda: "a/c" in node.ps(), "the child")
        node.send("a/c", "Add", amount=3)
        node.send("v", "Add", amount=3)
        kill_worker(node, "a")
        assert node.total("a/c") == 3
        assert node.total("v") == 0, "a volatile engine in the same process begins again"
        node.send("a/c", "Add", amount=3)
        kill_all(world)
    with world.up(spec) as node:
        assert node.total("a/c") == 6


@pytest.mark.storm
@pytest.mark.parametrize(
    "content", [None, "", "xx", "-5", str(1 << 40)], ids=["removed", "empty", "no number", "negative", "huge"]
)
def test_a_count_of_lives_that_is_lost_costs_no_message(world: World, content: str | None) -> None:
    """Messages of a new life are taken for repeats without a word, because nobody knows how many lives there were."""
    spec = world.spec(lasting("a", "durable"), supervision=FREE)
    lives = world.folder / "test" / "journal" / "lives"
    for life in range(1, 4):
        with world.up(spec) as node:
            node.send("a", "Add")
            assert node.total("a") == life
            node.end()
    if content is None:
        lives.unlink()
    else:
        lives.write_text(content)
    for life in range(4, 6):
        with world.up(spec) as node:
            node.send("a", "Add")
            assert node.total("a") == life
            node.end()


@pytest.mark.storm
def test_a_journal_of_another_node_is_refused(world: World) -> None:
    """Two node files that name one data folder go on with each other's engines, without a word."""
    spec = world.spec(lasting("a", "durable"))
    with world.up(spec) as node:
        node.end()
    other = world.spec(lasting("a", "durable"), node="other")
    with Launch(msgspec.structs.replace(other, data=spec.data), attached=False) as launch:
        last = world.responses(launch)[-1]
        launch.process.wait(DEADLINE_S)
    assert last.error
    assert "is that of node test, and this is other" in last.message
