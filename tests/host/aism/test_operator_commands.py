"""Commands of operators that need no engine: doctor, and limits as people write them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from host.aism.commands.agent import limits_of
from host.aism.keeper.isolation import LEVELS, private_folder
from host.aism.node import node_failure
from host.aism.usage import Misuse

from .called import call

AISM = (sys.executable, "-c", "import _enginehost; _enginehost.aism()")


def test_doctor_tells_levels_limits_and_what_is_reduced() -> None:
    """False if a level is missing from the report, or one that cannot be had has no reason in one line."""
    done = subprocess.run([*AISM, "doctor"], capture_output=True, text=True, cwd="/", env=_environment())
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert set(data["isolation"]) == set(LEVELS)
    for level, found in data["isolation"].items():
        assert found["available"] or (found["reason"].startswith(f"{level}: ") and "\n" not in found["reason"])
    assert data["isolation"]["none"]["identity"].startswith("advisory")
    assert set(data["limits"]) >= {"memory_bytes", "cpu_percent", "pids", "files", "wall_s"}
    text = subprocess.run([*AISM, "doctor", "--text"], capture_output=True, text=True, cwd="/", env=_environment())
    assert "isolation none: available: advisory" in text.stdout


def test_a_folder_that_cannot_be_made_is_a_wrong_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if `aism init` calls a folder that cannot be there, or a full disk, a fault of ours, or leaves half a root
    folder there, which the next try refuses."""
    (tmp_path / "file").touch()
    for name in ("file/town", "a" * 300):
        status, text, _ = call("init", str(tmp_path / name))
        assert (status, json.loads(text)["error"]["code"]) == (3, "unwritten")
    assert os.listdir(tmp_path) == ["file"]

    def full(_path: Path, _text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        status, text, _ = call("init", str(tmp_path / "town"))
    assert (status, json.loads(text)["error"]["code"], os.listdir(tmp_path / "town")) == (3, "unwritten", [])
    assert call("init", str(tmp_path / "town"))[0] == 0


def test_what_can_be_done_with_a_log_of_another_version_is_said() -> None:
    """False if `aism up` with another version of this software names only a command that finds the log in order."""
    wrong = {"items": [{"message": "router: journal", "reason": "journal", "detail": "recorded a; the replay gives b"}]}
    done = subprocess.CompletedProcess([], 7, json.dumps(wrong), "enginehost: node agents did not start: router\n")
    assert any("'enginehost reload'" in one for one in node_failure(done).error["recovery_suggestions"])


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))}


def test_f5_what_is_not_installed_is_said() -> None:
    """False if a machine without bwrap and runc is said to have them."""
    environment = _environment() | {"PATH": "/nonexistent"}
    code = (
        "import host.aism.keeper.isolation as i, json\n"
        "i._found = lambda program: None\n"
        "print(json.dumps(i.available()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout)
    assert found["bwrap"] == "bwrap: not installed"
    assert found["runc"] == "runc: not installed"
    assert found["none"] == ""


def test_limits_are_written_with_units() -> None:
    """False if a limit is read as another number, or a wrong unit is taken."""
    words = ["memory=512MiB", "cpu=50%", "pids=10", "wall=2m", "output=1kB"]
    assert limits_of(words) == {
        "memory_bytes": 512 << 20,
        "cpu_percent": 50,
        "pids": 10,
        "wall_s": 120,
        "output_bytes_s": 1000,
    }
    for wrong in ("memory=lots", "cpu=50", "pids=10MiB", "disk=1GiB", "wall=2", "memory"):
        with pytest.raises(Misuse):
            limits_of([wrong])


def test_a_private_folder_is_found(tmp_path: os.PathLike[str]) -> None:
    """False if a folder that others cannot enter is overlooked."""
    inner = os.path.join(tmp_path, "shut", "inner")
    os.makedirs(inner)
    os.chmod(os.path.dirname(inner), 0o700)
    assert private_folder(os.path.join(inner, "python"))
    assert private_folder("/usr/bin/env") == ""
