"""Encodes what a user wrote into the bytes of a message. `shown` is the way back.

The supervisor knows a family by its interface only (`engines.model.store`): for each message its fields with their
types as text, and the structs that these name. That text is the only source, so it is parsed here:

    type   = part { " | " part }
    part   = name [ "[" type { ", " type } "]" ]

As in the node file, a whole number in a field whose name ends in `_ns` or `_bytes` may be written with a unit, and an
enumeration by a member's value or its name.

The receiver checks the message again with the real types: a wrong value let through here becomes a dead letter there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from host.config.scalars import INTEGER_MAX, INTEGER_MIN, NOT_FINITE
from host.config.units import UnitError, parse_quantity, unit_suffix
from host.live.control.protocol import TypedField

INTEGER_BOUNDS: Final = "the least is -2**63, the most 2**64 - 1"

NESTED_MAX: Final = 32
"""Depth of a type; those in use have three or four levels."""

ANY: Final = "*"
"""As an awaited message: any message."""

_TOKEN: Final = re.compile(r"\s*(\.\.\.|[\w.]+|[\[\],|])")
_WITH_UNIT: Final = re.compile(r"[0-9]+(\.[0-9]+)? ?[^\W\d_]+")


class FieldProblem(ValueError):
    """The given fields make no message; the text names the field and what was expected."""


class Undeclared(FieldProblem):
    """The engine has no such mailbox, or the mailbox takes no such message."""


class Misfit(ValueError):
    """Why a value is not of its type, in words for its author."""


class FieldKind(msgspec.Struct, frozen=True):
    """A parsed type: `|` has its parts as arguments, everything else is a name with arguments."""

    name: str
    parts: tuple[FieldKind, ...] = ()


def encode_message(
    interface: Mapping[str, Any],
    mailbox: int,
    tag: str,
    fields: Mapping[str, TypedField],
    me: str,
    awaited: Collection[str] = (),
) -> bytes:
    """The bytes of a message for `mailbox`. Raises `FieldProblem`.

    A missing reference is filled with `me`; an optional one only if it takes one of the messages `awaited`.
    """
    declared = _declared(interface, mailbox, tag)
    _check_awaited(interface, tag, [(name, text) for name, text, _ in declared if name not in fields], awaited)
    types = interface["types"] | _enumerations(interface)
    if unknown := [name for name in fields if name not in {field[0] for field in declared}]:
        known = ", ".join(field[0] for field in declared) or "none"
        raise FieldProblem(f"{tag} has no field {unknown[0]}; its fields: {known}")
    values = [tag]
    for at, (name, text, has_default) in enumerate(declared):
        kind = parse_kind(text)
        if name in fields:
            values.append(_converted(tag, name, kind, fields[name], types))
        elif kind.name == "Ref" or _messages_taken(kind) & set(awaited):
            values.append(me)
        elif not has_default:
            raise FieldProblem(f"{tag}.{name} ({text}) is missing")
        elif later := [field[0] for field in declared[at + 1 :] if field[0] in fields]:
            raise FieldProblem(f"{tag}.{name} must be given too, because {later[0]} comes after it")
        else:
            break
    return msgspec.msgpack.encode(values)


def message_tag(payload: bytes) -> str:
    """The type of an encoded message; empty if the bytes are none."""
    try:
        found = msgspec.msgpack.decode(payload)
    except msgspec.DecodeError:
        return ""
    return str(found[0]) if isinstance(found, list) and found else ""


def parse_kind(text: str) -> FieldKind:
    """A type's text as a tree. Raises `FieldProblem` for text that is no type."""
    tokens = _TOKEN.findall(text)
    kind, rest = _union(tokens, 0, NESTED_MAX)
    if rest != len(tokens):
        raise FieldProblem(f"the type {text!r} is not understood")
    return kind


def _messages_taken(kind: FieldKind) -> set[str]:
    """The messages that could be sent to a field that is a reference, or may be one."""
    refs = [part for part in (kind.parts if kind.name == "|" else (kind,)) if part.name == "Ref"]
    return {message.name for ref in refs for target in ref.parts for message in (target.parts or (target,))}


def _check_awaited(
    interface: Mapping[str, Any], tag: str, left_out: list[tuple[str, str]], awaited: Collection[str]
) -> None:
    """Raises `Undeclared` for an awaited message that cannot come back to the references `left_out`, judged by types.

    Types can be judged only where every name that the references take is among the messages the engine sends: then no
    name is an alias for several messages.
    """
    takes = {name: taken for name, text in left_out if (taken := _messages_taken(parse_kind(text)))}
    possible = set().union(*takes.values())
    never = [name for name in awaited if name not in possible and name != ANY]
    if takes and never and possible <= interface["emits"].keys():
        shown = "; ".join(f"{tag}.{name} takes {' or '.join(sorted(taken))}" for name, taken in takes.items())
        raise Undeclared(f"no {never[0]} can come back: {shown}")


