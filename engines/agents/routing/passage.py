"""Who may send what to whom: the rules of passage, pure, in the order in which they are looked at.

| rule | a message is refused if |
|---|---|
| `unknown_receiver` | no such agent, or nobody has the role |
| `reserved_type` | only the engine sends messages of this type |
| `unknown_type` | the type is in neither agent's protocol; `note` needs no declaration |
| `sender_role` | agents of the sender's role do not send it |
| `sender_state` | the sender's state does not allow it |
| `receiver_role` | agents of the receiver's role do not get it |
| `receiver_state` | the receiver's state does not take it, and it may not wait |
| `incompatible_version` | the receiver follows another version, in which the message means nothing |
| `fields` | a field is missing, or not of its type |
| `too_large` | it is larger than the type allows |
| `reply` | it is no reply to what it says it replies to |

A message that may wait for a state of its receiver is not refused; it is held back (`engines/agents/routing/inbox.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ..bus import OPERATOR
from ..envelope import Json, Problem
from ..protocol.decide_fields import read_fields
from ..protocol.model import ANY, MessageType
from .conduct import ENGINE_TYPES, NOTE, REPLIES, Conduct, Peer

EMPTY: Final = Conduct("", "")


class Draft(msgspec.Struct, frozen=True):
    """A message that somebody wants to send. `is_engine_made` for those that a transition of the sender sends."""

    message_type: str
    text: str
    fields: Mapping[str, Json]
    in_reply_to: str = ""
    conversation: str = ""
    expires_ns: int = 0
    priority: int = 0
    is_engine_made: bool = False


class Side(msgspec.Struct, frozen=True):
    """One end of a message: the agent, and what its protocol says."""

    peer: Peer
    conduct: Conduct


class Passed(msgspec.Struct, frozen=True):
    """A message that may go: its type for the receiver, and its declaration, None for types without one."""

    message_type: str
    declared: MessageType | None
    original_type: str = ""


class Barred(Exception):
    """A message may not go; `problem.code` is the rule's name."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def barred(rule: str, message: str, *hints: str, kind: str = "validation", **details: Json) -> Barred:
    """The refusal of a message by a rule."""
    return Barred(Problem(kind, rule, message, {"rule": rule, **details}, hints))


def declared_type(draft: Draft, sender: Side, receiver: Side) -> MessageType | None:
    """The declaration of the type in the sender's protocol, or else in the receiver's. Raises Barred."""
    name = draft.message_type
    if name in ENGINE_TYPES:
        raise barred("reserved_type", f"only the engine sends messages of type '{name}'", "use another type")
    found = sender.conduct.types.get(name) or receiver.conduct.types.get(name)
    if found is None and name != NOTE and name not in REPLIES:
        known = sorted({*sender.conduct.types, *receiver.conduct.types, NOTE})
        message = f"type '{name}' is in neither protocol ('{sender.peer.protocol}', '{receiver.peer.protocol}')"
        raise barred("unknown_type", message, f"types: {', '.join(known[:20])}", types=known[:100])
    return found


def passed(draft: Draft, sender: Side, receiver: Side) -> Passed:
    """The message as the receiver gets it. Raises Barred with the first rule that is against it."""
    declared = declared_type(draft, sender, receiver)
    if declared is None and draft.message_type in REPLIES and not draft.in_reply_to:
        raise barred(
            "reply", f"'{draft.message_type}' is a reply, so it needs the id of a message", "give --reply-to ID"
        )
    if declared is not None:
        _look_at_roles(declared, sender, receiver)
    if not draft.is_engine_made:
        _look_at_sender(draft, declared, sender)
    going = _translated(draft, declared, sender, receiver)
    _look_at_content(draft, going, receiver)
    if not can_receive(receiver, going.message_type, going.declared) and _bounces(going.declared):
        states = ", ".join(going.declared.when_receiver) if going.declared else ""
        raise barred(
            "receiver_state",
            f"'{receiver.peer.agent}' is in state '{receiver.peer.state}', which does not take '{going.message_type}'",
            f"it takes it in: {states}" if states else "try again when its state has changed",
            receiver_state=receiver.peer.state,
        )
    return going


