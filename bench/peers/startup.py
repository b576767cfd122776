"""enginehost: time from the command until every engine of a node is ready, with a process for each engine.

The command runs in its own process, so interpreter and imports count. The same round also measures the cost of idle
processes: their private memory, and their processor time while nothing happens.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.memory import private_bytes
from bench.rounds import Contestant, Round
from host.live.control.protocol import ControlError
from host.program import command

IDLE_S: Final = 1.0
COMMAND_S: Final = 60.0
"""Bound of each command; `up` has an earlier bound of its own for the start."""

NODE: Final = """
node: bench-startup
engines:
  player: {{family: "engines.examples.ping_pong:PLAYER", count: {engines}}}
placement: {{default: process}}
"""


def startup(engines: int) -> Contestant:
    """Nanoseconds from the command to its end, all engines ready; details of idle processes."""
    return Contestant("enginehost", lambda: _round(engines))


def _round(engines: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder:
        config = str(Path(folder, "node.yaml"))
        Path(config).write_text(NODE.format(engines=engines))
        begun_ns = time.monotonic_ns()
        try:
            (node,) = _command("up", config, "--detach")
            taken_ns = time.monotonic_ns() - begun_ns
            ready = node["ready"]
            return Round(taken_ns, len(ready), (), _idle([engine["pid"] for engine in ready]))
        finally:
            _run("down", "--file", config)


def _command(*arguments: str) -> list[dict[str, Any]]:
    """The items that a command prints. Raises `ControlError` if it fails."""
    done = _run(*arguments)
    if done.returncode:
        raise ControlError("failed", done.stderr.strip())
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = command("host.__main__", *arguments, "--json")
    return subprocess.run(line, capture_output=True, text=True, timeout=COMMAND_S, check=False)


def _idle(pids: list[int]) -> dict[str, float]:
    """Median and largest private memory of a process, and its mean processor time within a second."""
    before_ns = sum(map(_ran_ns, pids))
    time.sleep(IDLE_S)
    ran_ns = sum(map(_ran_ns, pids)) - before_ns
    private = [private_bytes(pid) / 1024 for pid in pids]
    return {
        "private_kib": statistics.median(private),
        "private_kib_max": max(private),
        "idle_cpu_ns": ran_ns / len(pids),
    }


def _ran_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
