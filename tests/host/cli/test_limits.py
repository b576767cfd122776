"""Limits of the system that a command or a start meets: which one it was, and what to do."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from host.live.control.context import make_context

from .test_astray import run
from .test_standard_streams import NODE, shell

NOBODY = 65534


def test_a_start_that_is_short_of_descriptors_says_how_to_have_more(project: Path) -> None:
    """False if somebody has to find out what `Too many open files` is about."""
    (project / "node.yaml").write_text(NODE)
    short = shell("up node.yaml -d", "", before="ulimit -n 24; ")
    assert short.returncode == 1
    assert "at most 24 are allowed, too few for this node (engines: 1): raise that (ulimit -n" in short.stderr
    assert run("ps").returncode == 5


def test_a_user_who_may_start_no_more_threads_gets_an_error() -> None:
    """False if a command is aborted by a library, with a line of C++ as its last word."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setresuid(NOBODY, NOBODY, NOBODY)  # the limit does not hold for root
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
            make_context()
        except OSError as error:
            code = 7 if "ulimit -u" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@pytest.mark.storm
def test_links_that_are_slow_for_want_of_a_compiler_are_told(project: Path) -> None:
    """False if the notice of the build, which pip does not show, is all that is ever said."""
    (project / "node.yaml").write_text(NODE)
    up = run("up", "node.yaml", "-d", ENGINEHOST_NATIVE="off")
    assert up.stderr == "links are ZeroMQ, not shared memory, which is faster (enginehost doctor shows why)\n"
    assert run("down").returncode == 0
    (project / "node.yaml").write_text(NODE + "transport: {local: zmq}\n")
    assert run("up", "node.yaml", "-d").stderr == ""
    assert run("down").returncode == 0
