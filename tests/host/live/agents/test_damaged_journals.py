"""Damaged, torn and missing logs of an engine for agents: what a start says, and what `doctor` and a repair do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_nodes import new_world
from test_engine_for_agents import PROTOCOL, Engine

from host.cli.main import run
from host.live.journal.checksums import checksums, kind_written


@pytest.fixture(scope="module")
def saved() -> Iterator[Engine]:
    """An engine that is down, with an agent in its journal; beside it a copy of the journal."""
    with new_world() as world:
        made = Engine(world.folder / "town")
        Engine(world.folder).aism("init", str(made.root))
        (made.root / "protocols" / "turns.md").write_text(PROTOCOL)
        made.aism("up", "-d")
        made.aism("agent", "add", "ann", "--no-start", "--protocol", "turns", "--", "true")
        made.aism("down", "--stop-agents")
        shutil.copytree(made.root / ".enginehost", made.root / "saved")
        yield made


@pytest.fixture
def town(saved: Engine) -> Iterator[Engine]:
    """The same, as it was."""
    shutil.rmtree(saved.root / ".enginehost")
    shutil.copytree(saved.root / "saved", saved.root / ".enginehost")
    yield saved
    saved.aism("down", "--stop-agents")


def data(town: Engine) -> Path:
    return town.root / ".enginehost" / "agents"


def segment(town: Engine, log: str) -> Path:
    (found,) = (data(town) / "journal" / log).glob("*.log")
    return found


def of_later_format(content: bytes) -> bytes:
    """A segment whose head says a version that is yet to come."""
    head = content[:7] + b"\x09" + content[8:96]
    return head + checksums()[kind_written()](head, 0).to_bytes(4, "little") + content[100:]


def knows_ann(town: Engine) -> bool:
    return [one["agent"] for one in town.aism("agent", "ls")["data"]["agents"]] == ["ann"]


def test_d2_a_torn_end_is_cut_and_costs_nothing_acknowledged(town: Engine) -> None:
    """False if half a record at the end of a log kept an engine from its start, or cost it what is before."""
    for log in ("validator", "router", "orchestrator", "measurement"):
        content = segment(town, log).read_bytes()
        segment(town, log).write_bytes(content + content[-40:-7])
    town.aism("up", "-d")
    assert knows_ann(town)


def test_d2_whatever_else_is_wrong_is_refused_with_its_place(town: Engine) -> None:
    """False if an engine started from less than its log had, if the refusal did not name the log, the file and what is
    wrong, or if a start that is refused changed a file."""
    flipped = segment(town, "validator")
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    segment(town, "router").unlink()
    twice = segment(town, "orchestrator")
    shutil.copy(twice, twice.with_name("00000002.log"))
    later = segment(town, "measurement")
    later.write_bytes(of_later_format(later.read_bytes()))
    before = {path: path.read_bytes() for path in data(town).rglob("*.log")}
    said = town.aism("up", "-d", code=6)["error"]
    found = town.aism("doctor")["data"]["journal"]
    wrong = {
        "validator": "00000001.log at offset ",
        "router": "all segments of this log are gone",
        "orchestrator": "00000002.log",
        "measurement": "format 9; this program reads up to format 2",
    }
    for log, text in wrong.items():
        assert f"{log}: " in said["message"]
        assert text in said["message"]
        assert text.partition(" at")[0] in found[log]
    assert "journal verify" in said["recovery_suggestions"][0]
    assert before == {path: path.read_bytes() for path in before}


def test_d2_a_log_that_is_gone_is_missed_until_somebody_gives_it_up(town: Engine) -> None:
    """False if an engine forgot all agents silently, or nobody could go on after the loss of a disk."""
    shutil.rmtree(data(town) / "journal" / "validator")
    refused = town.aism("up", "-d", code=6)["error"]["message"]
    assert "all segments of this log are gone" in refused
    assert "gone" in town.aism("doctor")["data"]["journal"]["validator"]
    assert run(["journal", "repair", "--yes", str(data(town))]) == 0
    town.aism("up", "-d")
    assert set(town.aism("status")["data"]["engines"].values()) <= {"running", "device"}
