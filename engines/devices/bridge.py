"""The bridge: the only engine that speaks to the store, by which agents' requests come in and answers go out.

| what arrives | what the bridge does |
|---|---|
| an entry of an agent's stream | it is checked, and goes to a family as `AgentRequest`, or is refused |
| AgentAnswer | it is pushed to the agent's list, then the entry is removed |
| ViewChanged, Happened, HappenedTogether | into the store: a hash, a stream |
| Admit, Revoke | the store knows the session's token, or knows it no more |
| PutRequest | as an entry of that agent's stream; the answer comes as `RequestAnswered` too |

The store's process is the bridge's child, and not a device of its own: who restarts the store must make its users, its
groups and its views again, which is what the bridge does on each connection. Crash points, for the entry of a request:

1. read, not yet sent on: it is still in the stream, and is read again.
2. sent on, not answered: as 1; the family knows the request by its id, and gives the answer it gave.
3. answered, not pushed: as 2.
4. pushed, not removed: one script does both.

So nothing in the bridge has to survive. When the store was gone, or the bridge, all families are asked to send their
views again (`Resend`). While the store is down, requests wait in the agents' processes.

The twin has no store: requests are put by messages.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec.structs import replace

from engines.agents.bridge.intake import Admission, Forward, Intake, Outcome, answer, arrive
from engines.agents.bus import OPERATOR
from engines.agents.messages import (
    Admit,
    Admitted,
    AgentAnswer,
    AgentRequest,
    AgentSeen,
    Happened,
    HappenedTogether,
    PutRequest,
    RequestAnswered,
    Resend,
    Revoke,
    Together,
    ViewChanged,
)
from engines.agents.operations import FAMILIES
from engines.devices.bridge_driver import BridgeDriver
from engines.model import Arrived, Become, Config, Device, Effects, Family, Map, Ref, Send, Value, rule

SECOND_NS: Final = 1_000_000_000


class AgentBus(Config):
    """Which engine answers which requests, who gets events, where the files are, and the bounds.

    `root` is the root folder, relative to the folder in which the node was started; the store's files are in
    `engine/store` below it. `AISM_REDIS_URL` in the environment names a store that runs already.
    `journal` is where the node keeps its data, relative to the same folder: while fewer than `reserve_bytes` are free
    on that disk, agents may only read.
    """

    validator: Ref[AgentRequest | Together | Resend] | None = None
    router: Ref[AgentRequest | Together | Resend] | None = None
    orchestrator: Ref[AgentRequest | Resend | AgentSeen] | None = None
    measurement: Ref[AgentRequest | Resend | Happened | HappenedTogether] | None = None
    audit: Ref[Happened] | None = None
    root: str = "."
    namespace: Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9_-]{0,63}$")] = "main"
    fsync: Literal["everysec", "always"] = "everysec"
    memory_bytes: Annotated[int, Meta(ge=16 << 20)] = 256 << 20
    socket_perm: Literal["600", "660", "666"] = "660"
    requests_per_s: Annotated[float, Meta(gt=0)] = 10.0
    burst: Annotated[int, Meta(ge=1)] = 30
    journal: str = ".enginehost"
    reserve_bytes: Annotated[int, Meta(ge=0)] = 16 << 20


def terms_of(config: AgentBus, me: str) -> Admission:
    """On which terms requests are let in."""
    families = tuple(name for name in dict.fromkeys(FAMILIES.values()) if getattr(config, name) is not None)
    return Admission(config.requests_per_s, config.burst, families, me)


class Scripted(Value):
    """State of the twin: the open requests, who put which, and the views by agent and family."""

    intake: Intake = Intake()
    putters: Map[str, Ref[RequestAnswered]] = Map()
    count: int = 0
    views: Map[str, Map[str, str]] = Map()
    numbers: Map[str, int] = Map()
    seen_ns: Map[str, int] = Map()


Accepted: TypeAlias = AgentAnswer | ViewChanged | Together | Happened | HappenedTogether | Admit | Revoke | PutRequest
Emitted: TypeAlias = (
    AgentRequest | Together | AgentSeen | Resend | Admitted | Happened | HappenedTogether | RequestAnswered
)
Made: TypeAlias = Effects[Scripted, Any]


@rule
def put(order: PutRequest, t: Arrived[PutRequest, AgentBus, Scripted]) -> Made:
    """Twin. State: the request is open. Messages: it, to its family; or a refusal. Timers, engines: none."""
    state = t.env.state
    entry = f"{state.count}-0"
    fields = {b"id": order.request_id.encode(), b"op": order.op.encode(), b"body": order.body.encode()}
    outcome = arrive(state.intake, order.agent, entry, fields, terms_of(t.config, t.me.name), t.now_ns)
    seen = t.now_ns - state.seen_ns.get(order.agent, -SECOND_NS) >= SECOND_NS
    state = replace(state, putters=state.putters.set(entry, order.destination), count=state.count + 1)
    if not seen or t.config.orchestrator is None or order.agent == OPERATOR:
        return _performed(t.config, state, outcome)
    state = replace(state, seen_ns=state.seen_ns.set(order.agent, t.now_ns))
    sign = AgentSeen(order.agent, state.intake.sessions.get(order.agent, 0), t.now_ns)
    return [*_performed(t.config, state, outcome), Send(t.config.orchestrator, sign)]


@rule
def pass_answer(given: AgentAnswer, t: Arrived[AgentAnswer, AgentBus, Scripted]) -> Made:
    """Twin. State: the request is no longer open. Messages: the answer. Timers, engines: none."""
    return _passed(t.env.state, given, t)


def _passed(state: Scripted, given: AgentAnswer, t: Arrived[Any, AgentBus, Scripted]) -> list[Any]:
    return _performed(t.config, state, answer(state.intake, given, terms_of(t.config, t.me.name), t.now_ns))


@rule
def admit(order: Admit, t: Arrived[Admit, AgentBus, Scripted]) -> Made:
    """Twin. State: the agent's session. Messages: that it is admitted. Timers, engines: none."""
    intake = t.env.state.intake
    intake = replace(intake, sessions=intake.sessions.set(order.agent, order.session))
    admitted = Send(order.reply_to, Admitted(order.agent, order.session))
    return [Become(replace(t.env.state, intake=intake)), admitted]


