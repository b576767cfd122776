"""An engine for agents where it is not alone, or not root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from live_nodes import until
from test_engine_for_agents import Engine

from host.aism.keeper.isolation import private_folder
from host.live.control.protocol import EXIT_CODES

NOBODY = 65534
SYSTEM_PYTHON = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"


def test_d6_a_second_engine_on_a_root_is_refused(own_place: Path) -> None:
    """False if two nodes write to one journal, or to one root, if the refusal takes long or names nobody, or the first
    is disturbed by the second."""
    Engine(own_place).aism("init", "town")
    town = Engine(own_place / "town")
    town.aism("up", "-d")
    try:
        before = town.pids()
        text = (town.root / "aism.yaml").read_text()

        def second(text: str) -> subprocess.CompletedProcess[str]:
            (town.root / "second.yaml").write_text(text)
            command = [sys.executable, "-m", "host", "up", "second.yaml", "-d"]
            return subprocess.run(command, capture_output=True, text=True, cwd=town.root, env=town.environment)

        same = second(text)
        assert (same.returncode, same.stdout) == (EXIT_CODES["conflict"], "")
        assert "keeps its data in" in same.stderr
        other = second(text.replace("node: agents", "node: others"))
        assert other.returncode == EXIT_CODES["not_ready"]
        assert f"node 'agents' (its bridge is process {before['bridge']}) runs on {town.root}" in other.stderr
        assert "aism down" in other.stderr
        assert "database is locked" not in other.stderr, "it waited for what the first one holds"
        assert town.pids() == before
        assert town.aism("status")["data"]["bus"] == "up"
    finally:
        town.aism("down", "--stop-agents")


class Unprivileged(Engine):
    """An engine of a user who is not root, with a Python that this user can reach."""

    def aism(self, *words: str, code: int = 0) -> dict[str, Any]:
        python = SYSTEM_PYTHON if private_folder(sys.executable) else sys.executable
        path = ":".join([self.environment["PYTHONPATH"], *(one for one in sys.path if one.endswith("site-packages"))])
        done = subprocess.run(
            [python, "-c", "import _enginehost; _enginehost.aism()", *words],
            capture_output=True,
            cwd=self.root,
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), "PYTHONPATH": path},
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return dict(json.loads(done.stdout))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.skipif(
    bool(private_folder(sys.executable)) and not os.path.exists(SYSTEM_PYTHON), reason="no Python for other users"
)
def test_f4_without_root_what_cannot_be_had_is_refused_and_the_rest_works(own_place: Path) -> None:
    """False if an agent runs at another level than it was to, or the reason is told neither by `doctor` nor of it."""
    for folder in (own_place, own_place.parent):
        os.chmod(folder, 0o755)
    place = own_place / "theirs"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    Unprivileged(place).aism("init", "town")
    town = Unprivileged(place / "town")
    town.aism("up", "-d")
    try:
        levels = town.aism("doctor")["data"]["isolation"]
        assert levels["uid"]["reason"] == "uid: only root can start processes of another user"
        assert levels["none"]["available"]
        for agent, level in (("ann", "uid"), ("bob", "none")):
            town.aism("agent", "add", agent, "--isolation", level, "--protocol", "inbox", "--", "sleep", "600")
        until(lambda: town.aism("agent", "show", "ann")["data"]["phase"] == "quarantined", "the refusal")
        assert town.aism("agent", "show", "ann")["data"]["last_exit"] == levels["uid"]["reason"]
        pid = until(lambda: town.aism("agent", "show", "bob")["data"]["pid"], "the other agent")
        assert os.stat(f"/proc/{pid}").st_uid == NOBODY
    finally:
        town.aism("down", "--stop-agents")
