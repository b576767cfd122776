"""Messages per second between 100 agents, from sending to acknowledgement, and how long each takes until it is read.

`bus` is the whole: the node of `aism init` with its store, and agents that ask through the Python client, at a pace of
1,020 messages and 510 transitions a second, for a minute; each agent reads every two thirds of a second. `command` is
one caller that starts the command again and again; its value is calls per second, its single times are whole calls.

The others leave out the bus and the processes of agents. Validator, router and measurement have a process each, and so
has the client, which is all the agents. Each agent sends ten messages, reads and acknowledges; so a message costs 1.2
requests, and there is no pace: a message waits behind all that were sent before it.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.crowd import Pace
from bench.live_node import exchange
from bench.peers.agents import Town, commands, crowd, town
from bench.peers.enginehost import contestant
from bench.rounds import Contestant, Round, Suite
from host.live.control.client import Client

AGENTS = 100
MESSAGES = 5_000
MINUTE_NS = 60 * 10**9
CALLS = 200
PACE = Pace(messages=10.2, transitions=5.1, reads=1.5, lasts_ns=MINUTE_NS)
"""Of each agent: a little more than the floors, since what is not read at the end does not count. A read is one
request, which also acknowledges the messages of the read before it.
"""

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
    share = messages / MESSAGES
    pace = Pace(PACE.messages, PACE.transitions, PACE.reads, int(PACE.lasts_ns * share))
    short = Pace(PACE.messages, PACE.transitions, PACE.reads, pace.lasts_ns // 10)
    calls = max(int(CALLS * share), 10)
    return [
        _node("crash", messages, "enginehost", "measurement"),
        _node("crash", messages, "enginehost-unmeasured", ""),
        _node("volatile", messages, "enginehost-volatile", "measurement"),
        _town("bus", AGENTS, lambda place: crowd(place, short), lambda place: crowd(place, pace)),
        _town("command", 1, lambda place: commands(place, 1), lambda place: commands(place, calls)),
    ]


def _node(mode: str, messages: int, peer: str, listeners: str) -> Contestant:
    def measure(client: Client) -> Round:
        order = {"validator": "validator", "router": "router", "agents": AGENTS, "count": messages}
        talked = exchange(client, "client", "TalkOrder", order, wait="Talked")
        return Round(talked["count"] * 1e9 / talked["took_ns"], talked["count"], talked["taken_ns"])

    return contestant(NODE.format(mode=mode, listeners=listeners), measure, peer=peer)


def _town(peer: str, agents: int, warm: Callable[[Town], Round], measure: Callable[[Town], Round]) -> Contestant:
    """One counted round, after a short one to warm up. The node is up for each round only."""
    works = iter([warm, measure])

    def run() -> Round:
        with town(agents) as place:
            return next(works)(place)

    return Contestant(peer, run, rounds=1)


SUITE = Suite(
    "agents",
    f"messages between {AGENTS} agents, from sending to acknowledgement",
    "messages/s",
    MESSAGES,
    _contestants,
    least=100,
)
