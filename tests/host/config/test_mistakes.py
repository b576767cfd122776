"""Files with mistakes, and everything that is said about them, as text.

`mistakes/NAME.yaml` is the file, `mistakes/NAME.txt` the complete output. ENGINEHOST_WRITE_GOLDEN=1 writes the latter.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from host.config.load import read_node_file
from host.config.problems import ConfigErrors, ConfigProblem

FOLDER = Path(__file__).parent / "mistakes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
CORES = frozenset({0, 1})


def problems_of(name: str) -> tuple[ConfigProblem, ...]:
    return read_node_file(f"{name}.yaml", cores=CORES).problems


@pytest.mark.parametrize("name", NAMES)
def test_output(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mistake of the file, in the words a user reads."""
    monkeypatch.chdir(FOLDER)
    output = str(ConfigErrors(problems_of(name))).replace(str(FOLDER), "<folder>") + "\n"
    golden = FOLDER / f"{name}.txt"
    if os.environ.get("ENGINEHOST_WRITE_GOLDEN"):
        golden.write_text(output, encoding="utf-8")
    assert output == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_a_place_in_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line and column lie in the file and name what is shown; problems come in the order of the file."""
    monkeypatch.chdir(FOLDER)
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    problems = problems_of(name)
    places = [(p.line, p.column) for p in problems]
    assert problems
    assert places == sorted(places)
    for problem in problems:
        assert problem.source == lines[problem.line - 1]
        assert 1 <= problem.column <= len(problem.source) + 1
