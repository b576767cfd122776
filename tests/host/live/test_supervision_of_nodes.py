"""Engines that fail in every way, on a live node: only the guilty one is affected, and it is said what happened."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from typing import Any

import msgspec
import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import ChildSpec, EngineSpec, GroupSpec, SupervisionSpec, TransportSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError

MS = 1_000_000
SECOND = 1_000_000_000
FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
"""Kills without end cost nothing but the restarts."""

QUICK = msgspec.structs.replace(FREE, soft_ns=400 * MS, hard_ns=1_200 * MS, start_ns=2_500 * MS)
"""Far below the defaults, and above what a healthy process needs on a busy machine."""


def victim(name: str, **rest: Any) -> EngineSpec:
    return EngineSpec(name, "failing:VICTIM", **rest)


def child(name: str, **rest: Any) -> EngineSpec:
    return victim(name, child=ChildSpec(**rest))


def post(node: LiveNode, engine: str, tag: str, **fields: Any) -> None:
    """Send, whatever becomes of it and of its engine."""
    with Client(node.client.path) as client:
        written = {name: ["json", value] for name, value in fields.items()}
        args = {"engine": engine, "tag": tag, "fields": written, "timeout_ns": SECOND}
        try:
            client.request("send", args)
        except ControlError as error:
            assert error.error in ("failed", "timeout"), error  # noqa: PT017


def event(node: LiveNode, kind: str, engine: str, count: int = 1) -> Any:
    """The newest of so many events."""
    return until(lambda: (found := node.events(kind, engine))[count - 1 :] and found[-1], f"{kind} of {engine}")


def is_up(node: LiveNode, *engines: str) -> bool:
    states = node.states()
    return all(states.get(name) == "running" for name in engines)


def test_reasons_are_told_apart(world: World) -> None:
    """`events` says "crashed" and nobody knows why."""
    ends: list[tuple[str, dict[str, int], str, str]] = [
        ("Leave", {"code": 0}, "normal", ""),
        ("Leave", {"code": 1}, "exception", ""),
        ("Leave", {"code": 3}, "exit", "code 3"),
        ("Signal", {"number": 11}, "signal", ""),
        ("Signal", {"number": 9}, "signal", ""),
    ]
    with world.up(world.spec(victim("a"), victim("b"), supervision=FREE)) as node:
        node.send("b", "Add", amount=5)
        for count, (tag, fields, reason, detail) in enumerate(ends, start=1):
            post(node, "a", tag, **fields)
            crashed = event(node, "crashed", "a", count)
            assert (crashed["reason"], crashed["detail"]) == (reason, detail)
            event(node, "restarted", "a", count)
            until(lambda: is_up(node, "a"), "the restart")
        assert node.total("b") == 5
        assert node.ps()["b"]["restarts"] == 0


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
def test_a_restart_by_hand_does_not_wait_for_the_pause(world: World, strategy: Any) -> None:
    """A cause that was mended is waited for. False if `restart` is refused, or the pause goes on."""
    days = 24 * 3_600 * SECOND
    group = GroupSpec("g", strategy, ("a", "b"), None, SECOND)
    patient = msgspec.structs.replace(FREE, backoff_ns=20 * days, backoff_max_ns=20 * days, groups=(group,))
    with world.up(world.spec(victim("a"), victim("b"), supervision=patient)) as node:
        post(node, "a", "Leave", code=3)
        event(node, "restarted", "a")
        until(lambda: is_up(node, "a", "b"), "the restart without a pause")
        post(node, "a", "Leave", code=3)
        until(lambda: node.states()["a"] == "restarting", "the pause")
        node.ask("restart", engine="a")
        until(lambda: is_up(node, "a", "b"), "the restart by hand")
        assert len(node.events("restarted", "a")) == 2


def test_a_transient_child_that_ends_well_and_a_temporary_one_stay_down(world: World) -> None:
    """A task that was done is done again and again."""
    spec = world.spec(child("p"), child("t", restart="transient"), child("x", restart="temporary"), supervision=FREE)
    with world.up(spec) as node:
        post(node, "t", "Leave", code=3)
        event(node, "restarted", "t")
        for name in ("p", "t"):
            post(node, name, "Leave", code=0)
        post(node, "x", "Leave", code=3)
        event(node, "restarted", "p")
        event(node, "finished", "t")
        event(node, "finished", "x")
        assert "x" not in node.ps()
        assert node.states()["t"] == "finished"
        node.ask("restart", engine="t")
        until(lambda: is_up(node, "t"), "the restart by hand")
        assert node.total("t") == 0
        with pytest.raises(ControlError, match="p is running"):
            node.ask("restart", engine="p")


def order_of(node: LiveNode, *kinds: str) -> list[tuple[str, str]]:
    events = node.ask("events", limit=10_000)
    return [(e["kind"], e["engine"]) for e in events if e["kind"] in kinds]


@pytest.mark.parametrize(
    ("strategy", "recalled", "restarted"),
    [
        ("one_for_one", [], ["b"]),
        pytest.param("rest_for_one", ["d", "c"], ["b", "c", "d"], marks=pytest.mark.storm),
        pytest.param("one_for_all", ["d", "c", "a"], ["a", "b", "c", "d"], marks=pytest.mark.storm),
    ],
)
def test_a_group_goes_down_in_reverse_and_comes_up_in_order(
    world: World, strategy: Any, recalled: list[str], restarted: list[str]
) -> None:
    """A group comes back with members that remember what the others do not."""
    group = GroupSpec("g", strategy, ("a", "b", "c", "d"), None, SECOND)
    supervision = msgspec.structs.replace(FREE, groups=(group,))
    with world.up(world.spec(*map(victim, "abcde"), supervision=supervision)) as node:
        assert [name for _, name in order_of(node, "started") if name != "e"] == list("abcd")
        for name in "abcde":
            node.send(name, "Add", amount=7)
        os.kill(node.ps()["b"]["pid"], signal.SIGKILL)
        until(lambda: len(order_of(node, "restarted")) == len(restarted) and is_up(node, *"abcde"), "the group")
        assert [name for _, name in order_of(node, "recalled")] == recalled
        assert [name for _, name in order_of(node, "restarted")] == restarted
        kept = {name: node.total(name) for name in "abcde"}
        assert kept == {name: 0 if name in restarted else 7 for name in "abcde"}


def test_a_group_that_dies_too_often_is_stopped_and_degraded(world: World) -> None:
    """A group goes on with half of its members for ever."""
    group = GroupSpec("g", "one_for_all", ("a", "b"), 1, 60 * SECOND)
    supervision = msgspec.structs.replace(FREE, groups=(group,))
    with world.up(world.spec(*map(victim, "abc"), supervision=supervision)) as node:
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        until(lambda: node.events("restarted", "b") and is_up(node, "a", "b"), "the group")
        os.kill(node.ps()["b"]["pid"], signal.SIGKILL)
        until(lambda: node.states() == {"a": "degraded", "b": "degraded", "c": "running"}, "the end of the group")
        assert "1 restarts within 60 s" in node.ps()["a"]["fault"]
        node.ask("restart", engine="a")
        until(lambda: is_up(node, "a", "b", "c"), "the group by hand")


def test_a_crash_loop_ends_degraded_and_its_senders_go_on(world: World) -> None:
    """A crash loop burns a processor for ever, or stalls everybody who writes to it."""
    supervision = SupervisionSpec(intensity=3, period_ns=60 * SECOND, backoff_ns=MS, backoff_max_ns=10 * MS)
    spec = world.spec(victim("a"), victim("b"), supervision=supervision, transport=TransportSpec(lane_bytes=64 * 1024))
    with world.up(spec) as node:
        node.send("b", "Spit", target="a", count=1)
        for _ in range(4):
            until(lambda: is_up(node, "a") or node.states()["a"] == "degraded", "another life")
            os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
            before = len(node.events("crashed", "a"))
            until(lambda before=before: len(node.events("crashed", "a")) >= before, "its end")
            until(lambda: node.states()["a"] != "restarting", "what follows")
        degraded = event(node, "degraded", "a")
        assert degraded["reason"] == "3 restarts within 60 s"
        assert "3 restarts within 60 s" in node.ps()["a"]["fault"]
        node.send("b", "Spit", target="a", count=100)
        for _ in range(10):
            node.send("b", "Spit", target="a", count=5_000)
        assert node.total("b") == 0
        counts = {item["reason"]: item["count"] for item in node.ask("dead_letters", counts=True)}
        assert counts["degraded"] > 10_000
        node.ask("restart", engine="a")
        until(lambda: is_up(node, "a"), "the restart by hand")
        until(lambda: node.total("a") == 50_100 - counts["degraded"], "what its lane held")
        node.send("b", "Spit", target="a", count=1)
        until(lambda: node.total("a") == 50_101 - counts["degraded"], "a message after it")


@pytest.mark.storm
@pytest.mark.parametrize("how", ["Spin", "Grind", "SIGSTOP"])
def test_a_hang_is_seen_dumped_and_ended(world: World, how: str) -> None:
    """A loop that never ends, in Python, in C, or stopped, keeps its engine for ever, or takes others along."""
    with world.up(world.spec(victim("a"), victim("b"), supervision=QUICK)) as node:
        pid = node.ps()["a"]["pid"]
        began = time.monotonic()
        if how == "SIGSTOP":
            os.kill(pid, signal.SIGSTOP)
        else:
            post(node, "a", how)
        stuck = event(node, "stuck", "a")
        for _ in range(20):
            node.send("b", "Add")
        crashed = event(node, "crashed", "a")
        took = time.monotonic() - began
        assert (stuck["pid"], crashed["pid"], crashed["reason"]) == (pid, pid, "hung")
        if how == "SIGSTOP":
            assert (stuck["condition"], stuck["stack"]) == ("stopped", "")
        else:
            assert 'failing.py", line' in stuck["stack"]
            assert how.lower() in stuck["stack"]
            (letter,) = until(lambda: node.ask("dead_letters", limit=10), "the message that hung")
            assert (letter["reason"], letter["message"]) == ("crashed", [how])
        until(lambda: is_up(node, "a"), "the restart")
        assert node.total("b") == 20
        assert took < FREE.hard_ns / SECOND, "the limits of the node file did not count"


@pytest.mark.storm
def test_a_driver_that_blocks_is_seen_and_ended(world: World) -> None:
    """A device that waits in the wrong way is deaf for ever, or one that waits in the right way is killed for it."""
    spec = world.spec(EngineSpec("d", "blocking:BLOCKER"), EngineSpec("idle", "blocking:BLOCKER"), supervision=QUICK)
    with world.up(spec) as node:
        post(node, "d", "Block")
        stuck = event(node, "stuck", "d")
        assert stuck["condition"] == "deaf"
        assert "blocking.py" in stuck["stack"]
        assert event(node, "crashed", "d")["reason"] == "hung"
        event(node, "restarted", "d")
        assert node.events("stuck", "idle") == []


def test_a_driver_that_raises_after_its_start_is_an_exception(world: World) -> None:
    """False if the crash of a device that had started is shown as a start that failed."""
    with world.up(world.spec(EngineSpec("d", "blasting:BLASTER"), supervision=FREE)) as node:
        post(node, "d", "Fall")
        assert "RuntimeError: as asked" in event(node, "failed", "d")["detail"]
        crashed = event(node, "crashed", "d")
        assert crashed["reason"] == "exception"
        event(node, "restarted", "d")


@pytest.mark.storm
def test_a_slow_engine_is_not_stuck(world: World) -> None:
    """Who works hard is killed for it."""
    with world.up(world.spec(victim("a"), victim("b"), supervision=QUICK)) as node:
        for _ in range(40):
            node.send("b", "Spit", target="a", count=5_000)
        until(lambda: node.total("a") == 200_000, "all of them")
        assert node.events("stuck") == []
        assert node.ps()["a"]["restarts"] == 0


@pytest.mark.storm
def test_a_start_that_hangs_is_ended_and_tried_again(world: World) -> None:
    """An import that never ends keeps an engine from ever coming back."""
    with world.up(world.spec(victim("a"), victim("b"), supervision=QUICK)) as node:
        flag = world.roots / "hang-at-import"
        flag.touch()
        with (world.roots / "failing.py").open("a") as module:
            module.write("# edited: whoever comes next imports it again\n")
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        event(node, "start_timeout", "a")
        crashed = event(node, "crashed", "a", 2)
        assert crashed["reason"] == "start_timeout"
        assert node.total("b") == 0
        flag.unlink()
        until(lambda: is_up(node, "a"), "a start that does not hang")


@pytest.mark.storm
def test_a_memory_hog_meets_its_limit(world: World) -> None:
    """One engine takes the memory of the machine."""
    spec = world.spec(child("a", memory_bytes=256 << 20), victim("b"), supervision=FREE)
    with world.up(spec) as node:
        node.send("a", "Hog", megabytes=16)
        with pytest.raises(ControlError, match="MemoryError"):
            node.send("a", "Hog", megabytes=1_024)
        node.send("b", "Hog", megabytes=300)
        assert node.total("a") == 16 << 20
        assert node.ps()["a"]["restarts"] == 0


@pytest.mark.storm
def test_a_limit_of_processor_time_ends_the_process_that_reached_it(world: World) -> None:
    """A runaway engine burns a processor until its deadline."""
    with world.up(world.spec(child("a", cpu_ns=SECOND), victim("b"), supervision=FREE)) as node:
        post(node, "a", "Spin")
        assert event(node, "crashed", "a")["reason"] == "cpu_limit"
        until(lambda: is_up(node, "a"), "the restart")
        assert node.total("b") == 0


@pytest.mark.storm
@pytest.mark.parametrize("parent", ["template", "zygote"])
def test_a_birth_that_dies_with_who_was_asked_is_repeated_by_the_next_one(world: World, parent: str) -> None:
    """A slot is left without a process for ever, or a crash is told, and counted, of a process that never was."""
    with world.up(world.spec(victim("a"), victim("b"), supervision=FREE)) as node:
        (asked,) = world.titled(f"enginehost: {parent}")
        if parent == "zygote":
            (template,) = world.titled("enginehost: template")
            os.kill(template, signal.SIGKILL)
            until(lambda: template not in world.processes(), "the end of the template")
        os.kill(asked, signal.SIGSTOP)
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        event(node, "crashed", "a")
        os.kill(asked, signal.SIGKILL)
        event(node, "birth_repeated", "")
        until(lambda: is_up(node, "a"), "a birth by the next zygote")
        assert [crashed["pid"] != 0 for crashed in node.events("crashed", "a")] == [True]
        assert node.ps()["a"]["restarts"] == 1
        assert node.total("b") == 0


def _has_letters(node: LiveNode, failed: int) -> bool:
    return letters(node).get("failed") == failed


@pytest.mark.storm
def test_two_thousand_messages_half_of_them_poison(world: World) -> None:
    """A flood of bad messages stops an engine, costs good ones, or reaches its neighbours."""
    with world.up(world.spec(victim("a"), victim("b"), victim("c"), supervision=FREE)) as node:
        node.send("c", "Add", amount=3)
        for n in range(1, 21):
            node.send("b", "Spit", target="a", count=98, raising=2)
            until(lambda: node.total("a") >= 49, "the good half")
            until(partial(_has_letters, node, 49 * n), "letters, which a death would take along")
            node.send("b", "Spit", target="a", count=2, raising=0, killing=2)
            event(node, "restarted", "a", n)
        until(lambda: letters(node) == {"crashed": 20, "failed": 980}, "all letters")
        assert node.total("a") <= 1, "the one before the last death, if it comes again from its lane"
        assert (node.total("c"), node.total("b")) == (3, 0)
        assert [node.ps()[name]["restarts"] for name in "abc"] == [20, 0, 0]


@pytest.mark.storm
def test_one_batch_kills_twenty_processes_and_no_more(world: World) -> None:
    """Messages of one batch kill in turn, each process forgetting what the one before died in."""
    with world.up(world.spec(victim("a"), victim("b"), supervision=FREE)) as node:
        node.send("b", "Spit", target="a", count=60, raising=0, killing=3)
        until(lambda: letters(node).get("crashed") == len(node.events("restarted", "a")) > 0, "a letter for each death")
        until(lambda: is_up(node, "a"), "the last restart")
        crashed = node.events("crashed", "a")
        lost = sum(death["lost"] for death in crashed)
        assert len(crashed) <= 20
        assert lost or (len(crashed), node.total("a")) == (20, 40)


def letters(node: LiveNode) -> dict[str, int]:
    return {item["reason"]: item["count"] for item in node.ask("dead_letters", counts=True)}
