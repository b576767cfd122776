"""The sections Limits, Measurements, Migrations and Uses: the forms of their items."""

from __future__ import annotations

import re
from typing import Any, Final

from . import quantities
from .fields import check_id, shown
from .findings import Unreadable
from .items import Key, Kind, cannot_read, headed, with_text
from .model import Bound, ContextMapping, Import, Measurement, MessageMapping, Migration, StateMapping
from .phrases import (
    across,
    defined_id,
    guard,
    joined,
    one_id,
    one_of,
    plain,
    prose,
    read_ids,
    several,
    term,
    write_guard,
    write_ids,
)
from .source import Head
from .versions import read_range, read_version

LIMITS_OF: Final = {
    "memory": "size", "request_size": "size", "wall": "duration", "session_age": "duration",
    "cpu": "percent", "context_soft": "share", "context_hard": "share",
    "files": "count", "pids": "count", "tokens": "count", "messages": "count", "transitions": "count", "inbox": "count",
}  # fmt: skip
"""The limits, and what the value of each is; a share is a percentage, or a count of tokens above 100."""

PERIODS: Final = {"second": "1s", "minute": "1m", "hour": "1h", "day": "1d"}
EXAMPLES: Final = {"size": "512MiB", "duration": "8h", "percent": "50%", "share": "85% or 150k", "count": "20 or 10k"}
LIMIT_FORM: Final = "name: value per period"
MEASUREMENT_FORM: Final = "name: kind unit"
MIGRATION_FORM: Final = "from range → version"
USE_FORM: Final = "name@range"


def _read_bound(head: Head) -> dict[str, Any]:
    name, rest = head.partition(":")
    match = re.fullmatch(r"(\S+?)(?:\s+per\s+(.+))?", rest.text) if rest is not None else None
    if rest is None or match is None:
        raise cannot_read("limit", LIMIT_FORM, head, head.text)
    if name.text not in LIMITS_OF:
        hint = f"limits: {', '.join(LIMITS_OF)}"
        raise Unreadable("E-ITEM", name.place(), f"{shown(name.text)} is no limit", hint, length=len(name.text))
    value = _amount(match[1], LIMITS_OF[name.text])
    if not value:
        of = LIMITS_OF[name.text]
        raise Unreadable("E-RANGE", rest.place(), f"{shown(match[1])} is no {of}", f"write for example {EXAMPLES[of]}")
    period = 0
    if match[2] is not None:
        period = quantities.duration(PERIODS.get(match[2], match[2])) or 0
        if not period:
            hint = f"periods: {', '.join(PERIODS)}, or a duration"
            raise Unreadable("E-ITEM", rest.place(match.start(2)), f"{shown(match[2])} is no period", hint)
    return {"name": name.text, "value": value, "period_ns": period, "place": head.place()}


def _amount(text: str, of: str) -> int | float | None:
    match of:
        case "size":
            return quantities.size(text)
        case "duration":
            return quantities.duration(text)
        case "count":
            return quantities.count(text)
    share = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)%", text, re.ASCII)
    if share:
        value = float(share[1])
        if of == "share" and value > 100:
            return None
        return int(value) if value.is_integer() else value
    tokens = quantities.count(text) if of == "share" else None
    return tokens if tokens is not None and tokens > 100 else None


def _write_bound(value: Bound) -> str:
    of = LIMITS_OF[value.name]
    match of:
        case "size":
            text = quantities.write(int(value.value), quantities.SIZES)
        case "duration":
            text = quantities.write(int(value.value), quantities.DURATIONS)
        case "count":
            text = str(value.value)
        case _:
            text = str(value.value) if of == "share" and value.value > 100 else f"{value.value}%"
    period = next((name for name, one in PERIODS.items() if quantities.duration(one) == value.period_ns), "")
    if value.period_ns and not period:
        period = quantities.write(value.period_ns, quantities.DURATIONS)
    return f"{value.name}: {text}" + (f" per {period}" if period else "")


def _read_measurement(head: Head) -> dict[str, Any]:
    name, rest = head.partition(":")
    first, text = headed(rest) if rest is not None else (head, "")
    match = re.fullmatch(r"([A-Za-z][\w-]*)(?:\s+(\S{1,32}))?", first.text)
    if rest is None or match is None:
        raise cannot_read("measurement", MEASUREMENT_FORM, head, head.text)
    return {"id": defined_id(name), "kind": match[1], "unit": match[2] or "", "text": text, "place": head.place()}


def _write_measurement(value: Measurement) -> str:
    return with_text(f"{value.id}: {value.kind} {value.unit}".rstrip(), value.text)


def _bucket(head: Head) -> float:
    value = quantities.number(head.text)
    if value is None or abs(value) == float("inf"):
        raise Unreadable("E-ITEM", head.place(), f"{shown(head.text)} is no number", "", length=len(head.text))
    return float(value)


