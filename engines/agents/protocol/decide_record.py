"""The record of an agent: where it is in its protocol, what it remembers, and what it did.

`state` is a state of the protocol. While the agent is in a system state, that is `system`, over the state that it goes
back to; only a person changes that or the context meanwhile. A *visit* begins each time that a state is entered; visits
of one agent are numbered. `number` counts the changes of the record, without gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from engines.model import Map, Value

from .guards import NOW
from .model import Actor, Datum, Protocol

PAST_MAX: Final = 100
"""Moves of an agent that are kept for `state history`; the journal has all."""

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS


class Taken(Value):
    """How often an agent took a transition: when last, in this visit, in this session, and when in the last hour."""

    last_ns: int
    visit: int
    in_visit: int
    session: int
    in_session: int
    within_hour: tuple[int, ...] = ()


class Past(Value):
    """A move of an agent. `attested` is the condition in words that an agent claims by taking the transition; `below`
    is where in its protocol the agent is then, if that is not what others see."""

    number: int
    time_ns: int
    before: str
    state: str
    visit: int
    actor: Actor
    cause: str = ""
    reason: str = ""
    attested: str = ""
    below: str = ""


class Record(Value):
    """The record of an agent. `taken` is by the index of the transition. `below` is the system state that the agent was
    taken over in."""

    agent: str
    role: str
    protocol: str
    version: str
    digest: str
    state: str
    since_ns: int
    visit: int = 1
    number: int = 0
    last: str = ""
    system: str = ""
    session: int = 0
    context: Map[str, Datum] = Map()
    visits: Map[str, int] = Map()
    taken: Map[int, Taken] = Map()
    past: tuple[Past, ...] = ()
    below: str = ""

    @property
    def shown(self) -> str:
        """The state that others see."""
        return self.system or self.state


def first_record(protocol: Protocol, digest: str, agent: str, role: str, now_ns: int) -> Record:
    """The record of an agent that begins in the initial state. Raises IndexError for a protocol without states."""
    state = protocol.initial
    defaults = {one.name: one.default for one in protocol.context if one.default is not None}
    record = Record(agent, role, protocol.name, protocol.version, digest, state, now_ns)
    return replace(record, context=Map(defaults), visits=Map({state: 1}))


def in_session(protocol: Protocol, record: Record, session: int) -> Record:
    """The record in a later session: fields of the context that are kept for a session begin again."""
    if session <= record.session:
        return record
    context = record.context
    for field in protocol.context:
        if field.keep == "session":
            context = context.without(field.name) if field.name in context else context
            if field.default is not None:
                context = context.set(field.name, field.default)
    return replace(record, session=session, context=context)


def entered(record: Record, state: str, now_ns: int) -> Record:
    """The record in a new visit of a state."""
    visits = record.visits.set(state, record.visits.get(state, 0) + 1)
    return replace(record, state=state, last=record.state, since_ns=now_ns, visit=record.visit + 1, visits=visits)


def with_past(record: Record, past: Past) -> Record:
    """The record with one more change, which is this one."""
    past = replace(past, below=record.state if record.system else "")
    return replace(record, number=past.number, past=(*record.past, past)[-PAST_MAX:])


def names_of_record(record: Record, facts: Mapping[str, Datum], now_ns: int) -> dict[str, Datum]:
    """What guards can name, but for the fields of a request. `facts` are those of others, which cannot set these."""
    days = now_ns // DAY_NS
    return {
        **{name: value for name, value in facts.items() if not name.startswith(("context.", "request."))},
        **{f"context.{name}": value for name, value in record.context.items()},
        "state.visits": record.visits.get(record.state, 1),
        "state.since": record.since_ns,
        **({"state.last": record.last} if record.last else {}),
        "agent.role": record.role,
        "time.hour": now_ns // HOUR_NS % 24,
        "time.weekday": (days + 3) % 7 + 1,
        NOW: now_ns,
    }
