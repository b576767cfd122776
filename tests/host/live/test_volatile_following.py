"""Reloads of volatile engines that the new process follows: no state is handed over in the pause."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from functools import partial
from statistics import median
from typing import Any

import psutil
import pytest
from live_nodes import LiveNode, World, counter, until
from test_joint_reloads import together
from test_journaled_reload import FREE, reload, reloading
from test_reload_storms import check_growth, held

from host.config.spec import EngineSpec, Placement
from host.live.supervisor.reload import TOO_SLOW
from host.node.tail_following import COMPARED_BYTES_MAX
from transport.native import native_available, native_reason

pytestmark = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")

ENTRIES, ENTRY_BYTES = 500, 100
assert ENTRIES * ENTRY_BYTES > COMPARED_BYTES_MAX

ASKED = """
from engines.benchmark.reload import *
from engines.benchmark.reload import answer, answered, ask, begin, fill, look
from engines.model import Family

SERVER = Family("asked-server", state=Store(), accepts=Ask | Fill, emits=Answer | Filled).rules(answer, fill)
CLIENT = Family("client", state=Course(), accepts=Begin | Answer | Look, emits=Ask | Waits, timers=[TICK]).rules(
    begin, ask, answered, look
)
"""


class Load:
    """A server with a large state, under the load of a client."""

    def __init__(self, world: World, node: LiveNode, rate: int) -> None:
        self.world, self.node, self._editions = world, node, 0
        node.send("server", "Fill", wait="Filled", entries=ENTRIES, size_bytes=ENTRY_BYTES)
        node.send("client", "Begin", server="server", rate=rate)
        until(lambda: self.look()["answered"] > 20, "answers")

    def look(self, *, ends: bool = False) -> Any:
        return self.node.send("client", "Look", wait="Waits", ends=ends)

    def edit(self) -> None:
        self._editions += 1
        (self.world.roots / "asked.py").write_text(f"{ASKED}\n# edition {self._editions}\n")

    def check(self) -> None:
        """Every question is answered once, in order, by an engine that has counted all of them."""
        self.look(ends=True)
        waits = until(partial(_at_rest, self), "all answers")
        assert waits["wrong"] == 0
        state = self.node.ask("state", engine="server")[0]["state"]
        assert (state["answers"], len(state["content"])) == (waits["asked"], ENTRIES)


def _at_rest(load: Load) -> Any:
    waits = load.look(ends=True)
    return waits if waits["answered"] == waits["asked"] else None


def engines(world: World, server: Any = "volatile", client: Any = "volatile", **rest: Any) -> Any:
    """Both engines, each with a process of its own, and how durable they are."""
    (world.roots / "asked.py").write_text(ASKED)
    place = Placement("process")
    return world.spec(
        EngineSpec("server", "asked:SERVER", placement=place, durability=server),
        EngineSpec("client", "asked:CLIENT", placement=place, durability=client),
        **rest,
    )


@pytest.mark.storm
def test_a_large_state_does_not_cross(world: World) -> None:
    """False if a volatile engine under load were not followed, or lost, doubled or reordered anything by it."""
    with world.up(engines(world)) as node:
        load = Load(world, node, rate=200)  # a busy machine comes level with it too
        for is_trial in (True, False, False):
            load.edit()
            item = reload(node, "server", rehearse=1_000, is_trial=is_trial)
            assert (item["followed"], item["not_followed"]) == (True, "")
        load.check()


@pytest.mark.storm
@pytest.mark.parametrize("modes", [("volatile", "volatile"), ("volatile", "crash")])
def test_members_of_a_group_are_followed(world: World, modes: tuple[Any, Any]) -> None:
    """False if a member of a joint reload under load were not followed, or lost, doubled or reordered anything."""
    with world.up(engines(world, *modes)) as node:
        load = Load(world, node, rate=200)
        for is_trial in (True, False):
            load.edit()
            items = together(node, "server", "client", rehearse=10_000, is_trial=is_trial)
            assert [(one["followed"], one["not_followed"]) for one in items] == [(True, "")] * 2
        load.check()


@pytest.mark.storm
def test_another_family_follows_too(world: World) -> None:
    """False if an engine that gets another family were stopped for its state, or lost anything."""
    with world.up(engines(world)) as node:
        load = Load(world, node, rate=200)
        (world.roots / "asked_again.py").write_text(ASKED)
        item = reload(node, "server", to="asked_again:SERVER", rehearse=1_000)
        assert (item["followed"], item["not_followed"]) == (True, "")
        assert item["to"].startswith("asked_again:SERVER")
        load.check()


@pytest.mark.storm
@pytest.mark.parametrize("victims", [("old",), ("new",), ("old", "new")])
def test_a_kill_while_it_is_followed_leaves_one_state(world: World, victims: tuple[str, ...]) -> None:
    """False if a death left a state that lacks a message, or has one twice: whole, or, as after any crash, none."""
    chance, answers, seen = random.Random(7), 0, dict[str, int]()
    with world.up(engines(world, supervision=FREE)) as node:
        node.send("server", "Fill", wait="Filled", entries=ENTRIES, size_bytes=ENTRY_BYTES)
        began_s = time.monotonic()
        reload(node, "server", rehearse=1_000)
        takes_s = time.monotonic() - began_s
        for kill in range(8):
            if not answers:
                node.send("server", "Fill", wait="Filled", entries=ENTRIES, size_bytes=ENTRY_BYTES)
            answers += sum(_is_answered(node) for _ in range(20))
            old = node.ps()["server"]["pid"]
            (world.roots / "asked.py").write_text(f"{ASKED}\n# edition {kill}\n")
            with reloading(node, engine="server", rehearse=1_000) as found:
                until_s = (
                    time.monotonic() + 2.5 * takes_s * (kill + chance.random()) / 8
                )  # the step at which the kill comes
                while time.monotonic() < until_s and not found:
                    answers += _is_answered(node)
                new = [pid for pid in world.processes() if pid != old and "server" in _title(world, pid)]
                for pid in (*([old] if "old" in victims else []), *(new if "new" in victims else [])):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            until(lambda: node.ps()["server"]["state"] == "running", "the engine")
            state = node.ask("state", engine="server")[0]["state"]
            assert (state["answers"], len(state["content"])) in ((answers, ENTRIES), (0, 0))
            answers = state["answers"]
            verdict = "switched" if isinstance(found[0], dict) else str(getattr(found[0], "error", "gone"))
            seen[verdict] = seen.get(verdict, 0) + 1
    print(victims, seen)


def _is_answered(node: LiveNode) -> bool:
    """Whether a question was asked and answered."""
    return bool(node.send("server", "Ask", wait="Answer", n=1, sent_ns=0))


def _title(world: World, pid: int) -> str:
    with suppress(ProcessLookupError, FileNotFoundError):
        return world.shown(pid)[0]
    return ""


@pytest.mark.storm
@pytest.mark.parametrize(
    ("mode", "count"),
    [("volatile", 8), *(pytest.param(mode, 1_000, marks=pytest.mark.long) for mode in ("volatile", "crash"))],
)
def test_reloads_in_a_row_follow_under_load(world: World, mode: Any, count: int) -> None:
    """False if one of many reloads lost, doubled or reordered anything, whether or not a busy machine followed; or if
    many left anything behind."""
    rate, rehearsed = (4_000, 1_000) if mode == "volatile" else (200, 10_000)
    with world.up(engines(world, mode)) as node:
        load = Load(world, node, rate)
        items, kept, before = [], [], len(world.processes())
        for _ in range(count):
            load.edit()
            items.append(reload(node, "server", rehearse=rehearsed))
            until(lambda: len(world.processes()) <= before, "the ends of the processes that the reload needed")
            kept.append(held(world))
        load.check()
        assert any(item["followed"] for item in items)
        assert mode == "crash" or {item["not_followed"] for item in items} <= {"", TOO_SLOW}
        check_growth(kept)
        pauses = sorted(item["pause_ns"] / 1e6 for item in items if item["followed"])
        print(f"{mode}: {len(pauses)} of {count} followed, {median(pauses):.1f} ms median, {pauses[-1]:.1f} longest")


@pytest.mark.storm
def test_neighbours_are_followed_by_log_and_by_triggers(world: World) -> None:
    """False if a slot with both kinds of engines lost a state, or a trial or a refusal left anything in its process."""
    source, group = world.roots / "counting.py", Placement("group", "g")
    text = source.read_text()
    with world.up(world.spec(counter("a", placement=group), counter("b", placement=group, durability="crash"))) as node:
        process = psutil.Process(node.ps()["a"]["pid"])
        counts = list[int]()
        for number in range(4):
            for name in ("a", "b"):
                node.send(name, "Add", amount=number)
            source.write_text(f"{text}\n# edition {number}\n")
            item = reload(node, "ab"[number % 2], rehearse=1_000, is_trial=number < 3)
            assert (item["followed"], item["not_followed"]) == (True, "")
            counts.append(process.num_fds() if number < 3 else 0)
            if number == 2:  # a snapshot of the log may be under way, then and at first
                until(lambda: process.num_fds() <= counts[0], "the end of what the trials needed")
        assert [node.total(name) for name in ("a", "b")] == [6, 6]
