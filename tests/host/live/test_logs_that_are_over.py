"""Logs of children that ended: marked, not read again, readable, and removed as the node file says."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from deadline import DEADLINE_S
from live_nodes import LiveNode, World, until

from host.config.spec import ChildSpec, EngineSpec, JournalSpec, NodeSpec, SupervisionSpec
from host.live.control.launch import Launch
from host.live.journal.data_folder import find_logs, log_folder
from host.live.journal.elsewhere import HOMES, Elsewhere, refuse_elsewhere
from host.live.journal.operations import history, verify
from host.live.journal.over import GONE, is_over, mark_over, try_remove, unmark
from host.live.journal.replays import states
from host.live.worker.own_log import lock
from host.node.journal.retention import Over, over_at

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
MODES = pytest.mark.parametrize("mode", ["crash", "durable"])


def family(world: World, mode: str, **rest: object) -> NodeSpec:
    parent = EngineSpec("parent", "engines.benchmark.spawn:PARENT", durability=mode)  # type: ignore[arg-type]
    return world.spec(parent, supervision=FREE, spawned="process", **rest)


def bear(node: LiveNode, count: int) -> None:
    fields = {"count": ["json", count]}
    args = {"engine": "parent", "tag": "Bear", "fields": fields, "wait": "Born", "timeout_ns": 30_000_000_000}
    (born,) = node.ask("send", timeout_s=31, **args)
    assert born["count"] == count


def kill_all(world: World) -> None:
    for pid in world.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.processes(), "the end of all processes")


def logs(world: World) -> dict[str, Path]:
    """Folders of children, by name."""
    journal = world.folder / "test" / "journal"
    return {path.name: path for path in journal.iterdir() if path.is_dir() and path.name != "parent"}


def over(world: World) -> list[str]:
    return sorted(name for name, path in logs(world).items() if is_over(str(path)))


@MODES
def test_the_log_of_a_child_that_ended_is_marked_and_can_be_read(world: World, mode: str) -> None:
    """False if the mark came without an end, never, or took the log from those who read."""
    with world.up(family(world, mode)) as node:
        bear(node, 4)
        until(lambda: len(over(world)) == 4, "four marks")
        assert not is_over(str(world.folder / "test" / "journal" / "parent"))
        node.end()
    data = str(world.folder / "test")
    found = find_logs(data)
    assert len(found.folders) == 5
    assert [item["finding"] for item in verify(found)] == [""] * 5
    for slot, path in found.folders.items():
        if slot != "parent":
            assert len(list(history(found, slot))) == 1
            assert states(path, "test", (str(world.roots),), slot, None, verify=True)[0]["turn"] == 1


@pytest.mark.storm
@MODES
def test_kills_of_everything_leave_marks_only_where_nobody_lives(world: World, mode: str) -> None:
    """False if a child that was killed before its parent knew were born anew, or its log stayed without a mark."""
    spec = family(world, mode)
    for life in range(4):
        with world.up(spec) as node:
            bear(node, 3 + life)
            kill_all(world)
    with world.up(spec) as node:
        bear(node, 1)
        until(lambda: len(over(world)) == len(logs(world)) == 3 + 4 + 5 + 6 + 1, "a mark for each child")
        node.end()
    found = find_logs(str(world.folder / "test"))
    for slot in set(found.folders) - {"parent"}:
        assert len(list(history(found, slot))) == 1, "a child handled its one message once"


@pytest.mark.storm
@MODES
def test_logs_that_are_over_are_removed_as_the_node_file_says(world: World, mode: str) -> None:
    """False if a node that bears and bears fills the disk, or loses a log that somebody needs."""
    spec = family(world, mode, journal=JournalSpec(retain_bytes=0))
    with world.up(spec) as node:
        bear(node, 5)
        until(lambda: not logs(world), "the removal of logs of this life")
        until(lambda: sum(event["count"] for event in node.events("logs_removed")) == 5, "what says so")
        bear(node, 1)
        node.end()
    with world.up(family(world, mode)) as node:
        bear(node, 5)
        until(lambda: len(over(world)) >= 5, "marks")
        kill_all(world)
    (world.folder / "test" / "journal" / f"{GONE}child").mkdir()
    with world.up(spec) as node:
        until(lambda: not logs(world), "the removal of logs of earlier lives, and of what was being removed")
        bear(node, 2)
        node.end()
    assert {item["finding"] for item in verify(find_logs(str(world.folder / "test")))} == {""}


@pytest.mark.storm
def test_who_has_no_journal_and_what_is_no_log_keep_no_logs(world: World) -> None:
    """False if removal waited for an engine that finished and can be no parent, or stumbled over a file each second."""
    with world.up(family(world, "crash")) as node:
        bear(node, 3)
        until(lambda: len(over(world)) == 3, "marks")
        node.end()
    (world.folder / "test" / "journal" / f"{GONE}file").write_text("no log\n")
    spec = family(world, "crash", journal=JournalSpec(retain_bytes=0))
    once = EngineSpec("once", "failing:VICTIM", child=ChildSpec(restart="temporary"))
    with world.up(msgspec.structs.replace(spec, engines=(*spec.engines, once))) as node:
        os.kill(node.ps()["once"]["pid"], signal.SIGKILL)
        until(lambda: node.events("finished", "once"), "the end of an engine")
        until(lambda: not logs(world), "the removal of logs of earlier lives")
        assert node.events("internal_error") == []


@pytest.mark.storm
def test_what_a_disk_refuses_is_told_once(world: World) -> None:
    """False if a folder that nobody may change filled the log of the supervisor, or ended it."""
    with world.up(family(world, "crash")) as node:
        bear(node, 2)
        until(lambda: len(over(world)) == 2, "marks")
        node.end()
    for path in logs(world).values():
        (path / "lock").unlink()
        (path / "lock").mkdir()
    with world.up(family(world, "crash", journal=JournalSpec(retain_bytes=0))) as node:
        (kept,) = until(lambda: node.events("logs_kept"), "the word of it")
        assert "lock" in kept["reason"]
        bear(node, 2)
        assert len(node.events("logs_kept")) == 1
        assert node.events("internal_error") == []


@pytest.mark.storm
def test_by_default_they_stay(world: World) -> None:
    """False if the logs of children went before the week, or the gigabyte, that the guide says."""
    with world.up(family(world, "crash")) as node:
        bear(node, 3)
        until(lambda: len(over(world)) == 3, "marks")
        node.end()
    with world.up(family(world, "crash")) as node:
        bear(node, 1)
        assert node.events("logs_removed") == []
        node.end()
    assert len(logs(world)) == 4


def test_a_child_is_told_to_be_over_once_its_words_are_acknowledged(world: World) -> None:
    """False if a parent struck off a child whose last words nobody had: no life of the node would send them again."""
    with world.up(family(world, "crash")) as node:
        bear(node, 1)
        until(lambda: len(over(world)) == 1, "the mark")
        parent = node.ps()["parent"]["pid"]
        ask = {"engine": "parent", "tag": "Bear", "fields": {"count": ["json", 1]}, "wait": None, "timeout_ns": 10**9}
        node.ask("send", **ask)
        until(lambda: len(logs(world)) == 2, "the log of the second child")
        os.kill(parent, signal.SIGSTOP)
        ended = len(node.events("ended"))
        assert len(over(world)) == ended, "nobody is over without having been told, or the other way round"
        os.kill(parent, signal.SIGCONT)
        until(lambda: len(over(world)) == 2, "the mark of the second")
        node.end()


def new_log(data: Path, slot: str) -> str:
    """The folder of a log that holds nothing yet."""
    return log_folder(str(data), slot, make=True).path


def test_nobody_looks_into_a_log_that_is_over_and_only_one_looks_at_all(tmp_path: Path) -> None:
    """False if each start read each log, or what one found were used by a later life."""
    own, other, third = (new_log(tmp_path, name) for name in ("own", "other", "third"))
    mark_over(other, 1)
    Path(other, f"{8:020}.snap").write_bytes(b"no snapshot")
    refuse_elsewhere(own, ["a"], 1)
    Path(third, f"{8:020}.snap").write_bytes(b"no snapshot")
    refuse_elsewhere(own, ["a"], 1)
    with pytest.raises(Elsewhere, match=r"third.*cannot be read"):
        refuse_elsewhere(own, ["a"], 2)
    homes = tmp_path / "journal" / HOMES
    homes.write_bytes(homes.read_bytes()[:7])
    with pytest.raises(Elsewhere, match=r"third.*cannot be read"):
        refuse_elsewhere(own, ["a"], 2)
    refuse_elsewhere(third, ["a"], 2)


def test_a_log_in_use_is_not_removed(tmp_path: Path) -> None:
    """False if a log went below the process that leaves, or one that somebody began to write again."""
    folder = new_log(tmp_path, "child")
    mark_over(folder, 1)
    held = lock(folder)
    assert not try_remove(folder)
    os.close(held)
    unmark(folder)
    assert not try_remove(folder)
    mark_over(folder, 1)
    assert try_remove(folder)
    assert not os.listdir(tmp_path / "journal")


@pytest.mark.storm
def test_children_that_move_to_their_parent_do_not_begin_anew(world: World) -> None:
    """False if `spawned: parent` cost children the state that lies in logs of their own."""
    spec = family(world, "crash")
    crowd = {"count": ["json", 2], "each": ["json", 2]}
    args = {"engine": "parent", "tag": "Crowd", "fields": crowd, "wait": "Born", "timeout_ns": 10_000_000_000}
    with world.up(spec) as node:
        node.ask("send", **args)
        node.end()
    with Launch(msgspec.structs.replace(spec, spawned="parent"), attached=False) as launch:
        last = world.responses(launch)[-1]
        launch.process.wait(DEADLINE_S)
    assert last.error == "not_ready"
    assert "change the placement back" in last.items[0]["detail"]
    with world.up(spec) as node:
        assert len(node.ps()) == 3
        node.end()


def test_the_oldest_go_until_the_others_fit() -> None:
    """False if a bound of bytes kept more, or removed a younger one first; or the age did not count."""
    found = [Over("b", 10, 200), Over("a", 10, 100), Over("c", 10, 300)]
    assert over_at(found, 300, 30, 1_000) == []
    assert over_at(found, 300, 20, 1_000) == ["a"]
    assert over_at(found, 300, 0, 1_000) == ["a", "b", "c"]
    assert over_at(found, 1_150, 30, 1_000) == ["a"]
