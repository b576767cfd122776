"""A disk that becomes full under an engine for agents, again and again: nothing acknowledged is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from crew import Crew, new_crew, program
from live_nodes import World, until
from test_lives import acknowledged, goes_on, moves

from host.live.journal.data_folder import find_logs
from host.live.journal.operations import verify

DISK_BYTES = 16 << 20
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
    with new_crew(world) as crew:
        crew.add("ann", *program("walker.py"))
        goes_on(crew, "ann", 3)
        for _ in range(rounds):
            before = stopped(crew)
            fill(disk / "ballast", random.randrange(LEFT_BYTES_MAX))
            until(lambda before=before: stopped(crew) > before, "a write without room")  # type: ignore[misc]
            (disk / "ballast").unlink()
            goes_on(crew, "ann", len(acknowledged(crew, "ann")) + 3)
        told, made = acknowledged(crew, "ann"), moves(crew, "ann")
        assert [made.get(seq) for seq, _target in told] == [target for _seq, target in told]
        assert len({seq for seq, _target in told}) == len(told)
        assert crew.show("ann")["session"] == 1
        crew.node.end()
        assert [one for one in verify(find_logs(str(disk / "crew"))) if one["finding"]] == []
