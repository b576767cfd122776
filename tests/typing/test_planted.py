"""Planted mistakes: each is caught by mypy strict, by the definition check, or by both, and in the line that says so.

A comment `# E: code` marks a line mypy reports, `# D: text` one the definition check does; on a line of its own it is
about the next line of code.
Nothing else may be reported. `nothing_wrong` and the time-stamping server have no mark at all.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from engines.model import LoadError, load_family

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PLANTED = sorted(path for path in (HERE / "planted").glob("*.py") if path.stem != "planted_words")
SPECIFICATION = ROOT / "tests" / "engines" / "model" / "stamping.py"
MARK = re.compile(r"# ([ED]): ([^#]+)")

Found = set[tuple[int, str]]


def marks(path: Path, kind: str) -> Found:
    """Lines and texts marked in a file."""
    found, waiting = set(), list[str]()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        waiting += [text.strip() for letter, text in MARK.findall(line) if letter == kind]
        if not line.strip().startswith("#"):
            found |= {(number, text) for text in waiting}
            waiting.clear()
    return found


@pytest.fixture(scope="module")
def reported() -> dict[str, Found]:
    """What mypy says about all of them in one run: by file name, line and code."""
    files = [str(path) for path in (*PLANTED, SPECIFICATION)]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--no-error-summary",
        *files,
    ]
    environment = {"MYPYPATH": f"{HERE / 'planted'}:{SPECIFICATION.parent}", "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, Found] = {}
    for file, line, code in re.findall(r"^(\S+?):(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE):
        found.setdefault(Path(file).name, set()).add((int(line), code))
    return found


@pytest.mark.parametrize("path", [*PLANTED, SPECIFICATION], ids=lambda path: path.stem)
def test_mypy_reports_the_marked_lines_and_no_other(path: Path, reported: dict[str, Found]) -> None:
    """If false, a mistake types could show stays hidden, or correct code is refused."""
    assert reported.get(path.name, set()) == marks(path, "E")


def problems_of(path: Path) -> list[tuple[int, str]]:
    """Lines and texts the definition check reports; another failure than its own is one without a line."""
    try:
        load_family(f"{path.stem}:FAMILY", [str(path.parent)])
    except LoadError as error:
        found = [(problem.line, problem.text) for problem in error.problems if problem.file == str(path)]
        return sorted(found) or [(0, str(error))]
    return []


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_the_definition_check_reports_the_marked_lines_and_no_other(path: Path) -> None:
    """If false, a family with a mistake comes to life, or a good one does not."""
    wanted = sorted(marks(path, "D"))
    problems = problems_of(path)
    assert [line for line, _ in problems] == [line for line, _ in wanted], problems
    for (_, text), (_, mark) in zip(problems, wanted, strict=True):
        assert mark in text


def test_every_planted_mistake_is_caught_by_one_or_the_other() -> None:
    """If false, a file here plants nothing."""
    caught = [path for path in PLANTED if marks(path, "E") or marks(path, "D")]
    assert [path.stem for path in PLANTED if path not in caught] == ["nothing_wrong"]
    assert len(caught) >= 25
