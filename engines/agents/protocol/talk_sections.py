"""The sections Roles, Messages, Context and Invariants: the forms of their items."""

from __future__ import annotations

import re
from typing import Any, Final

from . import quantities
from .fields import read_field, shown, write_field
from .findings import Unreadable
from .items import Key, Kind, cannot_read, headed, with_text
from .model import Field, Invariant, MessageType, Role
from .phrases import (
    across,
    defined_id,
    duration,
    guard,
    one_id,
    one_of,
    plain,
    read_fields,
    read_ids,
    size,
    write_duration,
    write_fields,
    write_guard,
    write_ids,
    write_size,
)
from .source import Head

ROLE_FORM: Final = "name (1..5): text"
MESSAGE_FORM: Final = "name: sender → receiver"
INVARIANT_FORM: Final = "name: `condition`"
ROLES_MAX: Final = 100
RIGHT: Final = re.compile(r"[a-z]+(?::[A-Za-z][\w-]*)?", re.ASCII)


def _read_role(head: Head) -> dict[str, Any]:
    first, text = headed(head)
    match = re.fullmatch(r"(\S+?)\s*(?:\(([^()]*)\))?", first.text)
    if match is None:
        raise cannot_read("role", ROLE_FORM, first, first.text)
    low, high = _read_counts(first.cut(*match.span(2))) if match[2] is not None else (0, None)
    return {"id": defined_id(first.cut(*match.span(1))), "low": low, "high": high, "text": text, "place": head.place()}


def _read_counts(head: Head) -> tuple[int, int | None]:
    first, dots, last = (part.strip() for part in head.text.partition(".."))
    low = quantities.count(first) if first else 0
    high = low if not dots else quantities.count(last) if last else None
    if low is None or (last and high is None) or not first + last:
        raise Unreadable(
            "E-RANGE", head.place(), f"{shown(head.text)} is no count of agents", "write for example 1..50, 2.. or 1"
        )
    if high is not None and (high < low or high == 0):
        raise Unreadable(
            "E-RANGE", head.place(), f"no agent can have this role: {head.text}", "write the lower number first"
        )
    return low, high


def _write_role(role: Role) -> str:
    counts = ""
    if role.high is not None and role.low == role.high:
        counts = f" ({role.low})"
    elif role.low or role.high is not None:
        counts = f" ({role.low or ''}..{'' if role.high is None else role.high})"
    return with_text(f"{role.id}{counts}", role.text)


def _right(head: Head) -> str:
    if not RIGHT.fullmatch(head.text):
        hint = "rights: send:<type>, read:peers, spawn:<role>, approve:protocol, override, measure:system"
        raise Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no right", hint, length=len(head.text))
    return head.text


def _read_rights(head: Head) -> tuple[str, ...]:
    return tuple(map(_right, head.split()))


def _read_message(head: Head) -> dict[str, Any]:
    name, rest = head.partition(":")
    if rest is None:
        raise cannot_read("message", MESSAGE_FORM, head, head.text)
    first, text = headed(rest)
    sender, receiver = across(first, "message", MESSAGE_FORM)
    return {
        "id": defined_id(name),
        "sender": one_id(sender),
        "receiver": one_id(receiver),
        "text": text,
        "place": head.place(),
    }


def _write_message(message: MessageType) -> str:
    return with_text(f"{message.id}: {message.sender} → {message.receiver}", message.text)


def read_replies(head: Head) -> tuple[tuple[str, ...], int]:
    """`agree, refuse within 10m`. Raises Unreadable."""
    match = re.search(r"\s+within\s+(\S+)$", head.text)
    names = head.cut(0, match.start()) if match else head
    return read_ids(names), duration(head.cut(*match.span(1))) if match else 0


def write_replies(value: tuple[tuple[str, ...], int]) -> str:
    """As `read_replies` reads them."""
    names, within_ns = value
    return write_ids(names) + (f" within {write_duration(within_ns)}" if within_ns else "")


def _replies_of(message: MessageType) -> tuple[tuple[str, ...], int] | None:
    return (message.replies, message.within_ns) if message.replies else None


def _make_message(*, reply: tuple[tuple[str, ...], int] = ((), 0), **more: Any) -> MessageType:
    return MessageType(replies=reply[0], within_ns=reply[1], **more)


def _read_context(head: Head) -> dict[str, Any]:
    field = read_field(head)
    defined_id(head.cut(0, len(field.name)))
    return {name: getattr(field, name) for name in Field.__struct_fields__}


def _read_invariant(head: Head) -> dict[str, Any]:
    name, rest = head.partition(":")
    if rest is None:
        raise cannot_read("invariant", INVARIANT_FORM, head, head.text)
    match = re.match(r"(?:opaque\s*:\s*)?`[^`]*`", rest.text)
    condition = rest.cut(0, match.end()) if match else rest
    after = rest.cut(match.end()) if match else rest.cut(len(rest.text))
    if after.text and not after.text.startswith(":"):
        raise cannot_read("invariant", INVARIANT_FORM, after, after.text)
    return {
        "id": defined_id(name),
        "guard": guard(condition),
        "text": after.cut(1).prose() if after.text else "",
        "place": head.place(),
    }


def _write_invariant(value: Invariant) -> str:
    return with_text(f"{value.id}: {write_guard(value.guard)}", value.text)


ROLES: Final = Kind(
    "Roles", "role", ROLE_FORM, Role, _read_role, _write_role,
    {"states": Key("states", read_ids, write_ids), "may": Key("may", _read_rights, write_ids)},
    ROLES_MAX,
)  # fmt: skip

MESSAGES: Final = Kind(
    "Messages", "message", MESSAGE_FORM, _make_message, _read_message, _write_message,
    {
        "fields": Key("fields", read_fields, write_fields),
        "reply": Key("reply", read_replies, write_replies, held=_replies_of),
        "when sender": Key("when_sender", read_ids, write_ids),
        "when receiver": Key("when_receiver", read_ids, write_ids),
        "otherwise": Key("otherwise", one_of("queue", "bounce"), plain),
        "expires": Key("expires_ns", duration, write_duration),
        "max_size": Key("max_bytes", size, write_size),
        "order": Key("order", one_of("fifo", "any", "latest"), plain),
    },
    500,
)  # fmt: skip

CONTEXT: Final = Kind(
    "Context", "field", "name: type = default", Field, _read_context, write_field,
    {
        "writable by": Key("writable_by", one_of("agent", "engine"), plain),
        "keep": Key("keep", one_of("session", "agent"), plain),
    },
    500,
)  # fmt: skip

INVARIANTS: Final = Kind(
    "Invariants", "invariant", INVARIANT_FORM, Invariant, _read_invariant, _write_invariant,
    {
        "in": Key("states", read_ids, write_ids),
        "on fail": Key("on_fail", one_of("reject", "alarm", "quarantine"), plain),
    },
    500,
)  # fmt: skip
