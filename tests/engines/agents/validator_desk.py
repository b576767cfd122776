"""A validator with agents around it, for tests: each request is one transition, and its answer is read."""

from __future__ import annotations

import json
from typing import Any

from engines.agents.messages import (
    AgentAnswer,
    AgentRequest,
    Enrol,
    Enter,
    Fact,
    FactsChanged,
    Happened,
    HappenedTogether,
    MessageWaiting,
)
from engines.agents.protocol.decide_record import Record
from engines.agents.telling import events_in
from engines.agents.validation.records import Registry
from engines.agents.validation.validating import Wiring
from engines.agents.validation.validator import VALIDATOR
from engines.model import Committed, Configuration, Delivery, Due, Outgoing, Ref, birth, due_timers, next_deadline, step

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
BEGAN_NS = 1_700_000_000 * SECOND_NS
WIRING = Wiring(Ref("router"), Ref("orchestrator"), Ref("bridge"), (Ref("log"),))

INBOX = """\
---
version: 1.0.0
---
# Protocol: inbox

## States
- inbox (initial, safe): Processing messages and requests
  - max_duration: 5m → idle
- deep_work: Focused task execution
  - min_duration: 10s
- distill: Context compression
- idle (idle, safe): Nothing to do
  - remind: 10m
- done (final): Agent has finished

## Transitions
- inbox → deep_work: When focused task identified
  - requires: task: string(1..200), estimate?: duration
  - sets: context.task = request.task
- inbox → idle: When no actionable items
  - guard: `inbox.unread == 0`
- idle → inbox on message by engine: Woken by a message
- idle → inbox: By itself
- deep_work → distill by engine: When context pressure high
  - guard: `measure.context_percent >= 70%`
- deep_work → inbox: Task finished
  - sends: task_done to supervisor
- distill → inbox: Notes written
  - effects: rotate session
- inbox → done by admin: Retired

## Roles
- worker (1..50): does tasks
- supervisor (1): hands them out

## Messages
- task_done: worker → supervisor
  - fields: task: string

## Context
- task: string(..200) = ""

## Invariants
- has_task: `context.task != ""`
  - in: deep_work
"""


class ValidatorDesk:
    """A validator and the time; agents that are enrolled follow the protocol `inbox`."""

    def __init__(self, *agents: str, source: str = INBOX, wiring: Wiring = WIRING) -> None:
        self.me = Configuration("test", "validator", None, wiring)
        self.now_ns = BEGAN_NS
        self.env = birth(VALIDATOR, self.me, now_ns=self.now_ns)
        self.sent: list[Outgoing] = []
        self._requests = 0
        if source:
            answer = self.admin("protocol.load", source=source)
            assert answer["success"], answer
        for agent in agents:
            self.enrol(agent)

    @property
    def state(self) -> Registry:
        state: Registry = self.env.state
        return state

    def record(self, agent: str) -> Record:
        """The record of an agent."""
        return self.state.agents[agent].record

    def take(self, message: Any) -> list[Any]:
        """What the validator sends at a message."""
        self.now_ns += 1_000
        return self._done(step(VALIDATOR, self.me, self.env, Delivery("bridge", 0, message), now_ns=self.now_ns))

    def _done(self, outcome: Any) -> list[Any]:
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        sent = [one for one in outcome.outputs if isinstance(one, Outgoing)]
        self.sent += sent
        return [one.message for one in sent]

    def wait(self, time_ns: int) -> list[Any]:
        """What the validator sends while time passes."""
        end_ns, messages = self.now_ns + time_ns, []
        while (at_ns := next_deadline(self.env)) is not None and at_ns <= end_ns:
            self.now_ns = max(self.now_ns, at_ns)
            due = Due(due_timers(self.env, self.now_ns))
            messages += self._done(step(VALIDATOR, self.me, self.env, due, now_ns=self.now_ns))
        self.now_ns = end_ns
        return messages

    def enrol(self, agent: str, role: str = "worker", protocol: str = "inbox") -> Any:
        """The answer to an agent that is added."""
        return self.take(Enrol(agent, role, protocol, Ref("orchestrator")))[-1]

    def ask(
        self, agent: str, op: str, /, *, session: int = 1, request_id: str = "", actor: Any = "agent", **body: Any
    ) -> dict[str, Any]:
        """The answer to a request; {} if there is none yet."""
        self._requests += 1
        named = request_id or f"r{self._requests}"
        request = AgentRequest(agent, session, named, op, json.dumps(body), actor, Ref("bridge"))
        answers = [one for one in self.take(request) if isinstance(one, AgentAnswer) and one.request_id == named]
        return json.loads(answers[-1].text) if answers else {}

    def admin(self, op: str, /, **body: Any) -> dict[str, Any]:
        """The answer to an operator's request."""
        return self.ask("admin", op, actor="admin", **body)

    def move(self, agent: str, target: str, **body: Any) -> dict[str, Any]:
        """The answer to a move."""
        return self.ask(agent, "state.transition", target=target, **body)

    def events(self) -> list[Happened]:
        """What listeners were told, also what waited to be told."""
        self.wait(SECOND_NS)
        told = [one.message for one in self.sent if isinstance(one.message, Happened | HappenedTogether)]
        return [event for message in told for event in events_in(message)]

    def learn(self, agent: str, **facts: Any) -> list[Any]:
        """What the validator sends at facts; `inbox__unread` stands for `inbox.unread`."""
        named = tuple(Fact(name.replace("__", "."), value) for name, value in facts.items())
        return self.take(FactsChanged(agent, named))

    def message(self, agent: str, message_type: str = "note") -> list[Any]:
        """What the validator sends at a message for an agent."""
        return self.take(MessageWaiting(agent, 1, message_type))

    def enter(self, agent: str, state: str) -> list[Any]:
        """What the validator sends when the orchestrator moves an agent to a system state, or back."""
        return self.take(Enter(agent, state, "a test"))
