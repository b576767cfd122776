"""A node with a bridge, its real store, and a family that echoes; and the command `aism` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deadline import DEADLINE_S
from live_nodes import LiveNode, World, until

from engines.agents.bus import POINTER
from host.aism.bus_client import BusClient, find_bus
from host.aism.output import Failure
from host.config.load import load_node

AISM = (sys.executable, "-c", "import _enginehost; _enginehost.aism()")

NODE = """
node: bus
roots: [roots]
engines:
  bridge:
    family: "engines.devices.bridge:BRIDGE"
    config: {validator: echo, router: echo, orchestrator: echo, root: ROOT, requests_per_s: RATE, burst: BURST}
  echo: {family: "echoing:ECHO", config: {bridge: bridge}, durability: crash}
supervision: {backoff_ns: 10ms, intensity: 1000, budget: 1000}
"""


class Called(NamedTuple):
    """What a call of the command came to."""

    code: int
    answer: dict[str, Any]
    error: str

    @property
    def data(self) -> Any:
        return self.answer["data"]


class Bus:
    """The node, and its agents."""

    def __init__(self, node: LiveNode, root: Path) -> None:
        self.node = node
        self.root = root
        self.tokens: dict[str, str] = {}

    @property
    def pointer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / POINTER).read_text())
        return found

    def admit(self, agent: str, session: int = 1) -> None:
        """Returns once the agent can put requests."""
        self.tokens[agent] = f"{session}-{os.urandom(16).hex()}"
        self.node.send("echo", "Entry", agent=agent, token=self.tokens[agent])
        until(lambda: self.aism(agent, "state", "current").code == 0, f"admission of {agent}")

    def environment(self, agent: str) -> dict[str, str]:
        """Of an agent's process; "" is an operator's."""
        plain = {name: text for name, text in os.environ.items() if not name.startswith("AISM_")}
        plain["PYTHONPATH"] = str(Path(__file__).resolve().parents[4])
        if not agent:
            return plain
        return plain | {"AGENT_ID": agent, "AISM_TOKEN": self.tokens[agent], "AISM_BUS": self.pointer["bus"]}

    def aism(self, agent: str, *words: str, given: bytes = b"", **environment: str) -> Called:
        """A call of the command, as this agent."""
        process = subprocess.run(
            [*AISM, *words],
            input=given,
            capture_output=True,
            env=self.environment(agent) | environment,
            cwd=self.root,
            timeout=DEADLINE_S,
        )
        return Called(process.returncode, json.loads(process.stdout or b"{}"), process.stderr.decode())

    def client(self, agent: str = "") -> BusClient:
        """A connection as this agent, or as an operator."""
        return BusClient(find_bus(self.environment(agent), str(self.root)))

    def store_pid(self) -> int:
        """The process of the store; 0 while there is none."""
        return store_pid(self.root)

    def view(self, agent: str) -> dict[str, str]:
        """The view of an agent in the store; empty while the store is down."""
        try:
            words = self.client().command("HGETALL", f"aism:main:ag:{agent}")
        except Failure:
            return {}
        return dict(zip(map(bytes.decode, words[::2]), map(bytes.decode, words[1::2]), strict=True))


def store_pid(root: Path) -> int:
    """The process of the store of a root folder; 0 while there is none."""
    socket = json.loads((root / POINTER).read_text())["bus"].removeprefix("unix://").partition("?")[0]
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            title = Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            continue
        if b"-server" in title.split(b"\0")[0] and os.fsencode(socket) in title:
            return int(pid)
    return 0


@contextmanager
def bus(world: World, rate: int = 100_000, burst: int = 100_000) -> Iterator[Bus]:
    """A node that is up, with its store."""
    root = world.folder / "root"
    root.mkdir(exist_ok=True)
    file = world.folder / "bus.yaml"
    file.write_text(NODE.replace("ROOT", str(root)).replace("RATE", str(rate)).replace("BURST", str(burst)))
    with world.up(load_node(file)) as node:
        made = Bus(node, root)
        until(lambda: (root / POINTER).exists() and made.store_pid(), "the store")
        yield made
