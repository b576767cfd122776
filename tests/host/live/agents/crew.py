"""A node with the families for agents, its store, a keeper, and agents as processes of their own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from live_nodes import LiveNode, World, until

from engines.agents.bus import POINTER
from host.aism.keeper.start import end_keeper, ensure_keeper, keeper_socket
from host.config.load import load_node
from host.live.control.protocol import ControlError

PROGRAMS = Path(__file__).parent / "programs"

WORK = """---
version: 1.0.0
---
# Protocol: work

## States
- bootstrap (initial): Getting ready
- inbox (safe): Looking for work
- deep_work: Working
- rest (idle): Waiting for messages
- done (final): Finished

## Transitions
- bootstrap → inbox: When ready
  - requires: bootstrap: string
- inbox → deep_work: When there is a task
  - requires: task: string
- inbox → rest: When there is nothing to do
- rest → inbox on message by engine: Woken
- deep_work → inbox: When more is to be done
- deep_work → done: When all is done
"""

NODE = """
node: crew
engines:
  bridge:
    family: "engines.devices.bridge:BRIDGE"
    config:
      {validator: validator, router: router, orchestrator: orchestrator, root: ROOT, socket_perm: SOCKET,
       requests_per_s: 1000, burst: 1000, journal: DATA, reserve_bytes: RESERVE}
  validator:
    family: "FAMILY"
    config: {router: router, orchestrator: orchestrator, bridge: bridge, listeners: [bridge]}
    durability: crash
  router:
    family: "engines.agents.routing.router:ROUTER"
    config: {validator: validator, orchestrator: orchestrator, bridge: bridge, listeners: [bridge]}
    durability: crash
  orchestrator:
    family: "engines.agents.orchestration.orchestrator:ORCHESTRATOR"
    config:
      {validator: validator, router: router, bridge: bridge, launcher: launcher, listeners: [bridge],
       protocol: work, TIMES}
    durability: crash
  launcher:
    family: "engines.devices.launcher:LAUNCHER"
    config: {orchestrator: orchestrator, root: ROOT}
MEASURED
supervision: {backoff_ns: 10ms, backoff_max_ns: 100ms, intensity: 1000, budget: 1000}
"""

MEASURED = """
  measurement:
    family: "engines.agents.measuring.measurement:MEASUREMENT"
    config:
      {validator: validator, orchestrator: orchestrator, bridge: bridge, listeners: [bridge], logs: logs,
       windows: [{model: talker, tokens: 1000}]}
    durability: crash
  logs:
    family: "engines.devices.session_log:SESSION_LOGS"
    config: {roots: ["ROOT/agents/{agent}/logs"], measurement: measurement, poll_ns: 50ms}
"""

TIMES = {"start_ns": "20s", "prompt_ns": "20s", "grace_ns": "2s", "backoff_ns": "200ms", "lost_ns": "1s"}


class Crew:
    """The node, and its agents."""

    def __init__(self, node: LiveNode, root: Path) -> None:
        self.node = node
        self.root = root
        self.requests = 0
        self.name = os.urandom(4).hex()

    def ask(self, op: str, by: str = "admin", request_id: str = "", **body: Any) -> dict[str, Any]:
        """A request by way of the bridge, and its answer."""
        self.requests += 1
        name = request_id or f"{self.name}.{self.requests}"
        fields = {"agent": by, "request_id": name, "op": op, "body": json.dumps(body)}
        answer = until(lambda: self._put(fields), f"an answer to {op}")
        return dict(json.loads(answer["text"]))

    def _put(self, fields: dict[str, Any]) -> Any:
        """The answer; None where none came, so that the request is to be repeated with its id."""
        written = {name: ["json", value] for name, value in fields.items()}
        what = {"engine": "bridge", "mailbox": 0, "tag": "PutRequest", "fields": written, "wait": "RequestAnswered"}
        try:
            return self.node.client.request("send", {**what, "timeout_ns": 10**9 // 2}).items[0]
        except ControlError:
            return None

    def done(self, op: str, **body: Any) -> dict[str, Any]:
        """The data of the answer to an operator's request that succeeds."""
        answer = self.ask(op, **body)
        assert answer["success"], answer
        return dict(answer["data"])

    def add(self, agent: str, *command: str, **fields: Any) -> None:
        """Add an agent, which starts."""
        self.done("agent.add", agent=agent, command=list(command), **fields)

    def show(self, agent: str) -> dict[str, Any]:
        return self.done("agent.show", agent=agent)

    def phase(self, agent: str) -> str:
        return str(self.show(agent)["phase"])

    def until_phase(self, agent: str, *phases: str) -> dict[str, Any]:
        """Wait until the life of an agent is in one of these phases."""
        try:
            return until(lambda: (found := self.show(agent))["phase"] in phases and found, f"{agent} {phases}", 30.0)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.show(agent)}; {self.output(agent)}") from None

    def output(self, agent: str) -> str:
        """All that the sessions of an agent have written."""
        return written(self.root, agent)

    def kill(self, engine: str) -> None:
        """kill -9 of the process of an engine."""
        os.kill(self.node.ps()[engine]["pid"], 9)


def written(root: Path, agent: str) -> str:
    """All that the sessions of an agent have written."""
    folder = root / "engine" / "sessions" / agent
    files = [*sorted(folder.glob("*/stdout.log")), *sorted(folder.glob("*/stderr.log"))]
    return "".join(each.read_text() for each in files)


@contextmanager
def new_crew(
    world: World,
    *,
    is_measured: bool = False,
    protocol: str = WORK,
    socket_perm: str = "660",
    transport: str = "auto",
    validator: str = "engines.agents.validation.validator:VALIDATOR",
    reserve_bytes: int = 0,
    **times: str,
) -> Iterator[Crew]:
    """A crew that is up, with a protocol; at the end nothing of it is left. `times` are the orchestrator's terms."""
    root = world.folder / "crew"
    for name in ("protocols", "agents", "engine"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "protocols" / "work.md").write_text(WORK)
    terms = ", ".join(f"{name}: {text}" for name, text in {**TIMES, **times}.items())
    path = world.folder / "crew.yaml"
    text = NODE.replace("TIMES", terms).replace("MEASURED", MEASURED if is_measured else "")
    if is_measured:
        text = text.replace("listeners: [bridge]", "listeners: [bridge, measurement]")
        text = text.replace("root: ROOT, socket", "root: ROOT, measurement: measurement, socket")
    text += f"transport: {{local: {transport}}}\nroots: [{world.roots}]\n"
    text = text.replace("FAMILY", validator).replace("DATA", str(world.folder / ".enginehost"))
    text = text.replace("RESERVE", str(reserve_bytes))
    visible = str(PROGRAMS)
    text = text.replace("SOCKET", f'"{socket_perm}"').replace("root: ROOT}", f'root: ROOT, visible: ["{visible}"]}}')
    path.write_text(text.replace("ROOT", str(root)))
    ensure_keeper(str(root))
    assert until(lambda: keeper_socket(str(root)), "a keeper")
    try:
        with world.up(load_node(str(path))) as node:
            crew = Crew(node, root)
            until((root / POINTER).exists, "the store")
            crew.done("protocol.load", source=protocol, current=True)
            yield crew
    finally:
        assert end_keeper(str(root), stop_agents=True, grace_s=1.0) == 0


def program(name: str) -> tuple[str, ...]:
    """The command line of one of the agents' programs."""
    path = str(PROGRAMS / name)
    start = {"sh": "sh", "py": sys.executable, "js": "node"}[name.rpartition(".")[2]]
    return (start, path)