def _read_migration(head: Head) -> dict[str, Any]:
    first = _alone(head)
    left, right = across(first, "migration", MIGRATION_FORM)
    match = re.fullmatch(r"from\s+(.+)", left.text, re.DOTALL)
    if match is None:
        raise cannot_read("migration", MIGRATION_FORM, head, left.text)
    span = left.cut(match.start(1))
    if read_range(span.text) is None:
        raise _no_range(span)
    if read_version(right.text) is None:
        raise Unreadable("E-VERSION", right.place(), f"{shown(right.text)} is no version", "write for example 1.2.0")
    return {"range": " ".join(span.text.split()), "to": right.text, "place": head.place()}


def _write_migration(value: Migration) -> str:
    return f"from {value.range} → {value.to}:"


def _no_range(head: Head) -> Unreadable:
    hint = "write for example 1.1, ^1.2, ~1.2.3 or >=1.0 <2"
    return Unreadable(
        "E-VERSION", head.place(), f"{shown(head.text)} is no range of versions", hint, length=len(head.text)
    )


def _state_mapping(head: Head) -> StateMapping:
    old, new = across(head, "mapping of a state", "old → new")
    return StateMapping(one_id(old), one_id(new), head.place())


def _write_state_mapping(value: StateMapping) -> str:
    return f"{value.old} → {value.new}"


def _context_mapping(head: Head) -> ContextMapping:
    left, right = head.partition("=")
    if right is not None and not right.text.startswith(">"):
        return ContextMapping(one_id(left), expression=term(right), place=head.place())
    old, new = across(head, "mapping of a field", "old → new")
    return ContextMapping(one_id(new), one_id(old), place=head.place())


def _write_context_mapping(value: ContextMapping) -> str:
    return f"{value.old} → {value.new}" if value.old else f"{value.new} = {value.expression}"


def _message_mapping(head: Head) -> MessageMapping:
    old, new = across(head, "mapping of a message", "old → new, bounce or keep")
    if new.text == "bounce":
        return MessageMapping(one_id(old), "bounce", place=head.place())
    if new.text == "keep":
        return MessageMapping(one_id(old), "keep", place=head.place())
    return MessageMapping(one_id(old), "translate", one_id(new), head.place())


def _write_message_mapping(value: MessageMapping) -> str:
    return f"{value.old} → {value.new or value.rule}"


def read_import(head: Head) -> Import:
    """`name@range`. Raises Unreadable."""
    name, at, span = head.text.partition("@")
    if not at or not name.strip() or not span.strip():
        raise cannot_read("use", USE_FORM, head, head.text)
    check_id(head.cut(0, len(name)))
    ranged = head.cut(len(name) + 1)
    if read_range(ranged.text) is None:
        raise _no_range(ranged)
    return Import(name.strip(), " ".join(ranged.text.split()), place=head.place())


def write_import(value: Import) -> str:
    """As `read_import` reads it."""
    return f"{value.name}@{value.range}"


def _read_use(head: Head) -> dict[str, Any]:
    found = read_import(_alone(head))
    return {"name": found.name, "range": found.range, "place": head.place()}


def _alone(head: Head) -> Head:
    """The part before the colon; no text follows it here."""
    first, rest = head.partition(":")
    if rest is not None and rest.text:
        raise Unreadable("E-ITEM", rest.place(), f"nothing is read after the colon: {shown(rest.text)}", "remove it")
    return first


LIMITS: Final = Kind("Limits", "limit", LIMIT_FORM, Bound, _read_bound, _write_bound, {}, 100)

MEASUREMENTS: Final = Kind(
    "Measurements", "measurement", MEASUREMENT_FORM, Measurement, _read_measurement, _write_measurement,
    {
        "from": Key("begins", prose, plain),
        "to": Key("ends", prose, plain),
        "buckets": Key("buckets", several(_bucket), joined(quantities.write_number)),
    },
    500,
)  # fmt: skip

MIGRATIONS: Final = Kind(
    "Migrations", "migration", MIGRATION_FORM, Migration, _read_migration, _write_migration,
    {
        "state": Key("states", several(_state_mapping), joined(_write_state_mapping), repeats=True),
        "context": Key("context", several(_context_mapping), joined(_write_context_mapping), repeats=True),
        "message": Key("messages", several(_message_mapping), joined(_write_message_mapping), repeats=True),
        "guard": Key("guard", guard, write_guard),
        "policy": Key("policy", one_of("pinned", "at_safe_point", "now"), plain),
    },
    100,
)  # fmt: skip

USES: Final = Kind(
    "Uses", "use", USE_FORM, Import, _read_use, write_import,
    {"states": Key("states", read_ids, write_ids), "messages": Key("messages", read_ids, write_ids)},
    100,
)  # fmt: skip
