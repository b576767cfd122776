from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import LiveNode, World, counter, until

from host.config.spec import EngineSpec, Placement, SupervisionSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError

GATED = """
import os, time
from dataclasses import replace

def gate(name):
    with open(os.path.join(os.path.dirname(__file__), name + ".pid"), "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(os.path.join(os.path.dirname(__file__), name + ".open")):
        time.sleep(0.005)
"""


def source(world: World) -> Path:
    return world.roots / "counting.py"


def edit(world: World, old: str, new: str) -> None:
    text = source(world).read_text()
    assert old in text
    source(world).write_text(text.replace(old, new))


def reload(node: LiveNode, engine: str = "a", to: str | None = None, timeout_s: float = DEADLINE_S) -> Any:
    return node.ask("reload", engine=engine, to=to, timeout_ns=int(timeout_s * 1e9))[0]


def version(node: LiveNode, engine: str = "a") -> int:
    return int(node.send(engine, "Ask", wait="Total")["version"])


def test_an_edit_of_the_same_size_within_the_second_is_what_runs(world: World) -> None:
    """Cached bytecode of the old source runs, or the state is lost on the way."""
    with world.up(world.spec(counter("a"))) as node:
        node.send("a", "Add", amount=5)
        for number in (2, 3, 4):
            edit(world, f"VERSION = {number - 1}", f"VERSION = {number}")
            item = reload(node)
            assert item["from"] != item["to"]
            assert (version(node), node.total("a")) == (number, 5)
        assert node.ps()["a"]["restarts"] == 0
        assert [event["engine"] for event in node.events("reloaded")] == ["a"] * 3


STORM = pytest.mark.storm
REFUSALS = {
    "does not parse": ("VERSION = 1", "VERSION = ", "SyntaxError"),
    "does not import": ("VERSION = 1", "import nowhere", "nowhere"),
    "field put in front": ("    amount: int = 1", "    note: str = ''\n    amount: int = 1", "field 0 was amount"),
    "message gone": (" | End,", ",", "no longer accepts End"),
    "state gone": ("    total: int = 0", "    other: int = 0", "total"),
}


@pytest.mark.parametrize(
    "name",
    [name if name in ("does not import", "state gone") else pytest.param(name, marks=STORM) for name in REFUSALS],
)
def test_a_refused_reload_leaves_the_old_engine_untouched(world: World, name: str) -> None:
    """A version that cannot take over takes over, or the old one is gone, stopped or changed."""
    old, new, reason = REFUSALS[name]
    with world.up(world.spec(counter("a"))) as node:
        node.send("a", "Add", amount=5)
        before = node.ps()["a"]
        edit(world, old, new)
        if name == "message gone":
            edit(world, "breed, end)", "breed)")
        if name == "state gone":
            edit(world, "state.total", "state.other")
        with pytest.raises(ControlError, match=reason) as caught:
            reload(node)
        assert caught.value.error == "refused"
        after = node.ps()["a"]
        assert (after["pid"], after["version"]) == (before["pid"], before["version"])
        assert node.total("a") == 5
        assert len(node.events("reload_refused")) == 1
        until(lambda: len(world.processes()) == 3, "the end of the candidate")


def test_neighbours_of_a_slot_cross_over_with_their_state(world: World) -> None:
    """An engine loses its state because another one of its process was reloaded."""
    together = Placement("one")
    with world.up(world.spec(counter("a", placement=together), counter("b", placement=together))) as node:
        node.send("a", "Add", amount=1)
        node.send("b", "Add", amount=2)
        node.send("b", "Breed")
        until(lambda: node.ps().get("b/child", {}).get("state") == "running", "the child")
        node.send("b/child", "Add", amount=3)
        assert sorted(reload(node)["shared_with"]) == ["b", "b/child"]
        assert [node.total(name) for name in ("a", "b", "b/child")] == [1, 2, 3]


@pytest.mark.parametrize("reloads", [5, pytest.param(20, marks=pytest.mark.storm)])
def test_reloads_under_load_lose_and_double_nothing(world: World, reloads: int) -> None:
    """A message is lost, doubled or overtaken while a process is replaced by another one."""
    sender, receiver = EngineSpec("s", "streaming:SENDER"), EngineSpec("r", "streaming:RECEIVER")
    with world.up(world.spec(sender, receiver)) as node:
        node.send("s", "Start", to="r")
        sent_before = node.send("s", "Report", wait="Sent")["count"]
        for number in range(reloads):
            assert reload(node, "rs"[number % 2])["engine"] == "rs"[number % 2]
            due = sent_before + 1_000 * (number + 1)
            until(lambda due=due: node.send("s", "Report", wait="Sent")["count"] > due, "a load")
        node.send("s", "Halt")
        count = node.send("s", "Report", wait="Sent")["count"]
        found = until(lambda: _caught_up(node, count), f"{count} messages")
        assert found["wrong"] == 0
        assert count - sent_before > 1_000 * reloads, "the load was less than 1,000 messages a reload"
        assert node.ask("dead_letters", limit=10) == []


@contextmanager
def reloading(node: LiveNode, **args: Any) -> Iterator[list[Any]]:
    """A reload that goes on beside the block; its item or error is in the list after it."""
    found: list[Any] = []

    def work() -> None:
        with Client(node.client.path) as client:
            try:
                found.append(client.request("reload", {"engine": "a", "timeout_ns": DEADLINE_NS, **args}).items[0])
            except ControlError as error:
                found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    yield found
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), "the reload never ended"


