"""Validator, router and measurement under check as one: two agents, a message from each to the other, and a crash.

The three families are the live ones, unchanged. Each agent asks for all its requests at once: a move, which sends a
message to the other agent by way of validator and router, and what `also` names: a message by the router alone, or a
read of what has come. With `wakes`, a message that comes makes the validator move its receiver. Each move is an event
for measurement and a fact from there, which the validator takes in.

An agent here is the agent together with what the bridge holds for it: a crash loses which requests it has put and which
answers it has, and then it puts all of them again, with their ids. So a request comes again wherever the first one or
its answer is by then. Validator, router and measurement are recorded: a turn of theirs is there as a whole or not at
all, its messages leave after it, and mail that is not taken stays. So their crashes are no steps. The bugs
`volatile-validator` and `volatile-router` take the record away.

Measurement is `there`, `silent` (it never takes a step) or absent. Where it is there, it may be late by any number of
events, and that nothing waits for it is looked at whenever its mail is all that is under way. Where it is silent, each
request must be answered on every fair run.

Left out: orchestrator, launchers, audit, the store; reload; deadlines, as no clock moves (the timer of what waits to be
told elapses at any time). Messages travel in the order of their sender, as on a node. No symmetry is used: the texts of
answers have agents' names in them, which an exchange of names does not reach.
"""

from __future__ import annotations

from typing import Any, Final

from engines.model import Arrived, Become, Config, Effects, Family, Map, Message, Ref, Send, Sent, Value, rule
from engines.model.system import OUTSIDE, BadSystemError, Envelope, Member, System
from engines.model.system_view import SystemView

from .bugs import CHANGES, PASSING, with_bug
from .envelope import read_body
from .measuring.measurement import MEASUREMENT
from .measuring.state import Gauges
from .messages import AgentAnswer, AgentRequest
from .routing.conduct import Peer, conduct_of
from .routing.inbox import Inbox
from .routing.router import ROUTER
from .routing.state import Routing, Ways
from .system import enrolled
from .validation.records import Registry
from .validation.validating import Wiring
from .validation.validator import VALIDATOR

SOURCE: Final = """\
---
version: 1.0.0
---
# Protocol: turns

## States
- rest (initial, safe): Waits
- work: Works

## Transitions
- rest → work on go: Begin
  - sends: over to peer
  - effects: measure begun
- work → rest on go: End

## Roles
- peer: all

## Messages
- over: peer → peer
"""

WAKING: Final = SOURCE.replace("work → rest on go: End", "work → rest on message by engine: Woken")

BUGS: Final = (*CHANGES, "direct", "volatile-validator", "volatile-router")

AGENTS: Final = ("ann", "ben")
CLOCK_NS: Final = 10**18
"""The time of all that happens: not 0, which the families take for never."""

OPERATIONS: Final = {
    "move": ("state.transition", '{"event":"go"}'),
    "send": ("message.send", '{"to":"role:peer","type":"note","text":"look"}'),
    "read": ("message.read", ""),
}
"""What an agent asks for, by the last word of the request's id."""


class AskAll(Message):
    """From outside: put all requests, if that was not done since the last crash."""


class Errands(Config):
    """What an agent asks for, and whom it may reach past the engine, if it is a bad one."""

    words: tuple[str, ...]
    victim: Ref[AgentAnswer] | None = None


class Open(Value):
    """State of an agent: whether it has put its requests, and which of them are answered."""

    is_put: bool = False
    answered: Map[str, None] = Map()


@rule
def ask_all(_ask: AskAll, t: Arrived[AskAll, Errands, Open]) -> Effects[Open, AgentRequest | AgentAnswer]:
    """State: the requests are put. Messages: these; what a bad agent sends to the other. Timers, engines: none."""
    if t.env.state.is_put:
        return []
    sends: list[Sent[AgentRequest | AgentAnswer]] = []
    for word in t.config.words:
        op, body = OPERATIONS[word]
        family: Ref[Any] = Ref("validator" if word == "move" else "router")
        name = t.me.name
        sends.append(Send(family, AgentRequest(name, 1, f"{name} {word}", op, body, "agent", Ref(name))))
    if t.config.victim is not None:
        sends.append(Send(t.config.victim, AgentAnswer(t.me.name, "forged", "{}")))
    return [Become(Open(True)), *sends]