def _declared(interface: Mapping[str, Any], mailbox: int, tag: str) -> list[tuple[str, str, bool]]:
    boxes = {box["number"]: box["accepts"] for box in interface["boxes"]}
    if mailbox not in boxes:
        raise Undeclared(f"there is no mailbox {mailbox}; declared: {', '.join(map(str, sorted(boxes)))}")
    if tag not in boxes[mailbox]:
        accepted = ", ".join(sorted(boxes[mailbox])) or "nothing"
        raise Undeclared(f"mailbox {mailbox} does not accept {tag}; it accepts {accepted}")
    return [(name, text, has_default) for name, text, has_default in boxes[mailbox][tag]]


def _union(tokens: list[str], at: int, depth: int) -> tuple[FieldKind, int]:
    parts = []
    while True:
        part, at = _part(tokens, at, depth)
        parts.append(part)
        if at >= len(tokens) or tokens[at] != "|":
            return (parts[0] if len(parts) == 1 else FieldKind("|", tuple(parts))), at
        at += 1


def _part(tokens: list[str], at: int, depth: int) -> tuple[FieldKind, int]:
    if at >= len(tokens) or depth == 0 or tokens[at] in "[],|":
        raise FieldProblem(f"the type {' '.join(tokens)!r} is not understood")
    name, at = tokens[at], at + 1
    parts: list[FieldKind] = []
    if at < len(tokens) and tokens[at] == "[":
        while at < len(tokens) and tokens[at] in "[,":
            part, at = _union(tokens, at + 1, depth - 1)
            parts.append(part)
        at += 1
    return FieldKind(name, tuple(parts)), at


def _converted(tag: str, name: str, kind: FieldKind, written: TypedField, types: Mapping[str, Any]) -> Any:
    """The wire value of `written`."""
    try:
        if (quantity := _quantity(name, kind, written.value)) is not None:
            return quantity
        if written.how == "json":
            return _from_json(kind, written.value, types)
        return _from_text(kind, written, types)
    except (ValueError, TypeError, KeyError) as error:
        raise FieldProblem(f"{tag}.{name}: {_misfit(kind, _short(written.value), error)}") from error


def _quantity(field: str, kind: FieldKind, value: Any) -> int | None:
    """The value of a text with a unit, in a field that is named for one and takes no text; None if it is none."""
    suffix = unit_suffix(field)
    names = {part.name for part in kind.parts} if kind.name == "|" else {kind.name}
    if not suffix or names - {"int", "None"} or not isinstance(value, str) or not _WITH_UNIT.fullmatch(value):
        return None
    try:
        return parse_quantity(value, suffix)
    except UnitError as error:
        raise Misfit(f"{error}; {error.suggestion}" if error.suggestion else str(error)) from error


def _misfit(kind: FieldKind, shown: str, error: Exception) -> str:
    why = f" ({error})" if isinstance(error, Misfit) else ""
    return f"{show_kind(kind)} expected, {shown} found{why}"


def show_kind(kind: FieldKind) -> str:
    """A type as text again."""
    if kind.name == "|":
        return " | ".join(map(show_kind, kind.parts))
    return f"{kind.name}[{', '.join(map(show_kind, kind.parts))}]" if kind.parts else kind.name


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _from_text(kind: FieldKind, written: TypedField, types: Mapping[str, Any]) -> Any:
    """A value from the argument itself: text, hex or bytes."""
    if kind.name == "|":
        return _first(kind.parts, lambda part: _from_text(part, written, types))
    if isinstance(written.value, bytes):
        return _from_bytes(kind, written.value)
    text = str(written.value)
    match kind.name:
        case "bytes" | "Blob":
            if written.how != "hex":
                raise Misfit("bytes are written 0x…, b64:… or @file")
            return bytes.fromhex(text[2:])
        case "int":
            return _wire_int(int(text, 0))
        case "float":
            return _from_digits(text)
        case "bool":
            return {"true": True, "false": False}[text.lower()]
        case "None":
            return {"null": None}[text]
        case "tuple" | "Map":
            raise Misfit("it is written as JSON")
        case name if "members" in types.get(name, ()):
            return _member(types[name]["members"], text)
        case _:
            return text


