"""What the validator tells others about an agent: its moves, its view in the store, and the frame of its answers."""

from __future__ import annotations

from typing import Final

from ..envelope import Frame, Json
from ..messages import AgentMoved, ViewChanged
from ..protocol.decide_record import Record
from ..protocol.decide_values import Intent
from ..protocol.model import Protocol
from .records import Held

WANTS: Final = {"rotate": "rotate", "commit": "commit", "start": "start {}", "stop": "stop {}"}
"""What the orchestrator is asked for, by the kind of an intent."""


def moved_message(protocol: Protocol, record: Record, before: Record, intents: tuple[Intent, ...]) -> AgentMoved:
    """That an agent has moved, with what its new state says to it, and what the orchestrator is asked for."""
    state = protocol.state(record.state)
    is_new = record.visit != before.visit
    said = [state.prompt] if state is not None and state.prompt and is_new else []
    return AgentMoved(
        record.agent,
        record.role,
        record.protocol,
        record.version,
        record.digest,
        record.shown,
        before.shown,
        record.visit,
        record.number,
        is_new,
        state.flags if state is not None and not record.system else (),
        "\n".join((*said, *(one.argument for one in intents if one.kind == "prompt"))),
        tuple(WANTS[one.kind].format(one.argument) for one in intents if one.kind in WANTS),
        record.number != before.number and bool(record.past) and record.past[-1].actor == "agent",
    )


def view_of(record: Record) -> ViewChanged:
    """The view of an agent in the store."""
    fields = {
        "state": record.shown,
        "visit": record.visit,
        "since": record.since_ns,
        "seq": record.number,
        "protocol": record.protocol,
        "version": record.version,
        "digest": record.digest,
        "role": record.role,
    }
    texts = tuple((name, str(value)) for name, value in fields.items())
    return ViewChanged(record.agent, record.number + 1, texts)


def frame_of(held: Held, now_ns: int) -> Frame:
    """What each answer to an agent says beside its data."""
    record, facts = held.record, held.facts
    known = {
        "context_percent": facts.get("measure.context_percent"),
        "tokens_in_state": facts.get("measure.tokens_in_state"),
        "time_in_state": (now_ns - record.since_ns) / 1e9,
        "unread": facts.get("inbox.unread"),
    }
    protocol: dict[str, Json] = {
        "name": record.protocol,
        "version": record.version,
        "digest": record.digest,
        "changed": not held.is_told,
    }
    notices = () if held.is_told else (f"your protocol is now version {record.version}; see `aism protocol show`",)
    return Frame(record.number, known, protocol, notices)


def about_change(record: Record, request_id: str) -> tuple[tuple[str, str], ...]:
    """The attributes of the event of a change."""
    last = record.past[-1]
    found = {
        "seq": str(record.number),
        "before": last.before,
        "after": record.shown,
        "below": last.below,
        "actor": last.actor,
        "cause": last.cause,
        "reason": last.reason,
        "attested": last.attested,
        "request": request_id,
    }
    return tuple((name, value) for name, value in found.items() if value)
