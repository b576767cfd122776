"""`aism audit`: it shows what the audit has, and says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engines.agents.audit import AuditEntry
from engines.agents.messages import Happened

pytest.importorskip("pygit2")
from engines.devices.audit_repository import Repository, commit_batch, commit_single

from .called import call

NODE = """
node: town
engines: {audit: {family: "engines.devices.git_audit:GIT_AUDIT", config: {path: engine/audit.git}}}
"""


def aism(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """What a call answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        status, out, err = call(*words)
    assert status == code, (out, err)
    found: dict[str, Any] = json.loads(out)
    return found


def event(number: int, kind: str = "transition", agent: str = "ann") -> Happened:
    return Happened(number, number * 10**9, kind, agent, 1, "deep", number)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder whose audit has five moves and two messages. It has no journal."""
    (tmp_path / "aism.yaml").write_text(NODE)
    (tmp_path / "engine").mkdir()
    repository = Repository(str(tmp_path / "engine" / "audit.git"))
    for number in range(1, 6):
        commit_single(repository, AuditEntry("validator", event(number, agent="ann" if number < 4 else "bob")))
    commit_batch(repository, [AuditEntry("router", event(number, "message.sent")) for number in (1, 2)])
    return tmp_path


def test_the_log_shows_the_newest_first(root: Path) -> None:
    """False if the log is in another order, or shows another agent."""
    shown = aism(root, "audit", "log", "--json")["data"]["commits"]
    assert [one["subject"] for one in shown][:2] == ["2 events", "bob transition deep"]
    assert len(shown) == 6
    [first] = aism(root, "audit", "log", "-n", "1", "--agent", "ann", "--json")["data"]["commits"]
    assert [one["number"] for one in first["events"]] == [1, 2]
    aism(root, "audit", "log", "-n", "0", "--json", code=3)


def test_d5_what_the_audit_has_twice_or_leaves_out_is_named(root: Path) -> None:
    """False if an event that is there twice goes unnoticed, an audit alone is doubted, or a missing journal unsaid."""
    whole = aism(root, "audit", "verify", "--json")["data"]
    assert (whole["commits"], whole["events"], whole["twice"], whole["recorded"]) == (6, 7, 0, 0)
    assert "not compared with the journal" in whole["not_compared"][0]
    repository = Repository(str(root / "engine" / "audit.git"))
    assert repository.numbers == {"router": 2, "validator": 5}
    commit_single(repository, AuditEntry("validator", event(9)))
    assert aism(root, "audit", "verify", "--json")["data"]["families"]["validator"]["left_out"] == 3
    commit_single(repository, AuditEntry("validator", event(10)))
    commit_single(repository, AuditEntry("validator", event(9)))
    assert aism(root, "audit", "verify", "--json", code=1)["data"]["twice"] == 1


def test_without_an_audit_it_says_so(tmp_path: Path) -> None:
    """False if a command on nothing looked like a success."""
    (tmp_path / "aism.yaml").touch()
    assert aism(tmp_path, "audit", "verify", "--json", code=5)["error"]["code"] == "no_audit"