@rule
def take(answer: AgentAnswer, t: Arrived[AgentAnswer, Errands, Open]) -> Effects[Open, AgentRequest | AgentAnswer]:
    """State: the request is answered, if it was put since the last crash. Messages, timers, engines: none."""
    state = t.env.state
    return Open(True, state.answered.set(answer.request_id, None)) if state.is_put else []


AGENT: Final = Family(
    "agent", config=Errands, state=Open(), accepts=AskAll | AgentAnswer, emits=AgentRequest | AgentAnswer
).rules(ask_all, take)


# --- properties -------------------------------------------------------------------------------------------------------


class FirstAnswers(Value):
    """History: the first answer that each request got, and whether one got another answer later."""

    first: Map[str, str] = Map()
    is_contradicted: bool = False


def record(told: FirstAnswers, envelope: Envelope, is_sent: bool) -> FirstAnswers:
    """The history after a message was sent or delivered. A read that is repeated may find more."""
    answer = envelope.message
    if is_sent or not isinstance(answer, AgentAnswer):
        return told
    before = told.first.get(answer.request_id)
    if before is None:
        return FirstAnswers(told.first.set(answer.request_id, answer.text), told.is_contradicted)
    is_other = before != answer.text and not answer.request_id.endswith("read")
    return FirstAnswers(told.first, True) if is_other else told


def registry_of(view: SystemView) -> Registry:
    """What the validator has recorded."""
    state: Registry = view.engine("validator").state
    return state


def moves_of(view: SystemView, agent: str) -> int:
    """How many moves of its own the record of an agent has."""
    return sum(one.actor == "agent" for one in registry_of(view).agents[agent].record.past)


def letters_of(view: SystemView, agent: str, message_type: str) -> int:
    """How many messages of this type from an agent the router has; none is acknowledged here."""
    routing: Routing = view.engine("router").state
    letters = [letter for inbox in routing.inboxes.values() for letter in inbox.letters.values()]
    return sum((one.sender, one.message_type) == (agent, message_type) for one in letters)


def is_quiet(view: SystemView) -> bool:
    """Nothing is under way but mail that measurement has not taken."""
    return all(envelope.target == "measurement" for envelope in view.in_transit)


def answered_is_recorded(view: SystemView) -> bool:
    """What an agent was told of, a change or a message sent, is in the state of the family that is its owner."""
    agents = registry_of(view).agents
    for request, text in view.history.first.items():
        agent, word = request.split()
        answer = read_body(text)
        if answer["seq"] > agents[agent].record.number:
            return False
        if word == "send" and answer["success"] and not letters_of(view, agent, "note"):
            return False
    return True


def a_request_is_done_once(view: SystemView) -> bool:
    """No agent has more moves, or more messages sent, than it made requests."""
    return all(moves_of(view, agent) <= 1 and letters_of(view, agent, "note") <= 1 for agent in AGENTS)


def answers_are_repeated(view: SystemView) -> bool:
    """A request that came again got the answer that it got."""
    return not view.history.is_contradicted


def nothing_goes_past_the_engine(view: SystemView) -> bool:
    """Nothing is under way from agent to agent."""
    return not any(one.sender in AGENTS and one.target in AGENTS for one in view.in_transit)


def messages_are_of_moves(view: SystemView) -> bool:
    """The router has no message for a move that is not recorded, and one at most for one that is."""
    return all(letters_of(view, agent, "over") <= moves_of(view, agent) for agent in AGENTS)


def somebody_waits(view: SystemView) -> bool:
    """An agent has a request without an answer."""
    agents = view.engines(AGENT.name)
    return any(one.state.is_put and len(one.state.answered) < len(one.config.words) for one in agents)


