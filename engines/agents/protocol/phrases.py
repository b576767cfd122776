"""Small phrases that several sections share: lists of names, durations, arrows, guards, values, effects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from . import quantities
from .fields import check_id, read_field, read_string, shown, write_field, write_string
from .findings import Unreadable
from .guards import GuardError, canonical_text, parse_guard, parse_value, term_text
from .items import cannot_read
from .model import Assignment, Effect, Field, Guard, Sending, Timeout
from .source import Head

ARROW: Final = re.compile(r"→|->|=>|⟶")
RESERVED: Final = ("any", "self", "engine", "system", "admin", "none")
EFFECTS: Final = {
    "prompt": "prompt",
    "notify": "notify",
    "send": "send",
    "measure": "measure",
    "commit workspace": "commit",
    "rotate session": "rotate",
    "start agent": "start",
    "stop agent": "stop",
}
"""How effects are written, and the kind of each."""

EFFECT_FORMS: Final = (
    'prompt "text", notify role, send message to role, measure id, commit workspace, rotate session, '
    "start agent role, stop agent role"
)

T = TypeVar("T")


def several(read: Callable[[Head], T]) -> Callable[[Head], tuple[T, ...]]:
    """Reads what is separated by commas; at least one."""

    def read_all(head: Head) -> tuple[T, ...]:
        if not head.text:
            raise Unreadable(
                "E-ITEM", head.place(), "expected a value, found nothing", "remove the key, or write its value"
            )
        return tuple(map(read, head.split()))

    return read_all


def joined(write: Callable[[T], str]) -> Callable[[tuple[T, ...]], str]:
    """Writes what `several` reads."""
    return lambda values: ", ".join(map(write, values))


def plain(value: str) -> str:
    """A text as it is."""
    return value


def one_id(head: Head) -> str:
    """A name that is referred to. Raises Unreadable."""
    return check_id(head)


def defined_id(head: Head) -> str:
    """A name that is defined here, so it is not reserved. Raises Unreadable."""
    return check_id(head, RESERVED)


def one_of(*choices: str) -> Callable[[Head], str]:
    """Reads one of these words."""

    def read(head: Head) -> str:
        if head.text not in choices:
            hint = f"one of {', '.join(choices)}"
            raise Unreadable(
                "E-ITEM", head.place(), f"{shown(head.text)} is not allowed here", hint, length=len(head.text)
            )
        return head.text

    return read


def duration(head: Head) -> int:
    """Nanoseconds, more than none. Raises Unreadable."""
    found = quantities.duration(head.text)
    if not found:
        hint = "write for example 250ms, 30s, 5m, 8h or 7d"
        raise Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no duration", hint, length=len(head.text))
    return found


def write_duration(value: int) -> str:
    """As `duration` reads it."""
    return quantities.write(value, quantities.DURATIONS)


def size(head: Head) -> int:
    """Bytes, more than none. Raises Unreadable."""
    found = quantities.size(head.text)
    if not found:
        hint = "write for example 16KiB"
        raise Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no size", hint, length=len(head.text))
    return found


def write_size(value: int) -> str:
    """As `size` reads it."""
    return quantities.write(value, quantities.SIZES)


def whole(head: Head) -> int:
    """A whole number, also below 0. Raises Unreadable."""
    if not re.fullmatch(r"-?\d{1,9}", head.text, re.ASCII):
        raise Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no whole number", "", length=len(head.text))
    return int(head.text)


def prose(head: Head) -> str:
    """A text for people or agents."""
    return head.prose()


def across(head: Head, noun: str, form: str) -> tuple[Head, Head]:
    """What is before and after an arrow. Raises Unreadable."""
    match = ARROW.search(head.text)
    if match is None:
        words = head.text.split()
        raise cannot_read(noun, form, head, words[-1] if words else "")
    left, right = head.cut(0, match.start()), head.cut(match.end())
    if not left.text or not right.text or ARROW.search(right.text):
        raise cannot_read(noun, form, head, head.text[match.start() :] if left.text else match[0])
    return left, right


def timeout(head: Head) -> Timeout:
    """`5m → idle`. Raises Unreadable."""
    match = ARROW.search(head.text)
    target = head.cut(match.end()) if match else None
    if match is None or target is None or not target.text:
        hint = f"write where the agent goes then: max_duration: {head.text.split()[0] if head.text else '5m'} → <state>"
        raise Unreadable("E-TIMER", head.place(), "max_duration has no target", hint, length=len(head.text))
    return Timeout(duration(head.cut(0, match.start())), one_id(target), head.place())


def write_timeout(value: Timeout) -> str:
    """As `timeout` reads it."""
    return f"{write_duration(value.after_ns)} → {value.target}"


def _bare(head: Head) -> tuple[Head, bool]:
    """The text of a guard, without the mark and the backticks, and whether it is marked opaque."""
    is_opaque = bool(re.match(r"opaque\s*:", head.text))
    inner = head.cut(head.text.index(":") + 1) if is_opaque else head
    if len(inner.text) > 1 and inner.text[0] == inner.text[-1] == "`":
        inner = inner.cut(1, len(inner.text) - 1)
    return inner, is_opaque


def guard(head: Head) -> Guard:
    """A condition in backticks, as canonical text. Raises Unreadable."""
    inner, is_opaque = _bare(head)
    try:
        text = canonical_text(parse_guard(inner.text))
    except GuardError as error:
        raise refused(error, inner) from None
    return Guard(text, is_opaque, inner.place())


def write_guard(value: Guard) -> str:
    """As `guard` reads it."""
    return f"opaque: `{value.text}`" if value.is_opaque else f"`{value.text}`"


def term(head: Head) -> str:
    """A value for a field, as canonical text. Raises Unreadable."""
    inner, _ = _bare(head)
    try:
        return term_text(parse_value(inner.text))
    except GuardError as error:
        raise refused(error, inner) from None


def refused(error: GuardError, head: Head) -> Unreadable:
    """The finding about a guard at its place in the file."""
    offset = min(error.offset, max(len(head.text) - 1, 0))
    return Unreadable(error.code, head.place(offset), error.message, error.hint)


def assignment(head: Head) -> Assignment:
    """`context.task = request.task`. Raises Unreadable."""
    left, right = head.partition("=")
    name = left.text.removeprefix("context.")
    if right is None or name == left.text:
        raise cannot_read("assignment", "context.field = value", head, head.text)
    return Assignment(check_id(left.cut(len("context."))), term(right), head.place())


def write_assignment(value: Assignment) -> str:
    """As `assignment` reads it."""
    return f"context.{value.field} = {value.expression}"


def sending(head: Head) -> Sending:
    """`task_done to supervisor`. Raises Unreadable."""
    match = re.fullmatch(r"(\S+)\s+to\s+(\S+)", head.text)
    if match is None:
        raise cannot_read("message to send", "message to role", head, head.text)
    return Sending(one_id(head.cut(*match.span(1))), one_id(head.cut(*match.span(2))), head.place())


def write_sending(value: Sending) -> str:
    """As `sending` reads it."""
    return f"{value.message} to {value.to}"


def effect(head: Head) -> Effect:
    """One of the closed list of effects. Raises Unreadable."""
    text = " ".join(head.text.split())
    words = next((one for one in EFFECTS if f"{text} ".startswith(f"{one} ")), None)
    wrong = Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no effect", EFFECT_FORMS, length=len(head.text))
    if words is None:
        raise wrong
    kind: Any = EFFECTS[words]
    argument = text[len(words) :].strip()
    if kind == "prompt":
        read = read_string(argument) if argument.startswith('"') else argument
        if not read:
            raise wrong
        return Effect(kind, " ".join(read.split()), head.place())
    pattern = {
        "commit": r"", "rotate": r"", "start": r"|[A-Za-z][\w-]*", "stop": r"|[A-Za-z][\w-]*",
        "send": r"[A-Za-z][\w-]* to [A-Za-z][\w-]*",
    }.get(kind, r"[A-Za-z][\w-]*")  # fmt: skip
    if not re.fullmatch(pattern, argument, re.ASCII):
        raise wrong
    return Effect(kind, argument, head.place())


def write_effect(value: Effect) -> str:
    """As `effect` reads it."""
    words = next(words for words, kind in EFFECTS.items() if kind == value.kind)
    argument = write_string(value.argument) if value.kind == "prompt" else value.argument
    return f"{words} {argument}".strip()


read_fields: Final = several(read_field)
write_fields: Final[Callable[[tuple[Field, ...]], str]] = joined(write_field)
read_ids: Final = several(one_id)
write_ids: Final[Callable[[tuple[str, ...]], str]] = joined(plain)
read_effects: Final = several(effect)
write_effects: Final[Callable[[tuple[Effect, ...]], str]] = joined(write_effect)
