"""Joint reloads on live nodes: several engines get their new code at one boundary, or none of them does."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import LiveNode, World, counter, until
from test_journaled_reload import FREE
from test_reload_storms import EMITS, GROWN, STATE

from host.config.spec import EngineSpec
from host.live.control.client import Client
from host.live.control.instances import running_instance
from host.live.control.protocol import ControlError

pytestmark = pytest.mark.storm

MEMBERS = ("a", "b", "c")


def together(node: LiveNode, *names: str, **args: Any) -> list[Any]:
    """Reload these at one boundary. With a connection of its own: others may wait."""
    instance = running_instance(node.spec.path)
    assert instance is not None
    with Client(instance.control) as client:
        request = {"together": names, "timeout_ns": DEADLINE_NS, "rehearse": 0, **args}
        return client.request("reload", request, timeout_ns=DEADLINE_NS).items


def versions(node: LiveNode) -> list[str]:
    """The versions that run, each once."""
    return sorted({row["version"] for row in node.ps().values()})


def edit(world: World, old: str, new: str) -> None:
    source = world.roots / "counting.py"
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))


@pytest.mark.parametrize("mode", ["volatile", "crash"])
def test_all_switch_at_one_boundary(world: World, mode: Any) -> None:
    """False if members of a joint reload did not switch, or lost what they had."""
    with world.up(world.spec(*(counter(name, durability=mode) for name in MEMBERS))) as node:
        for name in MEMBERS:
            node.send(name, "Add", amount=7)
        (before,) = versions(node)
        edit(world, STATE, f"{STATE}\n    more: int = 0")
        tried = together(node, *MEMBERS, is_trial=True)
        assert ([one["tried"] for one in tried], versions(node)) == ([True] * 3, [before])
        items = together(node, *MEMBERS)
        assert [(one["engine"], one["together"]) for one in items] == [(name, list(MEMBERS)) for name in MEMBERS]
        (after,) = versions(node)
        assert after != before
        assert [node.total(name) for name in MEMBERS] == [7, 7, 7]
        assert not list(world.folder.glob("*/code/*/*"))


def test_one_that_does_not_fit_keeps_all(world: World) -> None:
    """False if a member whose state cannot be migrated were left alone with its code, or another stood still."""
    with world.up(world.spec(*(counter(name, durability="crash") for name in MEMBERS))) as node:
        for number, name in enumerate(MEMBERS):
            node.send(name, "Add", amount=7 + number)
        before, pids = versions(node), {name: row["pid"] for name, row in node.ps().items()}
        edit(world, STATE, f"{STATE}\n    more: int = 0")
        edit(
            world,
            EMITS,
            f"{EMITS}\n    migrate=lambda old: Count(old['total'] * (8 - old['total']) // (8 - old['total'])),",
        )
        with pytest.raises(ControlError, match=r"a, b, c keep their code: b: .*ZeroDivisionError.*untouched"):
            together(node, *MEMBERS)
        assert (versions(node), {name: row["pid"] for name, row in node.ps().items()}) == (before, pids)
        assert [node.total(name) for name in MEMBERS] == [7, 8, 9]
        assert {event["engine"] for event in node.events("reload_refused")} == set(MEMBERS)


WORDS = """
from engines.model import *

class {takes}(Message):
    what: str
    language: str{default}

class {sends}(Message):
    what: str

@rule
def take(m: {takes}, t: Arrived[{takes}, None, None]) -> Effects[None, {emits}]:
    return []

