"""The supervisor that begins before its command is understood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from deadline import DEADLINE_S

from host.entry import guess
from host.live.control.launch import Launch


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
    assert begun.process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("argv", [("up", "no.yaml"), ("up", "no.yaml", "-df", "other.yaml"), ("up", "--wrong")])
def test_a_command_that_comes_to_nothing_leaves_no_process(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """False if a mistyped `up` left a supervisor behind: it holds the streams of the command until it ends."""
    command = [sys.executable, "-m", "host", *argv]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode in (2, 4)
    assert "Traceback" not in done.stderr


INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.argv = ["enginehost", "up", "no.yaml"]
from host.entry import main
sys.meta_path.insert(0, Interrupt())
main()
"""


@pytest.mark.parametrize("module", ["host.live.control.begin", "host.cli.main", "click"])
def test_a_control_c_in_the_imports_is_no_traceback(tmp_path: Path, module: str) -> None:
    """False if the first tenth of a second answered a Ctrl-C with a screen of import machinery, or left a process."""
    command = [sys.executable, "-c", INTERRUPTED_IMPORT.format(module=module)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stderr) == (130, "enginehost: interrupted\n")
