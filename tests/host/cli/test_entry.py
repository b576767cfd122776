"""The supervisor that begins before its command is understood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from host.entry import guess
from host.live.control.launch import Launch

WAIT_S = 10.0


@pytest.mark.parametrize(
    "argv", [(), ("ps",), ("-f", "a.yaml", "up"), ("up", "--help"), ("up", "a.yaml", "--inline"), ("send", "up", "Tag")]
)
def test_nothing_begins_for_other_commands(argv: tuple[str, ...]) -> None:
    """False if every command cost a process."""
    assert guess(argv) is None


@pytest.mark.parametrize(("argv", "attached"), [(("up", "a.yaml"), True), (("up", "a.yaml", "-d"), False)])
def test_a_supervisor_that_was_begun_is_used(argv: tuple[str, ...], attached: bool) -> None:
    """False if `up` started a second one, or one that is not wanted stayed."""
    begun = guess(argv)
    assert begun is not None
    assert begun.attached == attached
    with Launch(attached=attached, begun=begun) as launch:
        assert launch.process is begun.process
    assert begun.process.wait(WAIT_S) == 0


@pytest.mark.parametrize("argv", [("up", "no.yaml"), ("up", "no.yaml", "-df", "other.yaml"), ("up", "--wrong")])
def test_a_command_that_comes_to_nothing_leaves_no_process(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """False if a mistyped `up` left a supervisor behind: it holds the streams of the command until it ends."""
    command = [sys.executable, "-m", "host", *argv]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode in (2, 4)
    assert "Traceback" not in done.stderr
