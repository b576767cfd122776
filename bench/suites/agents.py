"""Messages per second between 100 agents, from sending to acknowledgement, and how long each takes until it is read.

Validator, router and measurement have a process each, with `durability: crash`, and so has the client, which is all the
agents. Each agent sends ten messages, reads and acknowledges; so a message costs 1.2 requests. The bus and the
processes of agents are left out (`docs/decisions/0014-agents.md` has figures of these).
"""

from __future__ import annotations

from bench.live_node import exchange
from bench.peers.enginehost import contestant
from bench.rounds import Contestant, Round, Suite
from host.live.control.client import Client

AGENTS = 100
NODE = """
node: bench-agents
engines:
  client: {{family: "engines.benchmark.agents:TALKER"}}
  validator:
    family: "engines.agents.validation.validator:VALIDATOR"
    config: {{router: router, listeners: [{listeners}]}}
    durability: {mode}
  router:
    family: "engines.agents.routing.router:ROUTER"
    config: {{validator: validator, listeners: [{listeners}]}}
    durability: {mode}
  measurement:
    family: "engines.agents.measuring.measurement:MEASUREMENT"
    config: {{validator: validator}}
    durability: {mode}
    mailboxes: {{0: {{policy: drop-oldest}}}}
placement: {{default: process}}
"""


def _contestants(messages: int) -> list[Contestant]:
    return [
        _node("crash", messages, "enginehost", "measurement"),
        _node("crash", messages, "enginehost-unmeasured", ""),
        _node("volatile", messages, "enginehost-volatile", "measurement"),
    ]


def _node(mode: str, messages: int, peer: str, listeners: str) -> Contestant:
    def measure(client: Client) -> Round:
        order = {"validator": "validator", "router": "router", "agents": AGENTS, "count": messages}
        talked = exchange(client, "client", "TalkOrder", order, wait="Talked")
        return Round(talked["count"] * 1e9 / talked["took_ns"], talked["count"], talked["taken_ns"])

    return contestant(NODE.format(mode=mode, listeners=listeners), measure, peer=peer)


SUITE = Suite(
    "agents",
    f"messages between {AGENTS} agents, from sending to acknowledgement",
    "messages/s",
    5_000,
    _contestants,
    least=100,
)
