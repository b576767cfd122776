"""What our programs import: their own modules and Python's, whatever lies about."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from host.live.inspection.determinism import run_elsewhere
from host.program import LAUNCHER, ROOT, command

LATE_S = 60
NAMES = ("host", "engines", "transport", "bench", "logging", "queue", "msgspec", "uvloop", "platform", "random")
NODE = """
node: shadows
roots: [roots]
engines: {a: {family: 'engines.examples.greeting:GREETEE'}}
"""
SCRIPT = "from _enginehost import main; main()"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with modules that tell when they are imported, and a node file."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r} + ' ')")
    (tmp_path / "node.yaml").write_text(NODE)
    (tmp_path / "roots").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*line: str, **environment: str) -> str:
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=LATE_S, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.storm
def test_the_folder_of_the_command_is_no_part_of_a_node(folder: Path) -> None:
    """False if a module beside a node file, or of a stranger's folder, runs in the supervisor or the zygote."""
    host = command("host.__main__")
    run(*host, "validate", "node.yaml")
    run(*host, "up", "node.yaml", "-d")
    run(*host, "down")
    assert not (folder / "imported").exists()


def test_the_other_process_of_the_determinism_check_too(folder: Path) -> None:
    """False if a check for determinism runs a module of the current folder."""
    assert run_elsewhere([], seed=1) == []
    assert not (folder / "imported").exists()


@pytest.mark.parametrize("line", [(*command("host.__main__"), "version"), ("python3", "-P", "-c", SCRIPT, "version")])
def test_ours_come_before_those_of_pythonpath(folder: Path, line: tuple[str, ...]) -> None:
    """False if a package of one's own named `host`, or a `queue.py` beside it, breaks the command."""
    for name in ("host", "engines", "transport"):
        (folder / "lib" / name).mkdir(parents=True)
        (folder / "lib" / name / "__init__.py").touch()
    (folder / "lib" / "queue.py").write_text("raise SystemExit('imported')")
    out = run(command("host")[0] if line[0] == "python3" else line[0], *line[1:], PYTHONPATH=str(folder / "lib"))
    assert "enginehost" in out


def test_a_program_is_of_the_same_installation() -> None:
    """False if `up` of one installation starts the supervisor of another, found first on the path."""
    assert Path(LAUNCHER).parent == Path(ROOT) == Path(__file__).parents[2]
    assert Path(LAUNCHER).is_file()
