"""What was under way to the audit when its process, or the node, ended: the journal has it, and the audit gets it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import psutil
import pytest
from live_nodes import until
from test_engine_for_agents import PROTOCOL, Engine, engine_up

MOVES = 40


@pytest.fixture
def town() -> Iterator[Engine]:
    """An engine for agents that is up, with an agent that people move."""
    with engine_up("turns", PROTOCOL, is_limited=False) as made:
        with made.client() as client:
            added = client.ask("agent.add", agent="ann", protocol="turns", command=["true"], start=False)
            assert added["success"], added
        yield made


def move(town: Engine, count: int = MOVES) -> None:
    """Moves of the agent, which the audit has not committed when this returns."""
    with town.client() as client:
        for number in range(count):
            done = client.ask("override.force", agent="ann", target=("pong", "ping")[number % 2], reason="a test")
            assert done["success"], done


def lacks_nothing(town: Engine) -> None:
    found = town.aism("audit", "verify")["data"]
    assert found["recorded"] >= MOVES
    assert [found[name] for name in ("twice", "missing", "different", "unknown", "misplaced")] == [0] * 5, found


def test_a_kill_costs_the_audit_nothing_once_the_engine_was_started_again(town: Engine) -> None:
    """False if the audit lacks something after a kill of all processes and a start, has it twice, or in disorder."""
    for _ in range(2):
        move(town)
        processes = [psutil.Process(pid) for pid in town.pids().values()]
        supervisor = next(p for p in processes[0].parents() if p.name() == "enginehost" or "enginehost:" in p.name())
        os.kill(supervisor.pid, signal.SIGKILL)
        until(lambda found=processes: not any(map(runs, found)), "the end of all")  # type: ignore[misc]
        town.aism("up", "-d")
    town.aism("down", "--stop-agents")
    lacks_nothing(town)


def test_d5_what_was_under_way_at_an_ordered_stop_is_in_the_audit_and_a_deleted_one_is_made_again(town: Engine) -> None:
    """False if `audit verify` misses something right after `aism down`, at the end, or in the gap that a kill of the
    audit's process has left before; or if `audit repair` does not write all that the journal has, once."""
    move(town)
    os.kill(town.pids()["audit"], signal.SIGKILL)
    move(town)
    town.aism("audit", "repair", code=8)
    town.aism("down", "--stop-agents")
    lacks_nothing(town)
    shutil.rmtree(town.root / "engine" / "audit.git")
    assert town.aism("audit", "repair")["data"]["added"] >= MOVES
    assert town.aism("audit", "repair")["data"]["added"] == 0
    lacks_nothing(town)


def runs(process: psutil.Process) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
