"""Several `up -d` of one file at the same instant: one node, and every command ends well once it is ready."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from deadline import DEADLINE_S
from live_node import CONFIGS, LiveNode, live_node

COMMANDS = 4


@pytest.mark.storm
def test_all_of_them_are_told_of_the_one_node() -> None:
    """False if a user, or a script, lost the race to start what he wanted to run."""
    with live_node(CONFIGS / "greeting.yaml", "process") as node:
        node.run("down")
        told = _up_together(node)
        assert len({item["pid"] for item in told}) == 1
        assert [item["already"] for item in told].count(False) == 1
        assert {engine["state"] for engine in node.run("ps")} == {"running"}


def _up_together(node: LiveNode) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "host", "up", str(node.config), "--detach", "--json"]
    started = [
        subprocess.Popen(command, env=node.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(COMMANDS)
    ]
    ended = [(process.communicate(timeout=DEADLINE_S), process.returncode) for process in started]
    assert [code for _, code in ended] == [0] * COMMANDS, ended
    return [json.loads(out)["items"][0] for (out, _), _ in ended]
