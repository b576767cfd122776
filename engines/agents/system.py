"""Agents and the validator under check: what an agent has an answer for lasts, once, and nothing goes past the engine.

Two agents go through their moves. Every message may come again at any time, which stands for the bridge that asks
again, and for agents that repeat; a fault of an agent's node makes it begin anew, with its old requests. The validator
is durable, as it is in a node. With router and measurement: `engines/agents/whole_system.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from engines.model import Arrived, Become, Config, Effects, Family, Map, Message, Ref, Send, Sent, Value, rule
from engines.model.system import BadSystemError, Envelope, Member, System
from engines.model.system_view import SystemView

from .bugs import CHANGES, with_bug
from .envelope import read_body
from .messages import AgentAnswer, AgentRequest
from .protocol.canonical import digest, doc_digest
from .protocol.decide_record import first_record
from .protocol.model import Protocol
from .protocol.parse import parse
from .validation.records import Held, Registry, new_version
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
- rest → work: Begin
- work → rest: End
  - sends: over to peer

## Roles
- peer: all

## Messages
- over: peer → peer
"""

MOVES: Final = {"ann": ("work", "rest", "work"), "ben": ("work", "rest")}


class Begin(Message):
    """From outside: go on."""


class Errand(Config):
    """Whom an agent asks, for which moves, and whom it may reach past the engine, if it is a bad one."""

    validator: Ref[AgentRequest]
    moves: tuple[str, ...]
    victim: Ref[AgentAnswer] | None = None


class Answered(Value):
    """State of an agent: how many of its moves were answered."""

    count: int = 0


def request_of(name: str, errand: Errand, count: int) -> AgentRequest:
    """The request for an agent's next move."""
    body = f'{{"target":"{errand.moves[count]}"}}'
    return AgentRequest(name, 1, f"{name}-{count}", "state.transition", body, "agent", Ref(name))


@rule
def go_on(_begin: Begin, t: Arrived[Begin, Errand, Answered]) -> Effects[Answered, AgentRequest | AgentAnswer]:
    """State: none. Messages: the request that has no answer yet; what a bad agent sends to the other. Timers, engines:
    none."""
    count = t.env.state.count
    sends: list[Sent[AgentRequest | AgentAnswer]] = []
    if count < len(t.config.moves):
        sends.append(Send(t.config.validator, request_of(t.me.name, t.config, count)))
    if t.config.victim is not None:
        sends.append(Send(t.config.victim, AgentAnswer(t.me.name, "forged", "{}")))
    return sends


@rule
def take(
    answer: AgentAnswer, t: Arrived[AgentAnswer, Errand, Answered]
) -> Effects[Answered, AgentRequest | AgentAnswer]:
    """State: one more answered, if it is the one that is awaited. Messages: the next request. Timers, engines: none."""
    count = t.env.state.count
    if answer.request_id != f"{t.me.name}-{count}":
        return []
    after = count + 1
    if after == len(t.config.moves):
        return Answered(after)
    return [Become(Answered(after)), Send(t.config.validator, request_of(t.me.name, t.config, after))]


AGENT: Final = Family(
    "agent", config=Errand, state=Answered(), accepts=Begin | AgentAnswer, emits=AgentRequest | AgentAnswer
).rules(go_on, take)


BUGS: Final = ("answer-first", "forgetful", "direct")


class Seen(Value):
    """History: the highest change that an agent was told of, and pairs of sender and target of messages to agents."""

    told: Map[str, int] = Map()
    ways: tuple[tuple[str, str], ...] = ()


def record(seen: Seen, envelope: Envelope, is_sent: bool) -> Seen:
    """The history after a message was sent or delivered."""
    message = envelope.message
    if is_sent or not isinstance(message, AgentAnswer) or envelope.target not in MOVES:
        return seen
    answer = read_body(message.text)
    told = max(seen.told.get(envelope.target, 0), answer.get("seq", 0))
    ways = tuple(sorted({*seen.ways, (envelope.sender, envelope.target)}))
    return Seen(seen.told.set(envelope.target, told), ways)


def numbers(view: SystemView) -> dict[str, int]:
    """How many changes each agent's record had."""
    state: Registry = view.engine("validator").state
    return {name: held.record.number for name, held in state.agents.items()}


def answered_is_recorded(view: SystemView) -> bool:
    """An agent was told of no change that its record has not."""
    found = numbers(view)
    return all(number <= found[name] for name, number in view.history.told.items())


def a_request_is_done_once(view: SystemView) -> bool:
    """No record has more changes than its agent made requests."""
    return all(number <= len(MOVES[name]) for name, number in numbers(view).items())


def nothing_goes_past_the_engine(view: SystemView) -> bool:
    """What agents get comes from the engine."""
    return all(sender not in MOVES for sender, _ in view.history.ways)


def moves_are_numbered(view: SystemView) -> bool:
    """The past of each record has no gap."""
    state: Registry = view.engine("validator").state
    pasts = [[one.number for one in held.record.past] for held in state.agents.values()]
    return all(past == list(range(1, len(past) + 1)) for past in pasts)


def all_are_answered(view: SystemView) -> bool:
    """Each agent has the answers to all its requests."""
    return all(engine.state.count == len(MOVES[engine.name]) for engine in view.engines(AGENT.name))


class EnrolledAgents(NamedTuple):
    """A protocol, its digest, and what the validator has recorded once agents were enrolled in it."""

    protocol: Protocol
    digest: str
    registry: Registry


def enrolled(source: str, agents: Sequence[str], now_ns: int) -> EnrolledAgents:
    """The agents, each in the role `peer` and in the state `rest`."""
    protocol = parse(source).protocol
    name = digest(protocol)
    version = new_version(protocol, name, doc_digest(source), source)
    held = Map((agent, Held(first_record(protocol, name, agent, "peer", now_ns))) for agent in agents)
    versions, population = Map({name: version}), Map({"peer,rest": len(agents)})
    return EnrolledAgents(protocol, name, Registry(versions, Map({"turns": name}), held, population=population))


def SYSTEM(agents: int = 2, bug: str = "") -> System:
    """One agent or two. `bug`: answer-first, forgetful (of answers), or direct (from agent to agent)."""
    if bug not in ("", *BUGS) or agents not in (1, 2):
        raise BadSystemError(f"bug is one of {', '.join(BUGS)}, and agents are 1 or 2")
    family = with_bug(VALIDATOR, CHANGES[bug]) if bug in CHANGES else VALIDATOR
    names = list(MOVES)[:agents]
    wiring, registry = Wiring(router=Ref("router")), enrolled(SOURCE, names, 0).registry
    members = [Member("validator", family, wiring, registry, is_durable=True)]
    for agent in names:
        victim = AGENT.at("ben" if agent == "ann" else "ann") if bug == "direct" else None
        members.append(Member(agent, AGENT, Errand(VALIDATOR.at("validator"), MOVES[agent], victim)))
    return System(
        name="agents",
        members=members,
        messages=[Envelope(agent, Begin()) for agent in names],
        network="duplicating",
        outsiders=["outside", "router"],
        history=Seen(),
        record=record,
        always=[
            answered_is_recorded,
            a_request_is_done_once,
            nothing_goes_past_the_engine,
            moves_are_numbered,
        ],
        sometimes=[all_are_answered],
    )
