"""The client of `bench agents`: what it counts, and how long it says that a message took."""

from __future__ import annotations

import json
import random
from typing import Any

from engines.agents.messages import AgentAnswer, AgentRequest, Enrol, Enrolled
from engines.benchmark.agents import TALKER, Talked, TalkOrder
from engines.model import Committed, Configuration, Delivery, Outgoing, Ref, birth, step

AGENTS, COUNT = 7, 100
STEP_NS = 1_000
PAUSE_NS = 100 * 10**9


class Post:
    """The talker, and families that answer in any order; messages lie in inboxes until they are read."""

    def __init__(self) -> None:
        self.me = Configuration("test", "client", None, None)
        self.now_ns = PAUSE_NS
        self.env = birth(TALKER, self.me, now_ns=self.now_ns)
        self.inboxes: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[Any] = []
        self.chance = random.Random(1)
        self.sent = 0

    def take(self, message: Any) -> Talked | None:
        self.now_ns += STEP_NS
        outcome = step(TALKER, self.me, self.env, Delivery("router", 0, message), now_ns=self.now_ns)
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        made = [one.message for one in outcome.outputs if isinstance(one, Outgoing)]
        self.asked += [one for one in made if not isinstance(one, Talked)]
        return next((one for one in made if isinstance(one, Talked)), None)

    def talk(self) -> Talked:
        """One order, to its end; answers to what was asked then come after the next order."""
        order = TalkOrder(Ref("validator"), Ref("router"), AGENTS, COUNT, Ref("bench"))
        told = self.take(order)
        while told is None:
            told = self.take(self.answer(self.asked.pop(self.chance.randrange(len(self.asked)))))
        return told

    def answer(self, asked: AgentRequest | Enrol) -> AgentAnswer | Enrolled:
        if isinstance(asked, Enrol):
            return Enrolled(asked.agent, "on")
        body, data = json.loads(asked.body), {}
        if asked.op == "message.send":
            self.sent += 1
            letter = {"id": f"m{self.sent}", "at_ns": self.now_ns}
            self.inboxes.setdefault(body["to"], []).append(letter)
        elif asked.op == "message.read":
            data = {"messages": self.inboxes.pop(asked.agent, [])}
        elif asked.op == "message.ack":
            data = {"acked": body["ids"]}
        return AgentAnswer(asked.agent, asked.request_id, json.dumps({"data": data}), "")


def test_an_order_counts_its_own_messages_only() -> None:
    """False if a message of an earlier order counts: it would have taken as long as the pause since."""
    post = Post()
    for _ in range(3):
        told = post.talk()
        assert told.count == len(told.taken_ns) == COUNT
        assert 0 < min(told.taken_ns) <= max(told.taken_ns) <= told.took_ns < PAUSE_NS
        assert post.asked, "requests are under way"
        assert any(post.inboxes.values()), "messages wait"
        sent = post.sent
        post.now_ns += PAUSE_NS
    assert sent >= 3 * COUNT
