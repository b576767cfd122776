"""A disk that becomes full under an engine for agents, again and again: nothing acknowledged is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

import pytest
from crew import Crew, new_crew, program
from live_nodes import World, until
from test_lives import acknowledged, goes_on, moves

from host.live.journal.data_folder import find_logs
from host.live.journal.operations import verify

DISK_BYTES = 16 << 20
RESERVE_BYTES = 1 << 20
LEFT_BYTES_MAX = 64 << 10
"""An agent at work fills so much in about a second."""


@pytest.fixture
def disk(world: World) -> Iterator[Path]:
    """A small disk of its own where the node keeps its journal."""
    folder = world.folder / ".enginehost"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(ballast: Path, left: int) -> None:
    """Take the room of the disk, but for so many bytes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)) == 1 << 16:
                continue
        except OSError:
            pass
        file.truncate(max(0, file.tell() - left))


def stopped(crew: Crew) -> int:
    """How often a process has ended because its log could not be written to."""
    return len(crew.node.events("journal_stopped"))


@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.long)])
def test_d4_a_full_disk_costs_nothing_acknowledged(world: World, disk: Path, rounds: int) -> None:
    """False if a move that the agent was told of is missing or made twice after the disk was full at a random write,
    or the engine does not go on by itself once there is room, or a log is damaged."""
    random = Random(rounds)
    made: dict[int, str] = {}
    with new_crew(world) as crew:
        crew.add("ann", *program("walker.py"))
        goes_on(crew, "ann", 3)
        for _ in range(rounds):
            before = stopped(crew)
            fill(disk / "ballast", random.randrange(LEFT_BYTES_MAX))
            until(lambda before=before: stopped(crew) > before, "a write without room")  # type: ignore[misc]
            (disk / "ballast").unlink()
            goes_on(crew, "ann", len(acknowledged(crew, "ann")) + 3)
            made |= moves(crew, "ann")  # the engine keeps the last hundred
        told = acknowledged(crew, "ann")
        made |= moves(crew, "ann")
        assert [made.get(seq) for seq, _target in told] == [target for _seq, target in told]
        assert len({seq for seq, _target in told}) == len(told)
        assert crew.show("ann")["session"] == 1
        crew.node.end()
        assert [one for one in verify(find_logs(str(disk / "crew"))) if one["finding"]] == []


def test_without_room_requests_are_refused_at_once_and_go_on_with_room(world: World, disk: Path) -> None:
    """False if a move waits for room without a word, if a read is not answered, if what was under way is told as
    refused, or is lost or done twice when there is room."""
    with new_crew(world, reserve_bytes=RESERVE_BYTES) as crew:
        crew.done("agent.add", agent="ann", command=["true"], start=False)
        ready = {"target": "inbox", "context": {"bootstrap": "ready"}}
        assert crew.ask("state.transition", by="ann", **ready)["success"]
        fill(disk / "ballast", RESERVE_BYTES // 2)
        told = crew.ask("state.transition", by="ann", target="rest")
        assert (told["error"]["kind"], told["error"]["code"]) == ("unavailable", "storage_full")
        assert str(disk) in told["error"]["message"]
        assert told["error"]["recovery_suggestions"]
        assert crew.ask("state.current", by="ann")["data"]["state"] == "inbox"
        fill(disk / "ballast", 0)
        for number in count(1):  # the last page of a log may have room for some
            forced = {"agent": "ann", "target": ("inbox", "rest")[number % 2], "reason": "a test"}
            under_way = crew.ask("override.force", request_id=f"forced{number}", **forced)
            if not under_way["success"]:
                break
        assert (under_way["error"]["kind"], under_way["error"]["code"]) == ("timeout", "storage_full")
        (disk / "ballast").unlink()
        until(lambda: set(crew.node.states().values()) <= {"running", "device"}, "all engines")
        assert crew.ask("override.force", request_id=f"forced{number}", **forced)["success"]
        assert crew.ask("state.current", by="ann")["seq"] == 1 + number
