"""A protocol tried without processes: scripted agents, a clock that jumps, and the validator as it is. Pure.

A script has an action a line; lines that begin with `#` are comments:

    agent ann worker                        there is an agent ann with this role
    ann moves deep_work {"task": "dig"}     it asks to move, with these fields, a JSON object
    ann event bell {"x": 1}                 it asks for what happens on an event
    ann sets task=dig                       it sets fields of its context
    ann facts inbox.unread=3                the engine knows this about it
    ann message note                        a message of this type comes for it
    ann enters crashed | ann back           the engine moves it to a system state, or back
    admin takes ann | admin gives ann       a person takes it over, and gives it back
    admin forces ann done                   a person moves it
    wait 5m                                 time passes; what is due happens
    expect ann inbox                        the script fails unless ann is in this state

Every decision is one of the validator's own: `simulate`, the engine and a replay decide alike, for it is the same code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engines.model import Committed, Configuration, Delivery, Due, Outgoing, Ref, birth, due_timers, next_deadline, step

from ..messages import (
    AgentAnswer,
    AgentMoved,
    AgentRequest,
    Enrol,
    Enter,
    Fact,
    FactsChanged,
    MessageWaiting,
    PromptWanted,
    SendFor,
)
from ..protocol.decide_record import Record
from ..protocol.guards import Constant, GuardError, parse_value
from ..protocol.model import SYSTEM_STATES, Datum
from .records import Registry
from .validating import Wiring
from .validator import VALIDATOR

LINES_MAX: Final = 10_000
BEGAN_NS: Final = 1_767_225_600_000_000_000
"""The time at which a simulation begins: 2026-01-01 00:00 UTC, a Thursday."""

DUE_MAX: Final = 10_000
"""Timers in one `wait`."""


class ScriptError(ValueError):
    """A line of a script that is no action, or an expectation that does not hold."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line, self.message = line, message


class Step(msgspec.Struct, frozen=True):
    """Something that happened: at which line and time, to which agent, what it is, and the details."""

    line: int
    time_ns: int
    agent: str
    kind: str
    text: str
    details: dict[str, Any] = {}


