"""A router with agents around it, for tests: each request is one transition, and its answer is read."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from engines.agents.messages import AgentAnswer, AgentMoved, AgentRequest, Happened, HappenedTogether
from engines.agents.protocol.model import Bound, Capability, Field, FieldType, MessageType, Protocol, State
from engines.agents.routing.conduct import conduct_of
from engines.agents.routing.router import ROUTER
from engines.agents.routing.state import Routing, Ways
from engines.agents.telling import events_in
from engines.model import Committed, Configuration, Delivery, Due, Handle, Map, Outgoing, Ref, birth, due_timers, step

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
WAYS = Ways(Ref("validator"), Ref("orchestrator"), Ref("bridge"), (Ref("log"),))

WORK = Protocol(
    "work",
    "1.0.0",
    states=(
        State("inbox", ("initial",)),
        State("deep", allow=(Capability("send", ("done", "note")), Capability("receive", ("note",)))),
    ),
    messages=(
        MessageType(
            "offer",
            "boss",
            "worker",
            fields=(Field("task", FieldType("id")), Field("hours", FieldType("int", 1, 9), is_optional=True)),
            replies=("agree", "refuse"),
            within_ns=10 * MINUTE_NS,
        ),
        MessageType("done", "worker", "boss"),
        MessageType("alert", "any", "any", when_receiver=("inbox",), otherwise="bounce"),
        MessageType("status", "worker", "any", order="latest"),
        MessageType("news", "any", "any", expires_ns=MINUTE_NS, max_bytes=100),
        MessageType("morning", "any", "any", when_sender=("inbox",)),
    ),
)
LIMITED = Protocol("limited", "1.0.0", states=(State("inbox"),), limits=(Bound("messages", 3, MINUTE_NS),))


PATIENT = replace(WORK, name="patient")
"""No guard of it looks at the inbox."""


class PostOffice:
    """The router and the time; agents that are enrolled follow `WORK`."""

    def __init__(
        self, ways: Ways = WAYS, protocols: tuple[Protocol, ...] = (WORK, LIMITED, PATIENT), **agents: str
    ) -> None:
        self.me = Configuration("test", "router", None, ways)
        conducts = Map((one.name, conduct_of(one, "" if one is PATIENT else "inbox.unread")) for one in protocols)
        self.now_ns = 1_700_000_000 * SECOND_NS
        self.env = birth(ROUTER, self.me, state=Routing(conducts=conducts), now_ns=self.now_ns)
        self.sent: list[Outgoing] = []
        self._requests = 0
        self._moves = 0
        for agent, role in agents.items():
            self.move(agent, role)

    @property
    def state(self) -> Routing:
        state: Routing = self.env.state
        return state

    def take(self, message: Any) -> list[Any]:
        """What the router sends at a message."""
        self.now_ns += 1_000
        return self._done(step(ROUTER, self.me, self.env, Delivery("bridge", 0, message), now_ns=self.now_ns))

    def _done(self, outcome: Any) -> list[Any]:
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        sent = [one for one in outcome.outputs if isinstance(one, Outgoing)]
        self.sent += sent
        return [one.message for one in sent]

    def move(self, agent: str, role: str = "worker", state: str = "inbox", protocol: str = "work", **more: str) -> None:
        """The validator says that an agent is in this state."""
        self._moves += 1
        version, digest = more.get("version", "1.0.0"), more.get("digest", protocol)
        self.take(AgentMoved(agent, role, protocol, version, digest, state, "", 1, self._moves, True, ()))

    def ask(
        self, agent: str, op: str, session: int = 1, request_id: str = "", actor: Any = "agent", **body: Any
    ) -> dict[str, Any]:
        """The answer to a request; {} if there is none yet."""
        self._requests += 1
        named = request_id or f"r{self._requests}"
        text = json.dumps({name.rstrip("_"): value for name, value in body.items()})
        request = AgentRequest(agent, session, named, f"message.{op}", text, actor, Ref("bridge"))
        answers = [one for one in self.take(request) if isinstance(one, AgentAnswer) and one.request_id == named]
        return json.loads(answers[-1].text) if answers else {}

    def send(self, agent: str, to: str, text: str = "hello", **body: Any) -> str:
        """The id of a message that is accepted."""
        answer = self.ask(agent, "send", to=to, text=text, **body)
        assert answer["success"], answer
        return str(answer["data"]["sent"][0]["id"])

    def refusal(self, agent: str, to: str, **body: Any) -> str:
        """The rule that refuses a message."""
        answer = self.ask(agent, "send", to=to, **body)
        assert not answer["success"], answer
        return str(answer["error"]["code"])

    def read(self, agent: str, **body: Any) -> list[dict[str, Any]]:
        """The messages that an agent gets."""
        answer = self.ask(agent, "read", **body)
        assert answer["success"], answer
        found: list[dict[str, Any]] = answer["data"]["messages"]
        return found

    def ack(self, agent: str, *ids: str) -> None:
        """The agent is done with these."""
        assert self.ask(agent, "ack", ids=list(ids))["data"]["acked"] == list(ids)

    def wait(self, ns: int) -> list[Any]:
        """What the router sends by itself in this time."""
        end_ns, made = self.now_ns + ns, []
        while timers := [one for one in self.env.timers.values() if one.deadline_ns <= end_ns]:
            self.now_ns = max(self.now_ns, min(one.deadline_ns for one in timers))
            handles = due_timers(self.env, self.now_ns)
            made += self._done(step(ROUTER, self.me, self.env, Due(handles), now_ns=self.now_ns))
        self.now_ns = end_ns
        return made

    def elapse(self, name: str) -> list[Any]:
        """What the router sends when this timer elapses now."""
        due = Due((Handle(name, self.env.timers[name].number),))
        return self._done(step(ROUTER, self.me, self.env, due, now_ns=self.now_ns))

    def of(self, kind: type[Any]) -> list[Any]:
        """What the router has sent of a type."""
        return [one.message for one in self.sent if isinstance(one.message, kind)]

    def events(self) -> list[Happened]:
        """What listeners were told, also what waited to be told."""
        self.wait(SECOND_NS)
        told = [one.message for one in self.sent if isinstance(one.message, Happened | HappenedTogether)]
        return [event for message in told for event in events_in(message)]


def body_of(message: dict[str, Any]) -> str:
    """The text of a message without its markers."""
    return "\n".join(message["text"].split("\n")[1:-1])