def _from_digits(text: str) -> float:
    """A float; infinite only if the text is, never by overflow."""
    number = float(text)
    if math.isinf(number) and not text.lower().lstrip("+-").startswith("inf"):
        raise Misfit("the most is 1.8e308; infinity is written inf")
    return number


def _enumerations(interface: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"members": members} for name, members in interface.get("members", {}).items()}


def _member(members: Mapping[str, Any], found: Any) -> Any:
    """A member's value from the value itself, from its digits, or from the member's name in the source."""
    for value in members.values():
        if (value == found and type(value) is type(found)) or (isinstance(value, int | float) and str(value) == found):
            return value
    if isinstance(found, str) and found in members:
        return members[found]
    raise Misfit("its members: " + ", ".join(f"{name} = {value}" for name, value in members.items()))


def _from_bytes(kind: FieldKind, value: bytes) -> Any:
    match kind.name:
        case "bytes" | "Blob":
            return value
        case "str" | "Ref":
            return value.decode()
        case _:
            raise ValueError("no bytes")


def _from_json(kind: FieldKind, value: Any, types: Mapping[str, Any]) -> Any:
    match kind.name:
        case "|":
            is_text = isinstance(value, str) and value in NOT_FINITE and FieldKind("str") in kind.parts
            parts = (FieldKind("str"),) if is_text else kind.parts
            return _first(parts, lambda part: _from_json(part, value, types))
        case "bytes" | "Blob":
            if not isinstance(value, str) or not value.startswith("0x"):
                raise Misfit("bytes in JSON are 0x…")
            return bytes.fromhex(value[2:])
        case "int" | "float" | "bool" | "str" | "Ref" | "None":
            return _plain(kind.name, value)
        case "tuple":
            return _tuple_from_json(kind, value, types)
        case "Map":
            pairs = value.items() if isinstance(value, dict) else value
            return [[_from_json(p, v, types) for p, v in zip(kind.parts, pair, strict=True)] for pair in pairs]
        case name if "members" in types.get(name, ()):
            return _member(types[name]["members"], value)
        case name if name in types:
            return _struct_from_json(name, types[name], value, types)
        case _:
            return value


def _plain(name: str, value: Any) -> Any:
    if name == "float" and isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if name == "int" and isinstance(value, float) and not INTEGER_MIN <= value <= INTEGER_MAX:
        raise Misfit(INTEGER_BOUNDS)
    expected: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "bool": bool}
    is_right = value is None if name == "None" else isinstance(value, expected.get(name, str))
    if not is_right or (isinstance(value, bool) and name != "bool"):
        raise TypeError(name)
    if name == "int":
        return _wire_int(value)
    return float(value) if name == "float" else value


def _wire_int(value: int) -> int:
    """An integer that MessagePack has a form for."""
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise Misfit(INTEGER_BOUNDS)
    return value


def _tuple_from_json(kind: FieldKind, value: Any, types: Mapping[str, Any]) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    if kind.parts and kind.parts[-1].name == "...":
        return [_from_json(kind.parts[0], item, types) for item in value]
    return [_from_json(part, item, types) for part, item in zip(kind.parts, value, strict=True)]


def _struct_from_json(name: str, described: Mapping[str, Any], value: Any, types: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        raise TypeError("an object is expected")
    kinds = {field: parse_kind(text) for field, text, _ in described["fields"]}
    if unknown := [field for field in value if field not in kinds and field != "type"]:
        raise Misfit(f"{name} has no field {unknown[0]}; its fields: {', '.join(kinds) or 'none'}")
    given = {f: _nested(name, f, kinds[f], item, types) for f, item in value.items() if f in kinds}
    tag = described["tag"]
    if described["layout"] == "name":
        return given if tag is None else {"type": tag, **given}
    values = [given[field] for field in list(kinds)[: len(given)]]
    return values if tag is None else [tag, *values]


def _nested(struct: str, field: str, kind: FieldKind, value: Any, types: Mapping[str, Any]) -> Any:
    """A field inside a field: an error there names its own place."""
    try:
        quantity = _quantity(field, kind, value)
        return _from_json(kind, value, types) if quantity is None else quantity
    except (ValueError, TypeError, KeyError) as error:
        raise Misfit(f"{struct}.{field}: {_misfit(kind, _short(value), error)}") from error


def _first(parts: tuple[FieldKind, ...], convert: Callable[[FieldKind], Any]) -> Any:
    """The value by the first part that accepts it. Text comes last, since it accepts everything."""
    reasons = []
    for part in sorted(parts, key=lambda part: part.name in ("str", "Ref")):
        try:
            return convert(part)
        except Misfit as misfit:
            reasons.append(misfit)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    raise reasons[0] if len(reasons) == 1 else ValueError("no part takes it")