def can_receive(receiver: Side, message_type: str, declared: MessageType | None) -> bool:
    """Whether the receiver's state takes messages of this type now."""
    state = receiver.peer.state
    if message_type in ENGINE_TYPES:
        return True
    if declared is not None and declared.when_receiver and state not in declared.when_receiver:
        return False
    return receiver.conduct.may(state, "receive", message_type)


def _bounces(declared: MessageType | None) -> bool:
    return declared is not None and declared.otherwise == "bounce"


def _look_at_roles(declared: MessageType, sender: Side, receiver: Side) -> None:
    if declared.sender not in (ANY, sender.peer.role):
        message = f"'{declared.id}' is sent by agents in the role '{declared.sender}'; {_role_of(sender)}"
        raise barred("sender_role", message, "ask an agent in that role")
    if declared.receiver not in (ANY, receiver.peer.role):
        message = f"'{declared.id}' goes to agents in the role '{declared.receiver}'; {_role_of(receiver)}"
        raise barred("receiver_role", message, f"send it to role:{declared.receiver}")


def _role_of(side: Side) -> str:
    agent, role = side.peer.agent, side.peer.role
    return "an operator has no role" if agent == OPERATOR else f"'{agent}' is in the role '{role}'"


def _look_at_sender(draft: Draft, declared: MessageType | None, sender: Side) -> None:
    state, name = sender.peer.state, draft.message_type
    is_in_time = declared is None or not declared.when_sender or state in declared.when_sender
    if not is_in_time or not sender.conduct.may(state, "send", name):
        states = ", ".join(declared.when_sender) if declared else ""
        hint = f"it can be sent in: {states}" if states else "move to a state that allows it; see `aism state can`"
        raise barred("sender_state", f"state '{state}' does not allow to send '{name}'", hint, sender_state=state)


def _translated(draft: Draft, declared: MessageType | None, sender: Side, receiver: Side) -> Passed:
    """The type as the receiver's version has it."""
    name = draft.message_type
    is_same = sender.peer.digest == receiver.peer.digest or sender.peer.protocol != receiver.peer.protocol
    if declared is None or is_same:
        return Passed(name, declared)
    if (theirs := receiver.conduct.types.get(name)) is not None:
        return Passed(name, theirs)
    mapping = receiver.conduct.translated.get(name)
    if mapping is not None and mapping.rule == "translate" and mapping.new in receiver.conduct.types:
        return Passed(mapping.new, receiver.conduct.types[mapping.new], name)
    if mapping is not None and mapping.rule == "keep":
        return Passed(name, declared)
    raise barred(
        "incompatible_version",
        f"'{name}' is not in version {receiver.peer.version}, which '{receiver.peer.agent}' follows",
        "wait until both follow one version",
        kind="conflict",
        sender_version=sender.peer.version,
        receiver_version=receiver.peer.version,
    )


def _look_at_content(draft: Draft, going: Passed, receiver: Side) -> None:
    declared = going.declared
    if declared is None:
        return
    size = len(draft.text.encode())
    if declared.max_bytes and size > declared.max_bytes:
        message = f"the text has {size:,} bytes; '{declared.id}' allows {declared.max_bytes:,}"
        raise barred("too_large", message, "put it into a file and send its digest", kind="limit")
    _, missing, invalid = read_fields(declared.fields, draft.fields)
    known = [field.name for field in declared.fields]
    wrong = [*invalid, *(f"{name[:64]}: there is no such field" for name in draft.fields if name not in known)]
    if missing or wrong:
        version = f" (version {receiver.peer.version})" if going.original_type else ""
        reasons = "; ".join([*(f"{name}: it is missing" for name in missing), *wrong])
        message = f"'{going.message_type}'{version}: {reasons}"
        raise barred("fields", message, "give fields as --field name=value", missing=list(missing), invalid=wrong)
