"""A validator that is killed at any point: what it answered stays, and a request that is put again is done once."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from validator_desk import INBOX

from engines.agents.messages import AgentAnswer, AgentMoved, AgentRequest, Enrol, Fact, FactsChanged
from engines.agents.validation.validating import Wiring
from engines.agents.validation.validator import VALIDATOR
from engines.model import Ref
from host.sim import World

AGENTS = [f"a{number}" for number in range(4)]
FAULTS = "crash=0.03*50,node=0.001*3,slow=0.05,delay=0..2ms"


class PatientBridge:
    """Puts requests, and puts those again that have no answer, as the bridge does."""

    def __init__(self, seed: int, faults: str) -> None:
        self.world = World(seed=seed, faults=faults)
        self.world.add("validator", VALIDATOR, Wiring(router=Ref("router")), durability="crash")
        self.world.received("router")
        self.numbers = 0
        assert self.ask("admin", "protocol.load", "admin", source=INBOX)["success"]
        for agent in AGENTS:
            self.world.send("validator", Enrol(agent, "worker", "inbox", Ref("orchestrator")))
            self.world.send("validator", FactsChanged(agent, (Fact("inbox.unread", 0),)))
        self.world.run("30s")

    def ask(self, agent: str, op: str, actor: Any = "agent", **body: Any) -> dict[str, Any]:
        """The answer to a request that is put until it is answered; all its answers must be equal."""
        self.numbers += 1
        name = f"r{self.numbers}"
        request = AgentRequest(agent, 1, name, op, json.dumps(body), actor, Ref("bridge"))
        for attempt in range(50):
            self.world.send("validator", request, sender="bridge")
            self.world.run("10s" if attempt else "2s")  # a validator that is killed often is restarted late
            if texts := self.answers(name):
                assert len(texts) == 1
                found: dict[str, Any] = json.loads(texts.pop())
                return found
        raise AssertionError(f"no answer to {request}")

    def answers(self, name: str) -> set[str]:
        """The answers to a request so far."""
        sent = self.world.received("bridge")
        return {one.text for one in sent if isinstance(one, AgentAnswer) and one.request_id == name}


def moves_under(seed: int, count: int) -> None:
    """Agents move by chance. An independent account, which sees answers only, must agree with the state at the end."""
    draw = Random(seed)
    bridge = PatientBridge(seed, FAULTS)
    accepted: dict[str, list[tuple[int, str]]] = {agent: [] for agent in AGENTS}
    for _ in range(count):
        agent, target = draw.choice(AGENTS), draw.choice(("idle", "inbox", "distill"))
        answer = bridge.ask(agent, "state.transition", target=target)
        if answer["success"]:
            accepted[agent].append((answer["seq"], answer["data"]["after"]))
    assert bridge.world.faults.happened
    bridge.world.run("1s")
    state = bridge.world.state("validator")
    told = [one for one in bridge.world.received("router") if isinstance(one, AgentMoved)]
    for agent in AGENTS:
        record = state.agents[agent].record
        by_agent = [(one.number, one.state) for one in record.past if one.actor == "agent"]
        assert by_agent == accepted[agent]
        assert [one.number for one in record.past] == list(range(1, record.number + 1))
        assert {one.number for one in told if one.agent == agent} == set(range(record.number + 1))


@pytest.mark.parametrize("seed", range(2))
def test_d1_what_was_answered_stays_and_a_repeat_is_done_once(seed: int) -> None:
    """False if a kill of the validator lost an answered move, made one twice, or left a number out."""
    moves_under(seed, 30)


@pytest.mark.storm
def test_d1_many_kills() -> None:
    """False if in one of many runs a kill lost or doubled a move."""
    for seed in range(2, 14):
        moves_under(seed, 60)
