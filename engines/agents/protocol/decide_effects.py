"""What is done because of a move: the effects of states and transitions, as intents."""

from __future__ import annotations

from collections.abc import Mapping

from .decide_record import Record
from .decide_values import Intent
from .model import SELF, Datum, Effect, Protocol, Transition


def intents_of(protocol: Protocol, record: Record, edge: Transition, values: Mapping[str, Datum]) -> tuple[Intent, ...]:
    """What is done because of a move: on leaving, on the way, on entering."""
    if edge.target == SELF:
        old = new = None
    else:
        old, new = protocol.state(record.state), protocol.state(edge.target)
    found = [*(_intent(one) for one in (old.leave if old else ()))]
    for sending in edge.sends:
        fields = _message_fields(protocol, record, sending.message, values)
        found.append(Intent("send", sending.message, sending.to, fields))
    found += [_intent(one) for one in (*edge.effects, *(new.enter if new else ()))]
    if new is not None and "fresh" in new.flags and not any(one.kind == "rotate" for one in found):
        found.append(Intent("rotate"))
    return tuple(found)


def _intent(effect: Effect) -> Intent:
    """`send` has the message and where it goes: `task_done to supervisor`."""
    if effect.kind == "send":
        message, _, to = effect.argument.partition(" to ")
        return Intent("send", message.strip(), to.strip())
    return Intent(effect.kind, effect.argument)


def _message_fields(
    protocol: Protocol, record: Record, message: str, values: Mapping[str, Datum]
) -> tuple[tuple[str, Datum], ...]:
    """The fields of a message that the engine sends: from the request, or else from the context."""
    declared = next((one.fields for one in protocol.messages if one.id == message), ())
    given = {**dict(record.context.items()), **values}
    return tuple((one.name, given[one.name]) for one in declared if one.name in given)
