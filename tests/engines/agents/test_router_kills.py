"""A router that is killed at any point: whatever it accepted arrives, and nothing comes again once acknowledged."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from engines.agents.messages import AgentAnswer, AgentMoved, AgentRequest
from engines.agents.routing.router import ROUTER
from engines.agents.routing.state import Ways
from engines.model import Ref
from host.sim import World

AGENTS = [f"a{number}" for number in range(5)]
FAULTS = "crash=0.03*50,node=0.001*3,slow=0.05,delay=0..2ms"


class Bridge:
    """Puts requests, and puts those again that have no answer, as the bridge does."""

    def __init__(self, seed: int, faults: str) -> None:
        self.world = World(seed=seed, faults=faults)
        self.world.add("router", ROUTER, Ways(), durability="crash")
        for number, agent in enumerate(AGENTS, start=1):
            moved = AgentMoved(agent, "worker", "work", "1", "d", "inbox", "", 1, number, True, ())
            self.world.send("router", moved, sender="validator")
        self.world.run("1s")
        self.numbers = 0

    def ask(self, agent: str, op: str, **body: Any) -> dict[str, Any]:
        """The answer to a request that is put until it is answered."""
        self.numbers += 1
        name = f"r{self.numbers}"
        request = AgentRequest(agent, 1, name, f"message.{op}", json.dumps(body), "agent", Ref("bridge"))
        for attempt in range(50):
            self.world.send("router", request, sender="bridge")
            self.world.run("10s" if attempt else "2s")  # a router that is killed often is restarted late
            for answer in self.world.received("bridge"):
                if isinstance(answer, AgentAnswer) and answer.request_id == name:
                    found: dict[str, Any] = json.loads(answer.text)
                    return found
        raise AssertionError(f"no answer to {request}")


def exchange_under(seed: int, count: int) -> None:
    """Agents send to each other and read by chance, and acknowledge at once or with the next read; at the end all."""
    draw = Random(seed)
    bridge = Bridge(seed, FAULTS)
    accepted: dict[str, tuple[str, str]] = {}
    got: dict[str, list[str]] = {agent: [] for agent in AGENTS}
    acked: dict[str, str] = {}
    unacked: dict[str, list[str]] = {}

    def read(agent: str) -> bool:
        done = unacked.pop(agent, [])
        data = bridge.ask(agent, "read", max=draw.randrange(1, 8), ack=done)["data"]
        messages = data["messages"]
        assert set(data.get("unknown", ())) <= set(done)
        acked.update(dict.fromkeys(done, agent))
        for one in messages:
            assert one["id"] not in acked, "an acknowledged message came again"
            assert one["attempt"] == 1
            got[agent].append(one["text"].split("\n")[1])
        ids = [one["id"] for one in messages]
        if ids and draw.random() < 0.5:
            unacked[agent] = ids
        elif ids:
            assert bridge.ask(agent, "ack", ids=ids)["data"]["acked"] == ids
            acked.update(dict.fromkeys(ids, agent))
        return bool(messages)

    for number in range(count):
        sender, to = draw.sample(AGENTS, 2)
        answer = bridge.ask(sender, "send", to=to, text=f"{sender} {number}")
        accepted[answer["data"]["sent"][0]["id"]] = (to, f"{sender} {number}")
        if draw.random() < 0.3:
            read(draw.choice(AGENTS))
    for agent in AGENTS:
        while read(agent):
            pass
    assert bridge.world.faults.happened
    assert acked == {name: to for name, (to, _) in accepted.items()}
    for agent in AGENTS:
        for sender in AGENTS:
            sent = [text for to, text in accepted.values() if to == agent and text.startswith(f"{sender} ")]
            assert [text for text in got[agent] if text.startswith(f"{sender} ")] == sent


@pytest.mark.parametrize("seed", range(2))
def test_r3_whatever_was_accepted_arrives_and_nothing_twice_after_its_acknowledgement(seed: int) -> None:
    """False if a kill of the router lost a message, gave one out again, or did a repeated request twice."""
    exchange_under(seed, 40)


@pytest.mark.storm
@pytest.mark.parametrize("first", [100, 200])
def test_r3_under_many_seeds(first: int) -> None:
    """False as above, for some of many seeds."""
    for seed in range(first, first + 2):
        exchange_under(seed, 200)