class Simulation:
    """A validator with one protocol and the time."""

    def __init__(self, source: str) -> None:
        wiring = Wiring(Ref("router"), Ref("orchestrator"))
        self.now_ns = BEGAN_NS
        self.me = Configuration("simulation", "validator", None, wiring)
        self.env = birth(VALIDATOR, self.me, now_ns=self.now_ns)
        self._line = self._requests = 0
        self.loaded = self._ask("admin", "protocol.load", {"source": source}, "admin")
        self.name: str = self.loaded["data"]["name"] if self.loaded["success"] else ""

    @property
    def state(self) -> Registry:
        """The state of the validator."""
        state: Registry = self.env.state
        return state

    def record(self, agent: str) -> Record:
        """The record of an agent. Raises ScriptError."""
        if agent not in self.state.agents:
            raise ScriptError(self._line, f"there is no agent '{agent}'; add it with: agent {agent} ROLE")
        return self.state.agents[agent].record

    def run(self, script: str) -> Iterator[Step]:
        """What happens, action by action. Raises ScriptError where the script is wrong, or an expectation."""
        for number, line in enumerate(script.splitlines()[:LINES_MAX], 1):
            words = [] if line.lstrip().startswith("#") else line.split(maxsplit=3)
            self._line = number
            if words:
                yield from self._do(words)

    def _do(self, words: list[str]) -> Iterator[Step]:
        match words:
            case ["agent", agent, *role]:
                yield from self._take(Enrol(agent, role[0] if role else "", self.name, Ref("orchestrator")), agent)
            case ["wait", duration]:
                yield from self._wait(self._duration(duration))
            case ["expect", agent, state]:
                if (found := self.record(agent).shown) != state:
                    raise ScriptError(self._line, f"expected '{agent}' in '{state}', and it is in '{found}'")
            case ["admin", ("takes" | "gives" | "forces") as verb, agent, *target]:
                self.record(agent)
                op = {"takes": "takeover", "gives": "release", "forces": "force"}[verb]
                body = {"agent": agent, "reason": "the script says so", **({"target": target[0]} if target else {})}
                yield from self._request(agent, f"override.{op}", body, "admin")
            case [agent, verb, *rest] if agent != "admin":
                self.record(agent)
                yield from self._act(agent, verb, " ".join(rest))
            case _:
                raise ScriptError(self._line, f"'{' '.join(words)[:80]}' is no action")

    def _act(self, agent: str, verb: str, rest: str) -> Iterator[Step]:
        first, _, fields = rest.partition(" ")
        match verb:
            case "moves":
                yield from self._request(agent, "state.transition", {"target": first, "context": self._json(fields)})
            case "event":
                yield from self._request(agent, "state.transition", {"event": first, "context": self._json(fields)})
            case "sets":
                yield from self._request(agent, "context.set", {"values": dict(self._pairs(rest))})
            case "facts":
                facts = tuple(Fact(name, value) for name, value in self._pairs(rest))
                yield from self._take(FactsChanged(agent, facts), agent)
            case "message":
                unread = self.state.agents[agent].facts.get("inbox.unread")
                count = unread + 1 if isinstance(unread, int) else 1
                yield from self._take(MessageWaiting(agent, count, first or "note"), agent)
            case "enters" if first in SYSTEM_STATES:
                yield from self._take(Enter(agent, first, "the script says so"), agent)
            case "back":
                yield from self._take(Enter(agent, "back", "the script says so"), agent)
            case _:
                raise ScriptError(self._line, f"'{verb}' is nothing that an agent does")

    def _json(self, text: str) -> dict[str, Any]:
        if not text.strip():
            return {}
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ScriptError(self._line, f"the fields are no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ScriptError(self._line, "the fields are no JSON object")
        return found

    def _pairs(self, text: str) -> Iterator[tuple[str, Datum]]:
        for pair in text.split():
            name, equals, value = pair.partition("=")
            if not equals:
                raise ScriptError(self._line, f"expected NAME=VALUE, found '{pair[:80]}'")
            yield name, _literal(value)

    def _duration(self, text: str) -> int:
        value = _literal(text)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ScriptError(self._line, f"expected a duration such as 5m, found '{text[:80]}'")
        return value

    def _request(self, agent: str, op: str, body: dict[str, Any], actor: Any = "agent") -> Iterator[Step]:
        messages = self._deliver(self._asked("admin" if actor == "admin" else agent, op, body, actor))
        answer = next(json.loads(one.text) for one in messages if isinstance(one, AgentAnswer))
        if answer["success"]:
            yield self._step(agent, "done", f"{op}: {answer['data'].get('state', 'done')}", answer["data"])
        else:
            error = answer["error"]
            yield self._step(agent, "refused", f"{op}: {reasons(error)}", error)
        yield from self._steps(messages)

    def _ask(self, agent: str, op: str, body: dict[str, Any], actor: Any) -> Any:
        messages = self._deliver(self._asked(agent, op, body, actor))
        return next(json.loads(one.text) for one in messages if isinstance(one, AgentAnswer))

    def _asked(self, agent: str, op: str, body: dict[str, Any], actor: Any) -> AgentRequest:
        self._requests += 1
        return AgentRequest(agent, 1, f"r{self._requests}", op, json.dumps(body), actor, Ref("bridge"))

    def _take(self, message: Any, agent: str) -> Iterator[Step]:
        yield from self._steps(self._deliver(message))

    def _deliver(self, message: Any) -> list[Any]:
        return self._done(step(VALIDATOR, self.me, self.env, Delivery("script", 0, message), self.now_ns))

    def _wait(self, time_ns: int) -> Iterator[Step]:
        end_ns = self.now_ns + time_ns
        for _ in range(DUE_MAX):
            at_ns = next_deadline(self.env)
            if at_ns is None or at_ns > end_ns:
                break
            self.now_ns = max(self.now_ns, at_ns)
            due = Due(due_timers(self.env, self.now_ns))
            yield from self._steps(self._done(step(VALIDATOR, self.me, self.env, due, self.now_ns)))
        self.now_ns = end_ns

    def _done(self, outcome: Any) -> list[Any]:
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        targets = ("bridge", "orchestrator", "router")
        sent = [one for one in outcome.outputs if isinstance(one, Outgoing) and one.target in targets]
        return [one.message for one in sent if not (isinstance(one.message, AgentMoved) and one.target == "router")]

    def _steps(self, messages: list[Any]) -> Iterator[Step]:
        for one in messages:
            match one:
                case AgentMoved(is_new_visit=True) | AgentMoved(before=""):
                    past = self.record(one.agent).past
                    cause = next((each.cause for each in past if each.number == one.number), "")
                    yield self._step(one.agent, "moved", f"{one.before or 'nowhere'} → {one.state}", {"cause": cause})
                case AgentMoved() if one.before != one.state:
                    yield self._step(one.agent, "moved", f"{one.before} → {one.state}")
                case SendFor():
                    yield self._step(one.agent, "sends", f"{one.message} to {one.to}", {"fields": dict(one.fields)})
                case PromptWanted():
                    yield self._step(one.agent, one.reason, one.text)

    def _step(self, agent: str, kind: str, text: str, details: dict[str, Any] | None = None) -> Step:
        return Step(self._line, self.now_ns - BEGAN_NS, agent, kind, text, details or {})


def reasons(error: dict[str, Any]) -> str:
    """Why a request was refused, in one line."""
    found: list[str] = []
    for one in error["details"].get("blocked", ()):
        for kind in ("missing", "invalid", "awaiting", "forbidden"):
            found += [f"{kind} {text}" for text in one[kind]]
    return f"{error['message']}" + (f" ({'; '.join(found)})" if found else "")


def _literal(text: str) -> Datum:
    """A literal as in guards, or else the text itself."""
    try:
        term = parse_value(text)
    except GuardError:
        return text
    return term.value if isinstance(term, Constant) else text