def nobody_waits(view: SystemView) -> bool:
    """All requests are answered that were put."""
    return not somebody_waits(view)


def nobody_waits_for_measurement(view: SystemView) -> bool:
    """When all is quiet, each request that was put is answered, whatever measurement has left undone."""
    return nobody_waits(view) or not is_quiet(view)


def messages_arrive(view: SystemView) -> bool:
    """When all is quiet, the message of each recorded move is in an inbox."""
    return not is_quiet(view) or all(letters_of(view, agent, "over") == moves_of(view, agent) for agent in AGENTS)


def all_is_done(view: SystemView) -> bool:
    """Both agents have all answers, each has a message of the other, and measurement's facts, if it is there, have
    come."""
    facts = [held.facts for held in registry_of(view).agents.values()]
    is_measured = "measurement" not in view or all("measure.begun" in one for one in facts)
    is_answered = all(len(one.state.answered) == len(one.config.words) for one in view.engines(AGENT.name))
    return is_measured and is_answered and is_quiet(view) and all(letters_of(view, one, "over") for one in AGENTS)


# --- the system -------------------------------------------------------------------------------------------------------


def SYSTEM(also: str = "send", wakes: bool = False, measurement: str = "there", bug: str = "") -> System:
    """Two agents. `also`: send, read or none. `measurement`: there, silent or none. `bug`: one of `BUGS`."""
    if bug not in ("", *BUGS) or also not in ("send", "read", "none") or measurement not in ("there", "silent", "none"):
        raise BadSystemError(
            f"bug is one of {', '.join(BUGS)}; also: send, read, none; measurement: there, silent, none"
        )
    words = ("move",) if also == "none" else ("move", also)
    members = _families(wakes, measurement, bug)
    for agent, other in zip(AGENTS, reversed(AGENTS), strict=True):
        members.append(Member(agent, AGENT, Errands(words, AGENT.at(other) if bug == "direct" else None)))
    return System(
        name="agents",
        members=members,
        standing=[Envelope(agent, AskAll()) for agent in AGENTS],
        network="ordered",
        outsiders=[OUTSIDE] if measurement == "there" else [OUTSIDE, "measurement"],
        history=FirstAnswers(),
        record=record,
        clock_ns=CLOCK_NS,
        always=[
            answered_is_recorded,
            a_request_is_done_once,
            answers_are_repeated,
            nothing_goes_past_the_engine,
            messages_are_of_moves,
            nobody_waits_for_measurement,
            messages_arrive,
        ],
        sometimes=[all_is_done],
        leads_to=[(somebody_waits, nobody_waits)] if measurement == "silent" else [],
    )


def _families(wakes: bool, measurement: str, bug: str) -> list[Member]:
    """Validator, router and measurement, when both agents are enrolled."""
    source = WAKING if wakes else SOURCE
    protocol, name, registry = enrolled(source, AGENTS, CLOCK_NS)
    listeners: tuple[Ref[Any], ...] = () if measurement == "none" else (Ref("measurement"),)
    peers = Map((agent, Peer(agent, "peer", "turns", "1.0.0", name, protocol.initial, 1, 0)) for agent in AGENTS)
    routing = Routing(
        peers,
        Map({name: conduct_of(protocol, source)}),
        Map({"peer": Map((agent, None) for agent in AGENTS)}),
        Map((agent, Inbox()) for agent in AGENTS),
    )
    wiring = Wiring(router=Ref("router"), listeners=listeners)
    ways = Ways(validator=Ref("validator") if wakes else None)
    validator = with_bug(VALIDATOR, CHANGES[bug]) if bug in CHANGES else VALIDATOR
    found = [
        Member("validator", validator, wiring, registry, bug != "volatile-validator"),
        Member("router", ROUTER, ways, routing, bug != "volatile-router"),
    ]
    if measurement == "there":
        family = PASSING if bug == "waiting" else MEASUREMENT
        found.append(Member("measurement", family, Gauges(validator=Ref("validator")), is_durable=True))
    return found
