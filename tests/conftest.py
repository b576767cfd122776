"""For all tests: a place of their own, Ctrl-C as a terminal has it, patience with a busy machine, and no child left."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest
from deadline import DEADLINE_S
from hypothesis import settings

from engines.model.store.module_sets import SOURCES

OUTSIDE = ("CI", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "NOTIFY_SOCKET", "PYTHONUNBUFFERED")
"""Variables of a terminal, a service manager or a CI runner that change what commands and workers do."""

# Whatever the environment says: else each process that tests start compiles all it imports, half a second a node.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("patient", deadline=None, print_blob=True, max_examples=100 if "CI" in os.environ else 20)
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # `nohup pytest &` in a script ignores it, children inherit that, and a test that sends it would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for the whole suite, since many tests wait; none where files are named, which is done sooner."""
    return 2 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


gc.disable()  # until tests run: all that is imported and collected stays, and to search it costs a quarter of the time


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Search for garbage again, but not among what there is by now."""
    gc.freeze()
    gc.enable()


gettempdir()  # which keeps what it finds: not the folder of the first test that asks, which goes with it


@pytest.fixture(autouse=True)
def own_place() -> Iterator[Path]:
    """The working folder of a test, empty, and beside it the folders of its runtime and of its temporary files.

    Whatever nodes the user of this machine runs, and from wherever tests are started, a test does not see them.
    """
    # Short, since the paths of sockets are bounded.
    with TemporaryDirectory(prefix="eh", dir="/tmp") as name, pytest.MonkeyPatch.context() as patch:
        work = Path(name, "work")
        work.mkdir()
        for variable in OUTSIDE:
            patch.delenv(variable, raising=False)
        patch.setenv("XDG_RUNTIME_DIR", name)
        patch.setenv("TMPDIR", name)
        patch.chdir(work)
        yield work
    SOURCES.use()  # a test that reads a log has the modules of the versions in it


@pytest.fixture(autouse=True)
def no_child_is_left(own_place: Path) -> Iterator[None]:
    """A process that a test started and left running takes time from later ones, and hides what they leave."""
    before = children()
    yield
    deadline = time.monotonic() + DEADLINE_S
    while (left := children() - before) and time.monotonic() < deadline:
        time.sleep(0.005)
    for pid in left:
        os.kill(int(pid), signal.SIGKILL)
    assert not left, f"children still ran: {left}"


def children() -> set[str]:
    """What this process has started and still runs; empty where the kernel does not tell."""
    try:
        found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except FileNotFoundError:
        return set()
    return {pid for pid in found if _runs(pid)}


def _runs(pid: str) -> bool:
    """Not one that has ended, or the helper that multiprocessing keeps for as long as a program lives."""
    try:
        is_over = Path("/proc", pid, "stat").read_text().rsplit(") ", 1)[1].startswith("Z")
        return not is_over and b"multiprocessing.resource_tracker" not in Path("/proc", pid, "cmdline").read_bytes()
    except FileNotFoundError:
        return False