FAMILY = Family("{takes}", accepts={takes}{emitting}).rules(take)
"""


def write_words(world: World, *, is_new: bool) -> None:
    """Two families; the new ones send each other a message that only the other new one can read."""
    for name, takes, sends in (("alice", "Told", "Asked"), ("bob", "Asked", "Told")):
        emits, emitting = (sends, f", emits={sends}") if is_new else ("Never", "")
        default = ' = "en"' if is_new else ""
        text = WORDS.format(takes=takes, sends=sends, default=default, emits=emits, emitting=emitting)
        (world.roots / f"{name}.py").write_text(f"from typing import Never\n{text}")


def test_members_are_compared_in_their_new_versions(world: World) -> None:
    """False if two families that change together could not, although nothing would be misread."""
    write_words(world, is_new=False)
    pairs = (("alice", "bob"), ("bob", "alice"))
    with world.up(world.spec(*(EngineSpec(a, f"{a}:FAMILY", acquaintances=(b,)) for a, b in pairs))) as node:
        write_words(world, is_new=True)
        for name, other in pairs:
            with pytest.raises(ControlError, match=f"{name}: {other} needs .*language"):
                together(node, name)
        assert [one["engine"] for one in together(node, "alice", "bob")] == ["alice", "bob"]


def test_a_member_that_cannot_begin_is_named(world: World) -> None:
    """False if a joint reload began beside another reload, or on an engine that is not there."""
    with world.up(world.spec(counter("a"), counter("b"), supervision=FREE)) as node:
        with pytest.raises(ControlError, match="nobody"):
            together(node, "a", "nobody")
        edit(world, "VERSION = 1", "VERSION = 2")
        with pytest.raises(ControlError, match="a group has no probation"):
            together(node, "a", "b", probation_triggers=9)
        node.ask("reload", engine="b", timeout_ns=DEADLINE_NS, probation_triggers=9)
        with pytest.raises(ControlError, match="b is on probation for 9 messages more"):
            together(node, "a", "b")


def pids(world: World, node: LiveNode) -> dict[str, list[int]]:
    """Processes by what they are: the old one of an engine, the new one, the supervisor."""
    rows = node.ps()
    found = {"supervisor": [node.pid], **{f"old {name}": [row["pid"]] for name, row in rows.items()}}
    known = {pid for some in found.values() for pid in some}
    for pid in world.processes():
        with suppress(ProcessLookupError, FileNotFoundError):
            title = world.shown(pid)[0]
            for name in rows:
                if pid not in known and f" {name}" in title:
                    found.setdefault(f"new {name}", []).append(pid)
    return found


@pytest.mark.parametrize("kills", [10, pytest.param(300, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", ["crash", "volatile"])
def test_a_kill_at_any_step_leaves_one_version_of_all(world: World, kills: int, mode: Any) -> None:
    """False if a death of an old, a new process or the supervisor left two versions, or a state of neither."""
    source = world.roots / "counting.py"
    unmigrated = source.read_text()
    plain = unmigrated.replace(EMITS, f"{EMITS}\n    migrate=lambda old: Count(old['total']),")
    source.write_text(plain)
    grown = unmigrated.replace(STATE, f"{STATE}\n    more: int = 0").replace(EMITS, f"{EMITS}\n{GROWN}")
    grown = grown.replace("Count(t.env.state.total + add.amount)", "Count(t.env.state.total + add.amount, 1)")
    spec = world.spec(counter("a", durability="crash"), counter("b", durability=mode), supervision=FREE)
    chance, total, killed, seen, takes_s = random.Random(7), 0, 0, dict[str, int](), 0.0
    victims = ("old a", "new a", "supervisor", "old b", "new b")
    while killed < kills:
        with world.up(spec) as node:
            if not killed:
                source.write_text(f"{plain}# undisturbed\n")
                began_s = time.monotonic()
                together(node, "a", "b", rehearse=1_000)
                takes_s = time.monotonic() - began_s
            while killed < kills:
                until(lambda: set(node.states().values()) == {"running"}, "the engines")
                for name in ("a", "b"):
                    node.send(name, "Add", amount=3)
                total += 3
                is_grown = "more" in node.ask("state", engine="a")[0]["state"]
                source.write_text((plain if is_grown else grown) + f"# edition {killed}\n")
                victim = victims[killed % len(victims)]
                verdict = f"{victim}: {_kill_while_reloading(world, node, victim, chance.random() * takes_s)}"
                seen[verdict] = seen.get(verdict, 0) + 1
                killed += 1
                if victim == "supervisor":
                    node.launch.process.wait(30)
                    until(lambda: not world.processes(), "the end of all")
                    break
                until(lambda: set(node.states().values()) == {"running"}, "the engines")
                states = [node.ask("state", engine=name)[0]["state"] for name in ("a", "b")]
                assert mode == "volatile" or states[0] == states[1], verdict
                assert ["more" in state for state in states] in ([True] * 2, [False] * 2), verdict
                assert (states[0]["total"], states[0].get("more", 1)) == (total, 1)
                assert len(versions(node)) == 1
    print(killed, seen)


def _kill_while_reloading(world: World, node: LiveNode, victim: str, after_s: float) -> str:
    found: list[Any] = []
    until(lambda: len(pids(world, node)) == 3, "the end of earlier processes")

    def run() -> None:
        try:
            found.append(together(node, "a", "b", rehearse=1_000))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def targets() -> list[int] | None:
        """One that dies before the reload begins starts again with the sources, whatever is reloaded later."""
        now = pids(world, node)
        return now.get(victim) if any(name.startswith("new") for name in now) else None

    chosen = until(lambda: targets() or found, "the new processes")
    time.sleep(after_s)  # the step at which the kill comes
    ended_first = [node.pid] if victim == "supervisor" else []
    for pid in ended_first if chosen is found else chosen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    thread.join(DEADLINE_S)
    return "switched" if isinstance(found[0], list) else str(getattr(found[0], "error", "gone"))