@rule
def revoke(_order: Revoke, _t: Arrived[Revoke, AgentBus, Scripted]) -> Made:
    """Twin. State, messages, timers, engines: none; its requests come by messages, without tokens."""
    return []


@rule
def show(change: ViewChanged, t: Arrived[ViewChanged, AgentBus, Scripted]) -> Made:
    """Twin. State: the view, unless its number is not above the one there. Messages, timers, engines: none."""
    return _shown(t.env.state, change, t.sender)


def _shown(state: Scripted, change: ViewChanged, sender: str) -> Scripted:
    source = f"{change.agent} {sender}"
    if state.numbers.get(source, 0) >= change.number:
        return state
    view = state.views.get(change.agent, Map())
    for name, text in change.fields:
        view = view.set(name, text)
    numbers = state.numbers.set(source, change.number)
    return replace(state, views=state.views.set(change.agent, view), numbers=numbers)


@rule
def hear(every: Together, t: Arrived[Together, AgentBus, Scripted]) -> Made:
    """Twin. State, messages: as of each message by itself. Timers, engines: none."""
    state = t.env.state
    sends: list[Any] = []
    for one in every.messages:
        if isinstance(one, AgentAnswer):
            become, *sent = _passed(state, one, t)
            state = become.state
            sends += sent
        elif isinstance(one, ViewChanged):
            state = _shown(state, one, t.sender)
    return [Become(state), *sends]


@rule
def record(_event: Happened, _t: Arrived[Happened, AgentBus, Scripted]) -> Made:
    """Twin. State, messages, timers, engines: none."""
    return []


@rule
def record_all(_events: HappenedTogether, _t: Arrived[HappenedTogether, AgentBus, Scripted]) -> Made:
    """Twin. State, messages, timers, engines: none."""
    return []


def _performed(config: AgentBus, state: Scripted, outcome: Outcome) -> list[Any]:
    intake, deeds = outcome
    putters = state.putters
    sends: list[Any] = []
    for deed in deeds:
        if isinstance(deed, Forward):
            family: Any = getattr(config, deed.family)
            sends.append(Send(family, deed.request))
            continue
        answered = RequestAnswered(deed.agent, deed.request_id, deed.text, deed.kind)
        sends += [Send(putters[entry], answered) for entry in deed.entries]
        for entry in deed.entries:
            putters = putters.without(entry)
    return [Become(replace(state, intake=intake, putters=putters)), *sends]


TWIN = Family("agent-bridge-twin", config=AgentBus, state=Scripted(), accepts=Accepted, emits=Emitted).rules(
    put, pass_answer, admit, revoke, show, hear, record, record_all
)
BRIDGE = Device(
    "agent-bridge", config=AgentBus, accepts=Accepted, emits=Emitted, driver=lambda: BridgeDriver(terms_of), twin=TWIN
)
