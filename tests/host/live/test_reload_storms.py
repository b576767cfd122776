"""Reloads in a row under load, and kills of each process at every step of a reload."""

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
from test_journaled_reload import FREE, reload, reloading

from host.config.spec import EngineSpec
from host.live.control.protocol import ControlError

pytestmark = pytest.mark.storm

STATE, EMITS = "    total: int = 0", "    emits=Total,"
FOLLOWED = 1_000
"""Triggers rehearsed, of engines that are not too busy to be followed."""

GROWN = "    migrate=lambda old: Count(old['total'], 1),\n    downgrade=lambda now: {'total': now.total},"


@pytest.mark.parametrize("kills", [9, pytest.param(300, marks=pytest.mark.long)])
def test_a_kill_at_any_step_leaves_one_version(world: World, kills: int) -> None:
    """False if a death of old, new or supervisor lost or doubled a message, or left a state of neither version."""
    source = world.roots / "counting.py"
    unmigrated = source.read_text()
    plain = unmigrated.replace(EMITS, f"{EMITS}\n    migrate=lambda old: Count(old['total']),")
    source.write_text(plain)
    grown = unmigrated.replace(STATE, f"{STATE}\n    more: int = 0").replace(EMITS, f"{EMITS}\n{GROWN}")
    grown = grown.replace("Count(t.env.state.total + add.amount)", "Count(t.env.state.total + add.amount, 1)")
    spec = world.spec(counter("a", durability="crash"), supervision=FREE)
    chance, total, killed, seen, takes_s = random.Random(5), 0, 0, dict[str, int](), 0.0
    while killed < kills:
        with world.up(spec) as node:
            if not killed:
                source.write_text(f"{plain}# undisturbed\n")
                began_s = time.monotonic()
                reload(node, rehearse=FOLLOWED)
                takes_s = time.monotonic() - began_s
            while killed < kills:
                until(lambda: node.ps()["a"]["state"] == "running", "the engine")
                for _ in range(3):
                    node.send("a", "Add")
                total += 3
                is_grown = "more" in node.ask("state", engine="a")[0]["state"]
                source.write_text((plain if is_grown else grown) + f"# edition {killed}\n")
                victim = ("old", "new", "supervisor")[killed % 3]
                verdict = f"{victim}: {_kill_while_reloading(world, node, victim, chance.random() * takes_s)}"
                seen[verdict] = seen.get(verdict, 0) + 1
                killed += 1
                if victim == "supervisor":
                    node.launch.process.wait(30)
                    until(lambda: not world.processes(), "the end of all")
                    break
                until(lambda: node.ps()["a"]["state"] == "running", "the engine")
                state = node.ask("state", engine="a")[0]["state"]
                assert (state["total"], state.get("more", 1)) == (total, 1)
    print(killed, seen)


def _kill_while_reloading(world: World, node: LiveNode, victim: str, after_s: float) -> str:
    old = node.ps()["a"]["pid"]
    with reloading(node, rehearse=FOLLOWED) as found:
        time.sleep(after_s)  # the step at which the kill comes
        others = [pid for pid in world.processes() if pid not in (node.pid, old) and "/1 a" in _title(world, pid)]
        targets = {"old": [old], "new": others, "supervisor": [node.pid]}[victim]
        for pid in targets:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return "switched" if isinstance(found[0], dict) else str(getattr(found[0], "error", "gone"))


def _title(world: World, pid: int) -> str:
    with suppress(ProcessLookupError, FileNotFoundError):
        return world.shown(pid)[0]
    return ""


@pytest.mark.parametrize("count", [30, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", ["volatile", "crash"])
def test_reloads_in_a_row_leave_nothing_behind(world: World, mode: Any, count: int) -> None:
    """False if reloads under load lost or doubled a message, fired a timer twice, or left anything behind."""
    names = {"s": "streaming:SENDER", "r": "streaming:RECEIVER", "t": "ticking:TICKER"}
    engines = [EngineSpec(name, family, durability=mode) for name, family in names.items()]
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        node.send("s", "Start", to="r")
        pauses, kept, followed = [], [], 0
        for number in range(count):
            until(partial(_ticked, node, number), "the timer")
            node.send("t", "Order")
            for file in ("streaming.py", "ticking.py"):
                source = world.roots / file
                source.write_text(source.read_text().partition("# edition")[0] + f"# edition {number % 2}\n")
            name = "tsr"[number % 3]
            item = reload(node, name, rehearse=FOLLOWED if name == "t" else 0)
            pauses.append(item["pause_ns"] / 1e6)
            followed += item["followed"]
            if number >= 6:
                kept.append(held(world))
        node.send("s", "Halt")
        sent = node.send("s", "Report", wait="Sent")["count"]
        found = until(lambda: _caught_up(node, sent), f"{sent} messages", 60)
        assert (found["wrong"], found["expected"]) == (0, sent)
        assert until(lambda: _ticked(node, count), "the last timer")["ordered"] == count
        assert node.ask("dead_letters", limit=10) == []
        check_growth(kept)
        assert followed >= count // 3
        print(
            f"{mode}: {sent} messages, {count} reloads, {followed} followed, "
            f"pause {median(pauses):.1f} ms median, {max(pauses):.1f} longest"
        )


def held(world: World) -> tuple[int, int, int]:
    """Processes of the node, their descriptors, their own memory in MiB."""
    found = [0, 0, 0]
    for pid in world.processes():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            found = [found[0] + 1, found[1] + process.num_fds(), found[2] + process.memory_full_info().uss // (1 << 20)]
    return found[0], found[1], found[2]


def check_growth(kept: list[tuple[int, int, int]]) -> None:
    """Later rows of `held` are no more than earlier ones."""
    early, late = kept[: len(kept) // 4], kept[-(len(kept) // 4) :]
    for what in range(3):
        before, after = (median(row[what] for row in rows) for rows in (early, late))
        print(("processes", "descriptors", "memory")[what], before, after)
        assert after <= before * (1.25 if what == 2 else 1) + (0 if what == 0 else 2)


def _caught_up(node: LiveNode, count: int) -> Any:
    found = node.send("r", "Look", wait="Found")
    return found if found["expected"] >= count else None


def _ticked(node: LiveNode, count: int) -> Any:
    with suppress(ControlError):
        state = node.ask("state", engine="t")[0]["state"]
        assert state["elapsed"] <= count, "a timer fired twice"
        return state if state["elapsed"] == count else None
    return None
