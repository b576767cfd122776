"""A client that is many agents: what `bench agents` measures, from a message to its acknowledgement.

Each agent sends `BURST` messages to the next one, reads what it has got, and acknowledges that; one request at a time.
The bus is left out: the client speaks to the families as the bridge does.

An order ends while requests are under way and messages wait in inboxes. The next order takes these messages in, but
neither they nor those answers count: they are as old as the pause between the two.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.agents.messages import AgentAnswer, AgentRequest, Enrol, Enrolled
from engines.model import Arrived, Become, Effects, Family, Map, Message, Ref, Send, Value, rule

BURST: Final = 10
PROTOCOL: Final = """---
version: 1.0.0
---
# Protocol: talk

## States
- on (initial, safe, idle): Talks

## Transitions
- on → self: Always
"""


class TalkOrder(Message):
    """Have `agents` agents exchange `count` messages."""

    validator: Ref[AgentRequest | Enrol]
    router: Ref[AgentRequest]
    agents: int
    count: int
    listener: Ref[Talked]


class Talked(Message):
    """So many messages were acknowledged within `took_ns`; and how long each took until it was read."""

    count: int
    took_ns: int
    taken_ns: tuple[int, ...]


class Talking(Value):
    """State: the order, how many agents are enrolled, the step that each is at, and what was acknowledged.

    `requests` is the number of the last request, `before` that of the last one of earlier orders; `own` says how many
    of the messages that an agent has read last were sent since this order began.
    """

    order: TalkOrder | None = None
    enrolled: int = 0
    steps: Map[str, int] = Map()
    requests: int = 0
    before: int = 0
    own: Map[str, int] = Map()
    began_ns: int = 0
    acknowledged: int = 0
    taken_ns: tuple[int, ...] = ()
    is_done: bool = False


Out: TypeAlias = AgentRequest | Enrol | Talked
Made: TypeAlias = Effects[Talking, Out]


@rule
def begin(order: TalkOrder, t: Arrived[TalkOrder, None, Talking]) -> Made:
    """State: the order; agents of an order before it stay. Messages: the protocol and the agents, to the validator; or
    the first requests. Timers, engines: none."""
    before = t.env.state
    after = Talking(order, before.enrolled, requests=before.requests, before=before.requests, began_ns=t.now_ns)
    if before.enrolled == order.agents:
        return _first(after, t.me.name)
    body = json.dumps({"source": PROTOCOL, "current": True})
    load = AgentRequest("admin", 0, "load", "protocol.load", body, "admin", Ref(t.me.name))
    agents = [Enrol(f"a{number}", "worker", "talk", Ref(t.me.name)) for number in range(order.agents)]
    return [Become(after), Send(order.validator, load), *(Send(order.validator, one) for one in agents)]


@rule
def enrol(answer: Enrolled, t: Arrived[Enrolled, None, Talking]) -> Made:
    """State: an agent more. Messages: the first requests, once all are there. Timers, engines: none."""
    assert not answer.reason, answer
    state = replace(t.env.state, enrolled=t.env.state.enrolled + 1, began_ns=t.now_ns)
    if state.order is None or state.enrolled < state.order.agents:
        return state
    return _first(state, t.me.name)


def _first(state: Talking, me: str) -> Made:
    sends: list[Any] = []
    for number in range(state.enrolled):
        state, request = _next(state, f"a{number}", 0, [], me)
        sends.append(request)
    return [Become(state), *sends]


@rule
def go_on(answer: AgentAnswer, t: Arrived[AgentAnswer, None, Talking]) -> Made:
    """State: the agent is a step further. Messages: its next request, or that all is done. Timers, engines: none."""
    state = t.env.state
    order, step = state.order, state.steps.get(answer.agent)
    if order is None or step is None or state.is_done or int(answer.request_id[1:]) <= state.before:
        return []
    data = json.loads(answer.text).get("data", {})
    ids: list[str] = []
    if step < BURST:
        step += 1 if not answer.kind else 0  # an agent that the router does not know yet asks again
    elif step == BURST:
        messages = data["messages"]
        ids = [one["id"] for one in messages]
        taken_ns = [t.now_ns - one["at_ns"] for one in messages if one["at_ns"] >= state.began_ns]
        own = state.own.set(answer.agent, len(taken_ns))
        state = replace(state, taken_ns=(*state.taken_ns, *taken_ns), own=own)
        step = BURST + 1 if ids else 0
    else:
        state = replace(state, acknowledged=state.acknowledged + state.own[answer.agent])
        step = 0
    if state.acknowledged >= order.count:
        talked = Talked(order.count, t.now_ns - state.began_ns, state.taken_ns[: order.count])
        return [Become(replace(state, is_done=True)), Send(order.listener, talked)]
    state, request = _next(state, answer.agent, step, ids, t.me.name)
    return [Become(state), request]


def _next(state: Talking, agent: str, step: int, ids: list[str], me: str) -> tuple[Talking, Any]:
    order = state.order
    assert order is not None
    to = f"a{(int(agent[1:]) + 1) % order.agents}"
    body: dict[str, Any]
    if step < BURST:
        op, body = "message.send", {"to": to, "text": "a message of some length, as agents write it to each other"}
    elif step == BURST:
        op, body = "message.read", {"max": 100}
    else:
        op, body = "message.ack", {"ids": ids}
    number = state.requests + 1
    request = AgentRequest(agent, 1, f"r{number}", op, json.dumps(body), "agent", Ref(me))
    return replace(state, requests=number, steps=state.steps.set(agent, step)), Send(order.router, request)


TALKER = Family(
    "talker", state=Talking(), accepts=TalkOrder | Enrolled | AgentAnswer, emits=AgentRequest | Enrol | Talked
).rules(begin, enrol, go_on)