def gated_migration(world: World) -> None:
    """From now on the source migrates a state, and waits in it at a gate."""
    edit(world, "import os\n", GATED + "import os\n")
    edit(world, "    total: int = 0", "    total: int = 0\n    more: int = 0")
    edit(
        world,
        "    emits=Total,",
        "    emits=Total,\n    migrate=lambda old: (gate('migrating'), Count(old['total']))[1],",
    )


def at_gate(world: World, name: str) -> int:
    path = world.roots / f"{name}.pid"
    until(lambda: path.exists() and path.read_text(), f"the candidate at {name}")
    return int(path.read_text())


def open_gate(world: World, name: str) -> None:
    (world.roots / f"{name}.open").touch()


@pytest.mark.storm
def test_a_candidate_killed_while_importing(world: World) -> None:
    """The death of a candidate takes the old engine along, or the reload never ends."""
    with world.up(world.spec(counter("a"))) as node:
        node.send("a", "Add")
        edit(world, "import os\n", GATED + "import os\ngate('importing')\n")
        with reloading(node) as found:
            candidate = at_gate(world, "importing")
            with pytest.raises(ControlError, match="being reloaded already"):
                reload(node)
            assert node.total("a") == 1
            os.kill(candidate, signal.SIGKILL)
        assert found[0].error == "refused"
        assert node.total("a") == 1
        open_gate(world, "importing")
        reload(node)
        assert node.total("a") == 1


@pytest.mark.storm
def test_an_import_that_takes_too_long_is_refused(world: World) -> None:
    """A module that hangs keeps the slot for itself."""
    with world.up(world.spec(counter("a"))) as node:
        edit(world, "import os\n", GATED + "import os\ngate('importing')\n")
        with pytest.raises(ControlError, match="not imported in time"):
            reload(node, timeout_s=0.5)
        assert node.total("a") == 0


@pytest.mark.parametrize("victim", [pytest.param("old", marks=pytest.mark.storm), "new"])
def test_either_side_killed_while_migrating(world: World, victim: str) -> None:
    """A death between the snapshot and the switch leaves no process, two of them, or another state."""
    with world.up(world.spec(counter("a"))) as node:
        node.send("a", "Add", amount=9)
        old = node.ps()["a"]["pid"]
        gated_migration(world)
        with reloading(node) as found:
            new = at_gate(world, "migrating")
            os.kill(old if victim == "old" else new, signal.SIGKILL)
            if victim == "old":
                open_gate(world, "migrating")
        if victim == "old":
            assert found[0]["engine"] == "a"
            assert node.ps()["a"]["pid"] == new
        else:
            assert found[0].error == "refused"
            assert node.ps()["a"]["pid"] == old
        assert node.total("a") == 9
        assert len(world.processes()) == 3


@pytest.mark.storm
def test_a_process_that_hands_over_is_not_taken_for_hung(world: World) -> None:
    """False if the watch kills the old process of a reload, whose state goes on when the reload is refused."""
    watch = SupervisionSpec(soft_ns=0, hard_ns=500_000_000, intensity=None, backoff_ns=0, budget=None)
    with world.up(world.spec(counter("a"), counter("b"), supervision=watch)) as node:
        node.send("a", "Add", amount=9)
        before = node.ps()
        gated_migration(world)
        edit(world, "Count(old['total'])", "Count('none')")
        with reloading(node) as found:
            at_gate(world, "migrating")
            for name in ("a", "b"):
                os.kill(before[name]["pid"], signal.SIGSTOP)
            until(lambda: node.events("hung", "b"), "the end of a process that no reload keeps")
            os.kill(before["a"]["pid"], signal.SIGCONT)
            open_gate(world, "migrating")
        assert found[0].error == "refused"
        assert node.events("hung", "a") == []
        assert (node.ps()["a"]["pid"], node.total("a")) == (before["a"]["pid"], 9)


@pytest.mark.storm
def test_both_killed_while_migrating(world: World) -> None:
    """When nothing holds the state any more, the engine does not come back."""
    with world.up(world.spec(counter("a"))) as node:
        node.send("a", "Add", amount=9)
        old = node.ps()["a"]["pid"]
        gated_migration(world)
        with reloading(node) as found:
            new = at_gate(world, "migrating")
            os.kill(old, signal.SIGKILL)
            os.kill(new, signal.SIGKILL)
        assert isinstance(found[0], ControlError)
        until(lambda: node.ps()["a"]["state"] == "running", "the engine")
        assert node.total("a") == 0
        assert len(world.processes()) == 3


@pytest.mark.storm
def test_the_node_ends_in_the_middle_of_a_reload(world: World) -> None:
    """A candidate nobody waits for outlives its node."""
    with world.up(world.spec(counter("a"))) as node:
        gated_migration(world)
        with reloading(node) as found:
            at_gate(world, "migrating")
            assert node.end() == 0
        assert isinstance(found[0], ControlError)
    assert world.left() == []


def _caught_up(node: LiveNode, count: int) -> Any:
    found = node.send("r", "Look", wait="Found")
    return found if found["expected"] >= count else None
