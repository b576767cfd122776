"""Logs that are removed, moved or replaced while their engines run: somebody is told, and nothing goes silently."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, SupervisionSpec
from host.live.control.protocol import ControlError

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


def node_spec(world: World, mode: Any) -> Any:
    engines = [EngineSpec(name, "lasting:LASTING", durability=mode) for name in ("a", "b")]
    return world.spec(*engines, supervision=FREE)


def folder_of(world: World, slot: str) -> Path:
    return world.folder / "test" / "journal" / slot


def one_segment(folder: Path) -> None:
    (segment,) = folder.glob("*.log")
    segment.unlink()


def all_files(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def the_data_folder(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def gone(node: LiveNode, engine: str) -> Any:
    until(lambda: node.ps()[engine]["state"] == "degraded", f"{engine} degraded", within_s=60)  # it syncs
    return next(e for e in node.events("journal_gone") if e["journal"].endswith(f"/{engine}"))


def hits_until_gone(node: LiveNode) -> bool:
    with suppress(ControlError):  # of a process that has just left
        node.send("a", "Add")
    return bool(node.events("journal_gone"))


@pytest.mark.storm
@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize(
    ("remove", "is_idle"),
    [(one_segment, True), (all_files, False), (shutil.rmtree, True), (shutil.rmtree, False), (the_data_folder, False)],
)
def test_what_was_acknowledged_survives_the_removal_of_its_log(
    world: World, mode: str, remove: Any, is_idle: bool
) -> None:
    """False if an engine went on without its log unnoticed, or came back from `restart` without what it had said."""
    with world.up(node_spec(world, mode)) as node:
        for _ in range(3):
            node.send("a", "Add")
        assert node.total("a") == 3
        remove(folder_of(world, "a"))
        if not is_idle:
            until(lambda: hits_until_gone(node), "the news", within_s=60)
        assert gone(node, "a")["saved"] is True
        assert "removed" in node.ps()["a"]["fault"]
        node.ask("restart", engine="a")
        until(lambda: node.ps()["a"]["state"] == "running", "the restart")
        assert node.total("a") >= 3
        node.send("a", "Add")
        total = node.total("a")
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        until(lambda: node.ps()["a"]["restarts"] == 2 and node.ps()["a"]["state"] == "running", "a kill more")
        assert node.total("a") == total
        if remove is not the_data_folder:
            assert node.ps()["b"]["restarts"] == 0


def test_another_log_in_its_place_is_not_touched(world: World) -> None:
    """False if an engine wrote into a log that somebody put in place of its own, or took it for its own by itself."""
    with world.up(node_spec(world, "crash")) as node:
        node.send("a", "Add", amount=5)
        assert node.total("a") == 5
        place, aside = folder_of(world, "a"), world.folder / "aside"
        shutil.copytree(place, aside)
        shutil.rmtree(place)
        aside.rename(place)
        before = {path.name: path.read_bytes() for path in place.iterdir()}
        event = gone(node, "a")
        assert event["saved"] is False
        assert event["reason"] == "another log lies there"
        assert {path.name: path.read_bytes() for path in place.iterdir()} == before
        node.ask("restart", engine="a")
        until(lambda: node.ps()["a"]["state"] == "running", "the restart")
        assert node.total("a") == 5


def test_a_folder_that_moves_takes_its_log_along(world: World) -> None:
    """False if engines whose data folder was renamed stopped, or a process of theirs began anew at the old place."""
    with world.up(node_spec(world, "durable")) as node:
        node.send("a", "Add", amount=5)
        assert node.total("a") == 5
        (world.folder / "test").rename(world.folder / "moved")
        until(lambda: (node.send("a", "Add"), node.events("journal_moved"))[1], "the news")
        total = node.total("a")
        os.kill(node.ps()["a"]["pid"], signal.SIGKILL)
        until(lambda: node.ps()["a"]["restarts"] == 1 and node.ps()["a"]["state"] == "running", "the restart")
        assert node.total("a") == total
        assert not (world.folder / "test" / "journal" / "a").exists()
