"""The whole: `aism init`, `up`, an agent that works through the command while processes of ours are killed, `down`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from bus_world import AISM
from deadline import DEADLINE_S
from live_nodes import new_world, until

from engines.agents.bus import POINTER
from host.aism.bus_client import find_bus
from host.aism.client import AgentClient

PROTOCOL = """---
version: 1.0.0
---
# Protocol: turns

## States
- ping (initial, safe, idle): One
- pong (safe, idle): The other

## Transitions
- ping → pong: Always
- pong → ping: Always
"""

AGENT = """
import json, subprocess, sys
calls = []
for number in range(COUNT):
    state = "pong" if number % 2 == 0 else "ping"
    while True:  # 6: nothing was done, as a bridge that was killed often comes back after a pause
        done = subprocess.run([*AISM, "state", "transition", state, "--timeout", "50s"], capture_output=True)
        if done.returncode != 6:
            break
    calls.append([done.returncode, json.loads(done.stdout)])
    print(number, flush=True)
    open("calls.new", "w").write(json.dumps(calls))
    import os
    os.replace("calls.new", "calls.json")
import time
time.sleep(600)
"""


class Engine:
    """A root folder, and the command in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[4])}

    def aism(self, *words: str, code: int = 0) -> dict[str, Any]:
        """What a call of an operator answers."""
        done = subprocess.run(
            [*AISM, *words], capture_output=True, cwd=self.root, timeout=2 * DEADLINE_S, env=self.environment
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def client(self) -> AgentClient:
        return AgentClient(find_bus({}, str(self.root)))

    def kill(self, name: str) -> bool:
        """Kill the process of an engine, or the store; False if there is none now, as it is being restarted."""
        with suppress(KeyError, psutil.NoSuchProcess):
            psutil.Process(self.pids()[name]).kill()
            return True
        return False

    def pids(self) -> dict[str, int]:
        """The processes of the node, by engine, and of the store."""
        listed = subprocess.run(
            [sys.executable, "-m", "host", "ps", "--json"], capture_output=True, cwd=self.root, env=self.environment
        )
        found = {one["engine"]: one["pid"] for one in json.loads(listed.stdout)["items"] if one["pid"]}
        bus = json.loads((self.root / POINTER).read_text())["bus"].removeprefix("unix://").partition("?")[0]
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or [""]
            if "-server" in words[0] and bus in " ".join(words):
                found["store"] = process.pid
        return found


@contextmanager
def engine_up(name: str, protocol: str, *, is_limited: bool = True) -> Iterator[Engine]:
    """An engine for agents that is up, with a protocol; without limits its agents may ask as often as they like,
    and the audit commits every second."""
    with new_world() as world:
        made = Engine(world.folder / "town")
        Engine(world.folder).aism("init", str(made.root))
        if not is_limited:
            file = made.root / "aism.yaml"
            head, bridge, rest = file.read_text().partition("  bridge:\n")
            rest = rest.replace("    config:\n", "    config:\n      requests_per_s: 100000\n      burst: 100000\n")
            head = head.replace("reports: bridge}", "reports: bridge, batch_ns: 1000000000}")
            file.write_text(head + bridge + rest)
        (made.root / "protocols" / f"{name}.md").write_text(protocol)
        made.aism("up", "-d")
        try:
            yield made
        finally:
            made.aism("down", "--stop-agents")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine for agents that is up."""
    with engine_up("turns", PROTOCOL) as made:
        yield made


def test_a_folder_that_is_not_empty_is_left_alone(own_place: Path) -> None:
    """False if `init` writes over somebody's files."""
    (own_place / "mine").touch()
    refused = Engine(own_place).aism("init", ".", code=8)
    assert refused["error"]["code"] == "not_empty"
    assert os.listdir(own_place) == ["mine"]


def test_what_is_down_is_said_to_be_down(own_place: Path) -> None:
    """False if a command in a folder without an engine, or with one that is down, does not say so."""
    made = Engine(own_place)
    assert made.aism("status", code=5)["error"]["code"] == "no_root"
    assert made.aism("state", "current", code=6)["error"]["code"] == "no_bus"
    made.aism("init", "town")
    town = Engine(own_place / "town")
    assert town.aism("status", code=6)["error"]["code"] == "down"
    for command in ("down", "status"):
        assert town.aism(command, "misspelt", code=5)["error"]["code"] == "no_folder"
    assert town.aism("down")["data"] == {"root": str(town.root), "was_running": False, "agents_running": 0}


def test_f1_an_engine_is_up_with_its_protocols(engine: Engine) -> None:
    """False if `init` and `up` give something that cannot be used at once."""
    status = engine.aism("status")["data"]
    assert set(status["engines"].values()) <= {"running", "device"}
    assert (status["bus"], status["keeper"]) == ("up", "up")
    again = engine.aism("up", "-d")["data"]
    assert again["already"] is True
    assert all(one["success"] for one in again["protocols"]), again
    names = {one["name"] for one in engine.aism("protocol", "list")["data"]["protocols"]}
    assert {"turns", "inbox", "bootstrap"} <= names


def test_events_end_when_their_reader_does(engine: Engine) -> None:
    """False if `aism events -f | head -1` ends in a traceback, or does not end."""
    with subprocess.Popen(
        [*AISM, "events", "-f", "-n", "1000"], cwd=engine.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as events:
        assert events.stdout is not None
        assert events.stderr is not None
        assert events.stdout.readline()
        events.stdout.close()
        engine.aism("up", "-d")  # registers protocols again, which is an event each
        until(lambda: events.poll() is not None, "an end of the events")
        assert (events.returncode, events.stderr.read()) == (0, b"")


def test_c10_help_is_what_agents_are_told(engine: Engine) -> None:
    """False if the instructions of agents name a command that there is not, or leave one out."""
    listed = {one["usage"] for one in engine.aism("help")["data"]["commands"] if one["audience"] != "operator"}
    text = (engine.root / "agents" / "AGENTS.md").read_text()
    told = {line.split("`")[1] for line in text.splitlines() if line.startswith("- `")}
    assert told == listed


@pytest.mark.storm
@pytest.mark.parametrize("count", [12, 60])
def test_l5_an_agent_works_on_while_processes_are_killed(engine: Engine, count: int) -> None:
    """False if an acknowledged move is lost, or one is made twice, when bridge, validator or store are killed; or if
    what ended with status 6 was done. The sixth bridge of a minute waits for up to 1.6 s, and a call for 1.5 s."""
    name = f"worker{count}"
    program = engine.root / f"{name}.py"
    program.write_text(f"AISM = {AISM!r}\nCOUNT = {count}\n{AGENT}")
    place = engine.root / "agents" / name / "calls.json"
    with engine.client() as client:
        command = ["/usr/bin/env", f"PYTHONPATH={Path(__file__).resolve().parents[4]}", sys.executable, str(program)]
        added = client.ask("agent.add", agent=name, protocol="turns", command=command, isolation="none", start=True)
        assert added["success"], added

    def calls() -> list[Any]:
        return list(json.loads(place.read_text())) if place.exists() else []

    victims = ["bridge", "validator", "store"]
    for number in range(count // 4):
        until(lambda at=number: len(calls()) > at * 4, "the next calls")
        victim = victims[number % 3]
        until(lambda name=victim: engine.kill(name), victim)
    until(lambda: len(calls()) == count, "all calls", within_s=3 * DEADLINE_S)
    codes = [code for code, _ in calls()]
    assert codes == [0] * count, calls()
    assert [answer["seq"] for _, answer in calls()] == list(range(1, count + 1))
    with engine.client() as client:
        assert client.ask("state.current", agent=name)["seq"] == count
        client.ask("agent.stop", agent=name, now=True)


@pytest.mark.storm
def test_an_attached_engine_ends_with_its_command(own_place: Path) -> None:
    """False if a kill -9 of `aism up` leaves the node, which nobody would look for."""
    Engine(own_place).aism("init", "town")
    town = Engine(own_place / "town")
    with subprocess.Popen([*AISM, "up"], cwd=town.root, stderr=subprocess.PIPE, env=town.environment) as up:
        assert up.stderr is not None
        assert b"up in" in up.stderr.readline()
        processes = [psutil.Process(pid) for pid in town.pids().values()]
        up.kill()
        until(lambda: not any(each.is_running() for each in processes), "the end of the node")
    assert town.aism("down")["data"]["was_running"] is False


@pytest.mark.storm
def test_f3_a_long_root_and_strict(own_place: Path) -> None:
    """False if the path of the root bounds where an engine can be, or `--strict` cannot follow a plain start."""
    root = own_place / ("long" * 30) / "town"
    Engine(own_place).aism("init", str(root))
    town = Engine(root)
    town.aism("up", "-d")
    try:
        assert len(json.loads((root / POINTER).read_text())["bus"]) < 108
        town.aism("down", "--stop-agents")
        town.aism("up", "-d", "--strict")
        status = town.aism("status")["data"]
        assert (status["file"], status["bus"]) == ("aism-strict.yaml", "up")
        assert "durability: crash" not in (root / "aism-strict.yaml").read_text()
        assert "appendfsync always" in (root / "engine" / "store" / "store.conf").read_text()
    finally:
        town.aism("down", "--stop-agents")
