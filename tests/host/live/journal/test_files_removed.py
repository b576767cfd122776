"""Files of a log that somebody removed whole: what a start and `journal verify` can tell, and what nobody can."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import LiveNode, World, new_world

from host.cli.main import run
from host.config.spec import EngineSpec, NodeSpec, SupervisionSpec
from host.live.control.client import Client
from host.live.control.instances import running_instance
from host.live.control.launch import Launch
from host.live.journal.data_folder import find_logs
from host.live.journal.operations import verify

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)

Choice = Callable[[list[Path], list[Path]], list[Path]]
"""Segments in force and snapshots, in order, to those that are removed."""

TOLD_BY_BOTH: dict[str, tuple[Choice, str]] = {
    "the segment of the newest snapshot": (lambda logs, _: logs[-3:-2], "no segment begins at"),
    "it and all behind it": (lambda logs, _: logs[-3:], "there is no segment behind position"),
    "one behind it": (lambda logs, _: logs[-2:-1], "are missing before it"),
    "all segments": (lambda logs, _: logs, "there is no segment behind position"),
    "all snapshots": (lambda _, snaps: snaps, "are missing before it"),
    "the newest segment": (lambda logs, _: logs[-1:], "this segment and all from 8 on are gone"),
    "all files": (lambda logs, snaps: [*logs, *snaps], "and all from 3 on are gone"),
    "the whole log": (lambda logs, _: [logs[0].parent], "all segments of this log are gone"),
}
TOLD_BY_VERIFY: dict[str, Choice] = {
    "the oldest segment": lambda logs, _: logs[:1],
    "one before the newest snapshot": lambda logs, _: logs[2:3],
}
NOT_TOLD: dict[str, tuple[Choice, int]] = {
    "the newest snapshot, which is made up for": (lambda _, snaps: snaps[-1:], 40),
}


@pytest.fixture(scope="module", params=["crash", "durable"])
def made(request: pytest.FixtureRequest) -> Any:
    """A world with a node file, and a copy of its data: four lives, forty turns, a snapshot at the twenty-fifth."""
    with new_world() as world:
        spec = world.spec(EngineSpec("a", "lasting:LASTING", durability=request.param), supervision=FREE)
        for life in range(4):
            with world.up(spec) as node:
                _add(node, 5)
                if life in (1, 2):
                    node.ask("reload", engine="a", timeout_ns=DEADLINE_NS)
                _add(node, 5)
                node.end()
        shutil.copytree(world.folder / "test", world.folder / "saved")
        yield world, spec


def _add(node: LiveNode, times: int) -> None:
    for _ in range(times):
        node.send("a", "Add", amount=1)


def _without(world: World, choice: Choice) -> list[dict[str, Any]]:
    """What `journal verify` finds once files were removed from a fresh copy."""
    shutil.rmtree(world.folder / "test")
    shutil.copytree(world.folder / "saved", world.folder / "test")
    log = world.folder / "test" / "journal" / "a"
    for path in choice(sorted(log.glob("*.log")), sorted(log.glob("*.snap"))):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [item for item in verify(find_logs(str(world.folder / "test"))) if item["finding"]]


def _started(world: World, spec: NodeSpec) -> int | str:
    """The sum that a start goes on with, or why it is refused."""
    with Launch(spec, attached=False) as launch:
        last = world.responses(launch)[-1]
        if last.error:
            launch.process.wait(DEADLINE_S)
            return str(last.items[0]["detail"])
        instance = running_instance(spec.path)
        assert instance is not None
        with Client(instance.control) as client:
            node = LiveNode(launch, spec, client)
            total = node.total("a")
            node.end()
            return total


@pytest.mark.storm
@pytest.mark.parametrize("removed", TOLD_BY_BOTH)
def test_a_gap_is_refused(made: tuple[World, NodeSpec], removed: str) -> None:
    """False if a start went on from less than a snapshot, or another segment, says there was."""
    world, spec = made
    choice, finding = TOLD_BY_BOTH[removed]
    (item,) = _without(world, choice)
    assert finding in item["finding"]
    started = _started(world, spec)
    assert isinstance(started, str)
    assert finding in started
    assert "repair" in item["choices"]


@pytest.mark.storm
@pytest.mark.parametrize(("removed", "total"), [("the newest segment", 30), ("the whole log", 0)])
def test_a_repair_goes_on_without_what_is_gone(made: tuple[World, NodeSpec], removed: str, total: int) -> None:
    """False if nobody could go on without files that no backup has."""
    world, spec = made
    _without(world, TOLD_BY_BOTH[removed][0])
    assert run(["journal", "repair", "--yes", str(world.folder / "test")]) == 0
    assert _started(world, spec) == total
    assert [one["finding"] for one in verify(find_logs(str(world.folder / "test")))] == [""]


@pytest.mark.parametrize("removed", TOLD_BY_VERIFY)
def test_a_gap_in_history_costs_no_start(made: tuple[World, NodeSpec], removed: str) -> None:
    """False if what no start needs kept a node from its start, or `journal verify` called it in order."""
    world, spec = made
    (item,) = _without(world, TOLD_BY_VERIFY[removed])
    assert "history: positions" in item["finding"]
    assert "a start works without it" in item["choices"]
    assert _started(world, spec) == 40


@pytest.mark.parametrize("removed", NOT_TOLD)
def test_what_cannot_be_told(made: tuple[World, NodeSpec], removed: str) -> None:
    """False if the guarantees, which say what nobody can tell, said too little or too much."""
    world, spec = made
    choice, total = NOT_TOLD[removed]
    assert _without(world, choice) == []
    assert _started(world, spec) == total
