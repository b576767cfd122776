"""Reloads of engines with a journal, on live nodes: as of volatile ones, and exactly once whoever is killed."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, Placement, SupervisionSpec, TransportSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError
from host.live.journal.data_folder import find_logs
from host.live.journal.operations import dump, history, verify
from host.program import command

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
MODES = ["crash", "durable"]
RELOADS = 20
GATED = """
import os, time

def gate(name):
    with open(os.path.join(os.path.dirname(__file__), name + ".pid"), "w") as file:
        file.write(str(os.getpid()))
    while not os.path.exists(os.path.join(os.path.dirname(__file__), name + ".open")):
        time.sleep(0.005)

"""


def counting(name: str, durability: Any, **rest: Any) -> EngineSpec:
    return EngineSpec(name, "counting:COUNTER", durability=durability, **rest)


def source(world: World) -> Path:
    return world.roots / "counting.py"


def edit(world: World, old: str, new: str) -> None:
    text = source(world).read_text()
    assert old in text
    source(world).write_text(text.replace(old, new))


def double(world: World) -> None:
    """From now on an Add counts twice as much, and the state has a field more: no turn of before can be run again."""
    edit(world, "VERSION = 1", "VERSION = 2")
    edit(world, "    total: int = 0", "    total: int = 0\n    more: int = 0")
    edit(world, "t.env.state.total + add.amount", "t.env.state.total + 2 * add.amount")
    edit(world, "Total(t.env.state.total, VERSION)", "Total(t.env.state.total + 1000, VERSION)")


def migrating(world: World, how: str) -> None:
    edit(world, "    emits=Total,", f"    emits=Total,\n    migrate=lambda old: {how},")


def reload(node: LiveNode, engine: str = "a", **args: Any) -> Any:
    return node.ask("reload", engine=engine, timeout_ns=DEADLINE_NS, **args)[0]


def shown(node: LiveNode, engine: str = "a") -> tuple[int, int]:
    """Version and total."""
    answer = node.send(engine, "Ask", wait="Total")
    return answer["version"], answer["count"]


def is_digested(world: World) -> bool:
    """Whether the log of engine a ends with a turn and the digest of the state that it left."""
    records = dump(find_logs(str(world.folder / "test")))
    kinds = [record["kind"] for record in records if record["engine"] == "a"]
    return kinds[-2:] == ["turns", "digest"]


def kill_all(world: World) -> None:
    for pid in world.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.processes(), "the end of all processes")


def kill_worker(node: LiveNode, engine: str, restarts: int) -> None:
    os.kill(node.ps()[engine]["pid"], signal.SIGKILL)
    until(lambda: (item := node.ps()[engine])["state"] == "running" and item["restarts"] >= restarts, "the restart")


@contextmanager
def reloading(node: LiveNode, **args: Any) -> Iterator[list[Any]]:
    """A reload that goes on beside the block; its item or error is in the list after it."""
    found: list[Any] = []

    def work() -> None:
        with Client(node.client.path) as client:
            try:
                found.append(client.request("reload", {"engine": "a", "timeout_ns": DEADLINE_NS, **args}).items[0])
            except (ControlError, OSError) as error:
                found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    yield found
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), "the reload never ended"


def at_gate(world: World, name: str) -> int:
    path = world.roots / f"{name}.pid"
    until(lambda: path.exists() and path.read_text(), f"the candidate at {name}")
    return int(path.read_text())


def open_gate(world: World, name: str) -> None:
    (world.roots / f"{name}.open").touch()


def gated_migration(world: World) -> None:
    edit(world, "import os\n", GATED + "import os\n")
    double(world)
    migrating(world, "(gate('migrating'), Count(old['total']))[1]")


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_state_and_code_outlive_every_kill_after_a_reload(world: World, mode: str) -> None:
    """The next life runs turns of old code by new code, or has the state of before the reload, or the old code."""
    spec = world.spec(counting("a", mode), supervision=FREE)
    with world.up(spec) as node:
        for _ in range(5):
            node.send("a", "Add")
        assert shown(node) == (1, 5)
        double(world)
        item = reload(node)
        assert item["from"] != item["to"]
        assert shown(node) == (2, 1005)
        node.send("a", "Add")
        assert shown(node) == (2, 1007)
        assert node.ps()["a"]["restarts"] == 0
        kill_worker(node, "a", 1)
        assert shown(node) == (2, 1007)
        reload(node)
        kill_worker(node, "a", 2)
        assert shown(node) == (2, 1007)
        reload(node)
        kill_all(world)
    for life in range(2):
        with world.up(spec) as node:
            assert shown(node) == (2, 1007 + 2 * life)
            node.send("a", "Add")
            kill_all(world)


@pytest.mark.storm
@pytest.mark.parametrize("local", ["auto", "zmq"])
@pytest.mark.parametrize("mode", MODES)
def test_reloads_under_load_lose_and_double_nothing_of_a_journal(world: World, mode: Any, local: Any) -> None:
    """A message is lost, doubled or overtaken while a process with a journal is replaced by another one."""
    sender = EngineSpec("s", "streaming:SENDER", durability=mode)
    receiver = EngineSpec("r", "streaming:RECEIVER", durability=mode)
    spec = world.spec(sender, receiver, supervision=FREE, transport=TransportSpec(local=local))
    with world.up(spec) as node:
        node.send("s", "Start", to="r")
        pauses = [reload(node, "rs"[number % 2])["pause_ns"] / 1e6 for number in range(RELOADS)]
        node.send("s", "Halt")
        count = node.send("s", "Report", wait="Sent")["count"]
        found = until(lambda: _caught_up(node, count), f"{count} messages", 60)
        assert found["wrong"] == 0
        assert found["expected"] == count
        assert node.ask("dead_letters", limit=10) == []
        print(f"{mode}: {count} messages, {RELOADS} reloads, pause {sorted(pauses)[RELOADS // 2]:.1f} ms median, ")
        print(f"{max(pauses):.1f} ms longest")


def _caught_up(node: LiveNode, count: int) -> Any:
    found = node.send("r", "Look", wait="Found")
    return found if found["expected"] >= count else None


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_a_failed_migration_leaves_the_old_one_writing(world: World, mode: str) -> None:
    """A refused reload costs the old engine its state, its process, or its journal."""
    spec = world.spec(counting("a", mode), supervision=FREE)
    text = source(world).read_text()
    with world.up(spec) as node:
        node.send("a", "Add", amount=5)
        before = node.ps()["a"]
        double(world)
        migrating(world, "Count(old['nothing'])")
        with pytest.raises(ControlError, match="nothing") as caught:
            reload(node)
        assert caught.value.error == "refused"
        assert (node.ps()["a"]["pid"], node.ps()["a"]["version"]) == (before["pid"], before["version"])
        node.send("a", "Add", amount=2)
        assert shown(node) == (1, 7)
        source(world).write_text(text)
        kill_worker(node, "a", 1)
        assert shown(node) == (1, 7)
        kill_all(world)
    with world.up(spec) as node:
        assert shown(node) == (1, 7)


@pytest.mark.storm
def test_a_difference_over_a_reload_is_that_of_the_code_of_then(world: World) -> None:
    """False if turns of the old code are run by the code that is here now."""
    spec = world.spec(counting("a", "crash"))
    with world.up(spec) as node:
        node.send("a", "Add", amount=5)
        double(world)
        reload(node)
        node.send("a", "Add")
        assert shown(node) == (2, 1007)
        node.end()
    line = [*command("host.__main__"), "state", "diff", "a", str(world.folder / "test"), "--from", "0", "--to", "3"]
    assert subprocess.check_output(line, text=True, timeout=DEADLINE_S).splitlines() == [
        "state.total: 0 -> 7",
        "state.more: absent -> 0",
    ]


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_a_disk_without_room_for_the_snapshot_refuses_the_reload(world: World, mode: str) -> None:
    """A reload that cannot leave a snapshot goes on without one, or ends the old process."""
    # A turn makes the state large, which only a snapshot holds: the log keeps what was said.
    edit(world, "    total: int = 0", "    total: int = 0\n    large: str = ''")
    edit(world, "state.total + add.amount)", "state.total + add.amount, large=str(list(range(20_000))))")
    with world.up(world.spec(counting("a", mode), supervision=FREE)) as node:
        node.send("a", "Add", amount=5)
        before = node.ps()["a"]
        double(world)
        limits = resource.prlimit(before["pid"], resource.RLIMIT_FSIZE, (65_536, resource.RLIM_INFINITY))
        with pytest.raises(ControlError, match="not all of") as caught:
            reload(node)
        assert caught.value.error == "refused"
        resource.prlimit(before["pid"], resource.RLIMIT_FSIZE, limits)
        assert node.ps()["a"]["pid"] == before["pid"]
        node.send("a", "Add")
        assert shown(node) == (1, 6)
        reload(node)
        assert shown(node) == (2, 1006)


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_a_disk_without_any_room_ends_the_old_process_and_costs_nothing(world: World, mode: str) -> None:
    """A process goes on over a log that takes nothing more, or does not come back with what it had."""
    with world.up(world.spec(counting("a", mode), supervision=FREE)) as node:
        node.send("a", "Add", amount=5)
        # Nothing but the reload is to meet the full disk: neither the turn, nor the digest that follows it.
        until(lambda: is_digested(world), "the digest of the turn")
        before = node.ps()["a"]
        resource.prlimit(before["pid"], resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with pytest.raises(ControlError, match="the old process ended"):
            reload(node)
        until(lambda: node.events("journal_stopped"), "the event")
        until(lambda: node.ps()["a"]["state"] == "running" and node.ps()["a"]["pid"] != before["pid"], "the restart")
        assert shown(node) == (1, 5)
        node.send("a", "Add")
        kill_worker(node, "a", 2)
        assert shown(node) == (1, 6)


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("victim", ["old", "new", "both", "all"])
def test_killed_while_migrating_with_a_journal(world: World, mode: str, victim: str) -> None:
    """A death between the old process's last word and the new one's first costs a message, or counts one twice."""
    spec = world.spec(counting("a", mode), supervision=FREE)
    with world.up(spec) as node:
        node.send("a", "Add", amount=9)
        old = node.ps()["a"]["pid"]
        before = source(world).read_text()
        gated_migration(world)
        with reloading(node) as found:
            new = at_gate(world, "migrating")
            node.send("a", "Add")  # waits in the lane, for whoever comes
            for pid in {"old": [old], "new": [new], "both": [old, new], "all": world.processes()}[victim]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            open_gate(world, "migrating")
        if victim != "all":
            after = shown(node)
            assert after == {"old": (2, 1011), "new": (1, 10), "both": (1, 10)}[victim]
        if victim == "new":
            assert found[0].error == "refused"
            assert node.ps()["a"]["pid"] == old
        if victim == "old":
            assert found[0]["engine"] == "a"
            assert node.ps()["a"]["pid"] == new
        kill_all(world)
    if victim != "all" and after == (1, 10):  # the last turns are the old code's
        source(world).write_text(before)
    with world.up(spec) as node:
        assert shown(node) in ([(2, 1009), (2, 1011)] if victim == "all" else [after])


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_the_code_that_was_refused_is_not_that_of_the_next_process(world: World, mode: str) -> None:
    """A death behind a refused reload brings the refused code into force, or a restart by hand takes no repair."""
    once = SupervisionSpec(intensity=1, backoff_ns=0, budget=None)
    with world.up(world.spec(counting("a", mode), supervision=once)) as node:
        node.send("a", "Add", amount=5)
        text = source(world).read_text()
        source(world).write_text("def\n")
        with pytest.raises(ControlError, match="invalid syntax"):
            reload(node)
        kill_worker(node, "a", 1)
        assert shown(node) == (1, 5)
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        until(lambda: node.ps()["a"]["state"] == "degraded", "the end of its restarts")
        before = node.ps()["a"]["version"]
        source(world).write_text(f"{text}\n# repaired\n")
        node.ask("restart", engine="a")
        assert shown(node) == (1, 5)
        assert node.ps()["a"]["version"] != before


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_what_was_saved_and_not_reloaded_is_not_run(world: World, mode: str) -> None:
    """A death brings code into force that nobody asked for, and its turns are run again by that: the state changes."""
    with world.up(world.spec(counting("a", mode), supervision=FREE)) as node:
        node.send("a", "Add", amount=5)
        text = source(world).read_text()
        edit(world, "t.env.state.total + add.amount", "t.env.state.total + 2 * add.amount")
        kill_worker(node, "a", 1)
        assert shown(node) == (1, 5)
        source(world).write_text(text.replace("VERSION = 1", "VERSION = 2"))
        reload(node, rehearse=0)
        edit(world, "t.env.state.total + add.amount", "t.env.state.total + 2 * add.amount")
        node.send("a", "Add", amount=3)
        kill_worker(node, "a", 2)
        assert shown(node) == (2, 8)


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_a_child_in_a_process_of_its_own_has_the_code_of_its_parent(world: World, mode: str) -> None:
    """A child is born with code that nobody asked for, beside a parent that goes on with the code in force."""
    with world.up(world.spec(counting("a", mode), supervision=FREE, spawned="process")) as node:
        node.send("a", "Add")
        edit(world, "t.env.state.total + add.amount", "t.env.state.total + 2 * add.amount")
        node.send("a", "Breed")
        until(lambda: node.ps().get("a/child", {}).get("state") == "running", "the child")
        node.send("a/child", "Add", amount=3)
        assert node.total("a/child") == 3
        kill_worker(node, "a/child", 1)
        assert node.total("a/child") == 3


@pytest.mark.storm
def test_the_code_of_a_neighbour_that_is_no_longer_kept_is_not_waited_for(world: World) -> None:
    """A process that is to run kept versions never starts again, once a log has removed one that nobody needs."""
    group = Placement("group", "g")
    engines = (EngineSpec("l", "lasting:LASTING", durability="crash", placement=group),)
    with world.up(world.spec(counting("a", "crash", placement=group), *engines, supervision=FREE)) as node:
        node.send("a", "Add", amount=5)
        source(world).write_text("def\n")
        with pytest.raises(ControlError, match="invalid syntax"):
            reload(node)
        (kept,) = (world.folder / "test").rglob(node.ps()["l"]["version"] + "*.code")
        kept.unlink()
        kill_worker(node, "a", 1)
        assert shown(node) == (1, 5)


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_a_candidate_killed_while_importing_for_a_journal(world: World, mode: str) -> None:
    """The death of a candidate costs the old engine anything."""
    with world.up(world.spec(counting("a", mode), supervision=FREE)) as node:
        node.send("a", "Add")
        edit(world, "import os\n", GATED + "import os\ngate('importing')\n")
        with reloading(node) as found:
            os.kill(at_gate(world, "importing"), signal.SIGKILL)
        assert found[0].error == "refused"
        open_gate(world, "importing")
        node.send("a", "Add")
        reload(node)
        assert shown(node) == (1, 2)


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_the_module_of_the_family_before_may_go(world: World, mode: str) -> None:
    """False if an engine that a reload gave another family needed the one before, whose module was renamed."""
    with world.up(world.spec(counting("a", mode), supervision=FREE)) as node:
        node.send("a", "Add", amount=5)
        text = source(world).read_text().replace("VERSION = 1", "VERSION = 2").replace('"counting:', '"renamed:')
        source(world).rename(world.roots / "renamed.py").write_text(text)
        assert reload(node, to="renamed:COUNTER")["to"].startswith("renamed:COUNTER@")
        node.send("a", "Add", amount=2)
        kill_worker(node, "a", 1)
        assert shown(node) == (2, 7)
        (world.roots / "renamed.py").write_text(f"{text}\n# again\n")
        item = reload(node, rehearse=1_000)
        assert ([one["turns"] for one in item["rehearsal"]], item["followed"]) == ([2], True)
        kill_worker(node, "a", 2)
        assert shown(node) == (2, 7)
    spec = world.spec(EngineSpec("a", "renamed:COUNTER", durability=mode), supervision=FREE)
    with world.up(spec) as node:
        assert shown(node) == (2, 7)


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_the_log_says_which_family_runs(world: World, mode: str) -> None:
    """After `reload --to` a restart runs what the node file says, on a state that is not its own."""
    other = source(world).read_text().replace("VERSION = 1", "VERSION = 7")
    (world.roots / "other_counting.py").write_text(other)
    spec = world.spec(counting("a", mode), supervision=FREE)
    with world.up(spec) as node:
        node.send("a", "Add", amount=3)
        assert reload(node, to="other_counting:COUNTER")["to"].startswith("other_counting:COUNTER@")
        assert shown(node) == (7, 3)
        kill_worker(node, "a", 1)
        assert shown(node) == (7, 3)
        kill_all(world)
    with world.up(spec) as node:
        assert shown(node) == (7, 3)
        reload(node)
        assert shown(node) == (7, 3)
        reload(node, to="counting:COUNTER")
        assert shown(node) == (1, 3)
        kill_all(world)
    with world.up(spec) as node:
        assert shown(node) == (1, 3)


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_neighbours_of_every_kind_cross_over(world: World, mode: str) -> None:
    """A volatile neighbour loses its state in a reload of a journal, or a child its journal."""
    group = Placement("group", "g")
    engines = [counting("a", mode, placement=group), counting("v", "volatile", placement=group)]
    spec = world.spec(*engines, EngineSpec("l", "lasting:LASTING", durability=mode, placement=group), supervision=FREE)
    with world.up(spec) as node:
        node.send("a", "Breed")
        until(lambda: node.ps().get("a/child", {}).get("state") == "running", "the child")
        for name, amount in (("a", 1), ("v", 2), ("a/child", 3), ("l", 4)):
            node.send(name, "Add", amount=amount)
        node.send("l", "Later", after_ns=1)
        node.send("l", "Decide")
        until(lambda: node.ps()["l"]["waits_for"], "the question")
        double(world)
        assert sorted(reload(node)["shared_with"]) == ["a/child", "l", "v"]
        assert [node.total(name) for name in ("a", "v", "a/child")] == [1001, 1002, 1003]
        node.ask("answer", engine="l", choice="yes")
        assert node.total("l") == 4
        kill_worker(node, "a", 1)
        assert [node.total(name) for name in ("a", "v", "a/child", "l")] == [1001, 1000, 1003, 4]
        assert node.send("l", "Ask", wait="Total")["decided"] == ["yes"]
        kill_all(world)
    with world.up(spec) as node:
        assert [node.total(name) for name in ("a", "a/child", "l")] == [1001, 1003, 4]


@pytest.mark.storm
@pytest.mark.parametrize("rehearse", [0, 10_000])
@pytest.mark.parametrize("mode", MODES)
def test_kills_at_any_moment_of_a_reload(world: World, mode: str, rehearse: int) -> None:
    """In some instant of a reload a death loses a message, or counts one twice: 12 reloads, each with a kill."""
    spec = world.spec(counting("a", mode), supervision=FREE)
    with world.up(spec) as node:
        verdicts = []
        for number in range(1, 13):
            for _ in range(3):
                node.send("a", "Add")
            source(world).write_text(source(world).read_text() + f"# edition {number}\n")
            pid = node.ps()["a"]["pid"]
            with reloading(node, rehearse=rehearse) as found:
                _wait_in_stage(node, pid, number * (3 if rehearse else 1))
                workers = [one for one in world.processes() if one != node.pid and _is_worker(world, one)]
                for one in workers if number % 3 == 0 else workers[-1:] if number % 3 == 1 else workers[:1]:
                    with suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)
            verdicts.append("switched" if isinstance(found[0], dict) else found[0].error)
            until(lambda: node.ps()["a"]["state"] == "running", "the engine")
            assert node.total("a") == 3 * number
        print(mode, verdicts)
        kill_all(world)
    with world.up(spec) as node:
        assert node.total("a") == 36


@pytest.mark.parametrize("mode", MODES)
def test_two_families_of_one_module_cross_over(world: World, mode: str) -> None:
    """Families that share a module, and so a digest, are migrated by the interface of one of them."""
    group = Placement("group", "g")
    names = {"l": "LASTING", "b": "ACCOUNT", "t": "TELLER"}
    engines = [EngineSpec(name, f"lasting:{ref}", durability=mode, placement=group) for name, ref in names.items()]
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        node.send("l", "Add", amount=4)
        node.send("b", "Transfer", to="b", amount=1, number=1)
        module = world.roots / "lasting.py"
        module.write_text(module.read_text() + "# another edition\n")
        reload(node, "t")
        kill_worker(node, "b", 1)
        assert node.total("l") == 4
        assert node.ask("state", engine="b")[0]["state"]["sent"] == 1


def _is_worker(world: World, pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return "/1 a" in world.shown(pid)[0]
    return False


def _wait_in_stage(node: LiveNode, pid: int, number: int) -> None:
    """From the begin of a reload on, later each time: from its first instant to beyond its end."""
    deadline = time.monotonic() + number * 0.003
    while time.monotonic() < deadline:
        with suppress(ControlError):
            node.ps()


@pytest.mark.storm
@pytest.mark.parametrize("mode", MODES)
def test_history_and_replay_reach_across_a_reload(world: World, mode: str) -> None:
    """A log with a new version in it can be read no more, or tells of a divergence that is none."""
    spec = world.spec(counting("a", mode), supervision=FREE)
    with world.up(spec) as node:
        for _ in range(4):
            node.send("a", "Add")
        assert shown(node) == (1, 4)
        double(world)
        reload(node)
        node.send("a", "Add")
        assert shown(node) == (2, 1006)
        node.end()
    logs = find_logs(str(world.folder / "test"))
    assert [item["finding"] for item in verify(logs)] == [""]
    turns = list(history(logs, "a"))
    assert [turn["turn"] for turn in turns] == list(range(1, 8))
    assert len({turn["code"] for turn in turns}) == 2
    for verify_too, from_turn in (([], 5), (["--verify"], 0)):
        command = [sys.executable, "-m", "host", "replay", logs.data, "--engine", "a", "--json", *verify_too]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
        assert ran.returncode == 0, ran.stderr
        (item,) = json.loads(ran.stdout)["items"]
        assert (item["turn"], item["from_turn"], item["state"]["total"]) == (7, from_turn, 6)
    (world.roots / "counting.py").unlink()
    for turn, total, code in ((3, 3, turns[0]["code"]), (4, 4, turns[0]["code"]), (6, 6, turns[-1]["code"])):
        command = [sys.executable, "-m", "host", "replay", logs.data, "--engine", "a", "--until", str(turn), "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
        assert ran.returncode == 0, ran.stderr
        (item,) = json.loads(ran.stdout)["items"]
        assert (item["state"]["total"], item["code"]) == (total, code)
