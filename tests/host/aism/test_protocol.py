"""The commands for protocol files, as people and programs call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S

from .called import call

GOOD = """\
---
version: 1.0.0
---
# Protocol: task

## States
- waiting (initial, idle): Nothing to do
- done (final): Finished

## Transitions
- waiting → done: When nothing is left
"""

BAD = GOOD.replace("→ done", "→ ended")


def aism(*words: str, code: int = 0) -> dict[str, Any]:
    """The object that a call prints."""
    status, out, err = call("protocol", *words)
    assert (status, err) == (code, ""), (status, out, err)
    found: dict[str, Any] = json.loads(out)
    assert found["success"] is (code == 0)
    return found


@pytest.fixture
def folder(own_place: Path) -> Path:
    """A folder with a protocol in order, and one with an error."""
    (own_place / "task.md").write_text(GOOD, "utf-8")
    (own_place / "bad").mkdir()
    (own_place / "bad" / "task.md").write_text(BAD, "utf-8")
    return own_place


def test_lint_of_files(folder: Path) -> None:
    """False if an error were no failure, or a finding lacked what programs need."""
    data = aism("lint", "task.md")["data"]
    assert (data["files"], data["errors"], data["warnings"], data["advice"], data["findings"]) == (1, 0, 0, 0, [])
    found = aism("lint", "task.md", "bad/task.md", code=1)
    assert found["error"]["code"] == "lint"
    assert [one["code"] for one in found["data"]["findings"]] == ["W-UNREACHABLE", "E-UNDEF-STATE"]
    one = found["data"]["findings"][1]
    assert (one["file"], one["severity"], one["line"], one["column"]) == ("bad/task.md", "error", 11, 13)
    assert one["span"] == {"line": 11, "column": 13, "length": 5}
    status, out, err = call("protocol", "lint", "bad/task.md", "--text")
    assert status == 1
    assert out.splitlines()[2:] == [
        "bad/task.md:11:13: error E-UNDEF-STATE state 'ended' is not defined here",
        "    hint: add '- ended: ...' to States, or correct the name",
    ]
    assert err == "aism: 1 error, 1 warning\n  aism explain E-UNDEF-STATE\n"


def test_strict_lint_fails_at_a_warning(folder: Path) -> None:
    """False if `--strict` let a warning pass."""
    (folder / "task.md").write_text(GOOD.replace("(initial, idle)", "(idle)"), "utf-8")
    assert aism("lint", "task.md")["data"]["warnings"] == 1
    assert aism("lint", "task.md", "--strict", code=1)["data"]["errors"] == 1


def test_files_that_cannot_be_read(folder: Path) -> None:
    """False if a missing file, a folder, a pipe, or bytes that are no text were a fault of the command."""
    assert aism("lint", "none.md", code=5)["error"]["message"] == "none.md: no such file"
    assert aism("lint", "bad", code=3)["error"]["message"] == "bad is a folder"
    os.mkfifo(folder / "pipe.md")
    assert aism("lint", "pipe.md", code=3)["error"]["message"] == "pipe.md is no regular file"
    assert aism("lint", "task.md/x", code=3)["error"]["code"] == "unreadable"
    assert aism("lint", "x" * 300, code=3)["error"]["code"] == "unreadable"
    (folder / "bytes.md").write_bytes(b"\xff\xfe")
    assert [one["code"] for one in aism("lint", "bytes.md", code=1)["data"]["findings"]] == ["E-ENC"]
    aism("lint", code=3)
    for command in ("fmt", "graph", "show"):
        aism(command, "none.md", code=5)
        aism(command, "bytes.md", code=1)


def test_without_the_reader_of_markdown(folder: Path) -> None:
    """False if a missing optional package were a fault of the command."""
    without = "import sys, _enginehost; sys.modules['markdown_it'] = None; _enginehost.aism()"
    run = [sys.executable, "-c", without, "protocol", "lint", "task.md"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stderr) == (6, "")
    assert json.loads(done.stdout)["error"]["recovery_suggestions"] == ["pip install 'enginehost[agents]'"]


def test_fmt_of_files(folder: Path) -> None:
    """False if a file were not written in the one form, was written by a check, or lost its mode or its link."""
    path = folder / "task.md"
    path.write_text(GOOD.replace("- waiting →", "*  waiting  ->"), "utf-8")
    path.chmod(0o640)
    (folder / "link.md").symlink_to("task.md")
    before = path.read_text("utf-8")
    assert aism("fmt", "--check", "link.md", code=1)["data"]["changed"] == ["link.md"]
    assert path.read_text("utf-8") == before
    assert aism("fmt", "link.md")["data"]["changed"] == ["link.md"]
    assert path.read_text("utf-8") == GOOD
    assert (path.stat().st_mode & 0o777, (folder / "link.md").is_symlink()) == (0o640, True)
    assert aism("fmt", "--check", "link.md")["data"]["changed"] == []
    assert sorted(one.name for one in folder.iterdir()) == ["bad", "link.md", "task.md"]


def test_show_list_and_graph(folder: Path) -> None:
    """False if a file could not be looked at without an engine."""
    (folder / "child.md").write_text("---\nversion: 2.0.0\nextends: task@^1\n---\n# Protocol: child\n", "utf-8")
    (folder / "README.md").write_text("# No protocol\n", "utf-8")
    assert aism("show", "task.md")["data"]["text"] == GOOD
    assert aism("show", "task.md", "--section", "transitions")["data"]["text"].splitlines()[0] == "## Transitions"
    assert aism("show", "task.md", "--section", "Nothing", code=5)["error"]["code"] == "no_such_section"
    assert "- waiting (initial, idle)" in aism("show", "child.md", "--effective")["data"]["text"]
    listed = aism("list", ".")["data"]["protocols"]
    assert [(one["name"], one["version"], one["errors"]) for one in listed] == [
        ("child", "2.0.0", 0),
        ("task", "1.0.0", 0),
    ]
    assert aism("list", "./none", code=5)["error"]["code"] == "no_such_folder"
    assert "waiting --> done" in aism("graph", "child.md")["data"]["graph"]
    assert aism("graph", "task.md", "--dot")["data"]["graph"].startswith('digraph "task" {')


def test_explain_of_codes() -> None:
    """False if a code in a finding could not be looked up, in either way of writing it."""
    assert aism("explain", "e-undef-state")["data"]["severity"] == "error"
    assert aism("explain", "E-NONE", code=5)["error"]["recovery_suggestions"]
