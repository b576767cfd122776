"""`aism protocol check` and `aism simulate`, as programs call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .called import call

OLD = """\
---
version: 1.0.0
---
# Protocol: work

## States
- inbox (initial, safe): Reads
  - max_duration: 5m → idle
- deep: Works
- idle (idle, safe): Waits

## Transitions
- inbox → deep: A task is found
  - requires: task: string(1..20)
  - sets: context.task = request.task
- deep → inbox: It is done
- idle → inbox on message by engine: Woken

## Context
- task: string(..20) = ""
"""
NEW = OLD.replace("1.0.0", "2.0.0").replace("deep", "focus")
SCRIPT = """\
# one agent, a day
agent ann worker
ann moves deep
ann moves deep {"task": "dig deep"}
expect ann deep
ann moves inbox
wait 6m
expect ann idle
ann message note
ann moves nowhere
"""


def aism(*words: str, code: int = 0) -> Any:
    """The object that a call prints; it must exit with `code`, and print nothing else."""
    status, out, err = call(*words)
    assert (status, err) == (code, "")
    return json.loads(out)


def written(**files: str) -> None:
    """Files of this folder, by name without ending."""
    for name, text in files.items():
        Path(f"{name}.md").write_text(text)


def test_check_names_what_is_missing_and_passes_a_whole_migration() -> None:
    """False if a migration with a hole passes, or a whole one does not."""
    written(work=NEW, old=OLD)
    answer = aism("protocol", "check", "old.md", "work.md", code=1)
    assert answer["error"]["code"] == "E-MIGRATION"
    assert [(one["name"], one["path"]) for one in answer["data"]["missing"]] == [("deep", ["inbox", "deep"])]
    written(work=NEW + "\n## Migrations\n- from 1.0.0 → 2.0.0:\n  - state: deep → focus\n")
    answer = aism("protocol", "check", "old.md", "work.md")
    assert answer["data"]["level"] == "migration"
    assert "state 'deep' is gone" in {one["message"] for one in answer["data"]["differences"]}
    assert aism("protocol", "check", "old.md", "old.md")["data"]["level"] == "identical"
    assert aism("protocol", "check", "none.md", "old.md", code=5)["error"]["kind"] == "unknown"


def test_v11_simulate_decides_as_the_validator_does() -> None:
    """False if a decision is left out, or is another than the engine's."""
    written(work=OLD)
    Path("day.txt").write_text(SCRIPT)
    answer = aism("simulate", "work.md", "--script", "day.txt")
    steps = [(one["line"], one["kind"], one["text"]) for one in answer["data"]["steps"]]
    assert steps == [
        (2, "moved", "nowhere → inbox"),
        (3, "refused", "state.transition: no move from 'inbox' to 'deep' now (missing task)"),
        (4, "done", "state.transition: deep"),
        (4, "moved", "inbox → deep"),
        (6, "done", "state.transition: inbox"),
        (6, "moved", "deep → inbox"),
        (7, "moved", "inbox → idle"),
        (9, "moved", "idle → inbox"),
        (10, "refused", "state.transition: there is no state 'nowhere' (forbidden there is no state 'nowhere')"),
    ]
    assert answer["data"]["agents"] == {"ann": "inbox"}


def test_a_script_that_fails_names_its_line() -> None:
    """False if an expectation that does not hold passes, or a slip is taken for an action."""
    written(work=OLD)
    for script, message in (
        ("agent ann worker\nexpect ann idle\n", "day.txt:2: expected 'ann' in 'idle', and it is in 'inbox'"),
        ("ann moves deep\n", "day.txt:1: there is no agent 'ann'; add it with: agent ann ROLE"),
        ("agent ann\nann dances\n", "day.txt:2: 'dances' is nothing that an agent does"),
        ("wait long\n", "day.txt:1: expected a duration such as 5m, found 'long'"),
        ("agent ann\nann moves deep {\n", "day.txt:2: the fields are no JSON: "),
    ):
        Path("day.txt").write_text(script)
        answer = aism("simulate", "work.md", "--script", "day.txt", code=1)
        assert answer["error"]["message"].startswith(message)
