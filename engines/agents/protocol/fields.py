"""Fields and their types: `task: string(1..200)`, `estimate: duration?`, `tags: list<id>(10) = []`."""

from __future__ import annotations

import json
import re
from typing import Final, cast

from engines.agents.bus import IDENTIFIER

from . import quantities
from .findings import Unreadable
from .model import Datum, Field, FieldType, Scalar
from .source import Head

KINDS: Final = ("bool", "int", "number", "string", "enum", "duration", "size", "time", "id", "list", "digest", "path")
BOUNDED: Final = ("int", "number", "string", "list")
"""The kinds with `(low..high)`."""

MARKS: Final = ("key", "out", "in")
DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
DEPTH_MAX: Final = 4


def read_field(head: Head) -> Field:
    """A field `name: type marks = default`. Raises Unreadable."""
    name, rest = head.partition(":")
    is_optional = name.text.endswith("?")
    if is_optional:
        name = name.cut(0, len(name.text) - 1)
    if rest is None:
        raise Unreadable("E-ITEM", head.place(), f"expected 'name: type', found {shown(head.text)}", _types())
    check_id(name)
    rest, default = rest.partition("=")
    kind, is_marked, marks = _read_marks(rest)
    field = Field(
        name=name.text,
        type=read_type(kind),
        is_optional=is_optional or is_marked,
        marks=cast("tuple[()]", marks),
        place=head.place(),
    )
    if default is None:
        return field
    return Field(
        field.name, field.type, field.is_optional, field.marks, read_datum(default, field.type), place=field.place
    )


def _read_marks(head: Head) -> tuple[Head, bool, tuple[str, ...]]:
    """The type, whether `?` follows it, and the marks after it."""
    text = head.text
    words = text.split()
    marks: list[str] = []
    while len(words) > 1 and words[-1] in MARKS:
        marks.insert(0, words.pop())
    end = len(text)
    for mark in reversed(marks):
        end = text.rindex(mark, 0, end)
    kind = head.cut(0, end)
    is_optional = kind.text.endswith("?")
    return kind.cut(0, len(kind.text) - 1) if is_optional else kind, is_optional, tuple(dict.fromkeys(marks))


def read_type(head: Head, depth: int = 0) -> FieldType:
    """A type. Raises Unreadable."""
    match = re.fullmatch(r"([a-z]+)\s*(?:<(.*)>)?\s*(?:\((.*)\))?", head.text, re.DOTALL)
    kind = match[1] if match else ""
    if match is None or kind not in KINDS or (match[2] is None) == (kind == "list") or depth > DEPTH_MAX:
        raise Unreadable("E-TYPE", head.place(), f"{shown(head.text)} is no type", _types(), length=len(head.text))
    item = read_type(head.cut(*match.span(2)), depth + 1) if kind == "list" else None
    inside = match[3]
    if kind == "enum":
        return FieldType("enum", choices=_choices(head, inside))
    if inside is None:
        return FieldType(kind, item=item)  # type: ignore[arg-type]
    if kind not in BOUNDED:
        raise Unreadable("E-TYPE", head.place(match.start(3)), f"type {kind} has no bounds", f"write {kind} alone")
    low, high = _bounds(head.cut(*match.span(3)), kind)
    return FieldType(kind, low, high, item=item)  # type: ignore[arg-type]


def _choices(head: Head, inside: str | None) -> tuple[str, ...]:
    choices = tuple(one.strip() for one in (inside or "").split("|"))
    if not all(IDENTIFIER.fullmatch(one) for one in choices) or len(set(choices)) < len(choices):
        raise Unreadable("E-TYPE", head.place(), f"{shown(head.text)} is no type", "write enum(a|b|c), each once")
    return choices


def _bounds(head: Head, kind: str) -> tuple[int | float | None, int | float | None]:
    """`low..high`, where either may be missing; one number is the highest."""
    first, dots, last = (part.strip() for part in head.text.partition(".."))
    texts = (first, last) if dots else ("", first)
    bounds = tuple(quantities.number(text) if text else None for text in texts)
    low, high = bounds
    if any(text and bound is None for text, bound in zip(texts, bounds, strict=True)) or not first + last:
        raise Unreadable(
            "E-RANGE", head.place(), f"{shown(head.text)} is no range", "write for example 1..200 or ..200"
        )
    if kind != "number" and any(isinstance(bound, float) for bound in bounds):
        raise Unreadable("E-RANGE", head.place(), f"the bounds of {kind} are whole numbers", "")
    if kind in ("string", "list") and any(bound is not None and bound < 0 for bound in bounds):
        raise Unreadable("E-RANGE", head.place(), "a length is never below 0", "")
    if low is not None and high is not None and low > high:
        raise Unreadable(
            "E-RANGE", head.place(), f"no value is in {head.text}: {low} is more than {high}", f"write {high}..{low}"
        )
    return low, high


def read_datum(head: Head, kind: FieldType) -> Datum:
    """A value of this type. Raises Unreadable."""
    text = head.text
    if kind.kind == "list":
        assert kind.item is not None
        if not (text.startswith("[") and text.endswith("]")):
            raise _not_in(head, kind, "write a list as [a, b]")
        items = tuple(read_datum(one, kind.item) for one in head.cut(1, len(text) - 1).split())
        if not is_within(kind, len(items)):
            raise _not_in(head, kind, "")
        return cast("tuple[Scalar, ...]", items)
    value = read_scalar(text, kind)
    if value is None:
        raise _not_in(head, kind, "")
    return value


def read_scalar(text: str, kind: FieldType) -> Scalar | None:
    """The value that `text` writes, or None if it is no value of this type."""
    value: Scalar | None = None
    match kind.kind:
        case "bool":
            value = {"true": True, "false": False}.get(text)
        case "int" | "number":
            value = quantities.number(text)
            if isinstance(value, float) and (kind.kind == "int" or value in (float("inf"), float("-inf"))):
                value = None
        case "duration":
            value = quantities.duration(text)
        case "size":
            value = quantities.size(text)
        case "time":
            value = quantities.count(text)
        case "string":
            value = read_string(text)
        case "enum":
            value = text if text in kind.choices else None
        case "id":
            value = text if IDENTIFIER.fullmatch(text) else None
        case "digest":
            value = text if DIGEST.fullmatch(text) else None
        case "path":
            value = read_string(text)
            value = value if value and is_inside(value) else None
    if value is not None and kind.kind in BOUNDED:
        measure = len(value) if isinstance(value, str) else value
        return value if is_within(kind, measure) else None
    return value


def is_within(kind: FieldType, measure: int | float) -> bool:
    """Whether a number, length or count is within the bounds of a type."""
    return (kind.low is None or measure >= kind.low) and (kind.high is None or measure <= kind.high)


def is_inside(path: str) -> bool:
    """Whether a path is relative and cannot lead out of its folder."""
    return not path.startswith("/") and ".." not in path.split("/") and "\0" not in path


def read_string(text: str) -> str | None:
    """A string of JSON, or a bare word."""
    if not text.startswith('"'):
        return text if re.fullmatch(r"[\w./-]+", text) else None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, str) or any("\ud800" <= char <= "\udfff" for char in value):
        return None
    return value


def write_field(field: Field) -> str:
    """The field as `read_field` reads it."""
    marks = "".join(f" {mark}" for mark in field.marks)
    optional = "?" if field.is_optional else ""
    default = "" if field.default is None else f" = {write_datum(field.default, field.type)}"
    return f"{field.name}: {write_type(field.type)}{optional}{marks}{default}"


def write_type(kind: FieldType) -> str:
    """The type as `read_type` reads it."""
    if kind.kind == "enum":
        return f"enum({'|'.join(kind.choices)})"
    item = f"<{write_type(kind.item)}>" if kind.item is not None else ""
    low, high = ("" if bound is None else quantities.write_number(bound) for bound in (kind.low, kind.high))
    bounds = f"({low}..{high})" if low or high else ""
    return f"{kind.kind}{item}{bounds}"


def write_datum(value: Datum, kind: FieldType) -> str:
    """The value as `read_datum` reads it."""
    if isinstance(value, tuple):
        assert kind.item is not None
        return f"[{', '.join(write_datum(one, kind.item) for one in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return write_string(value) if kind.kind in ("string", "path") else value
    if kind.kind == "duration":
        return quantities.write(int(value), quantities.DURATIONS)
    if kind.kind == "size":
        return quantities.write(int(value), quantities.SIZES)
    return quantities.write_number(value)


def write_string(value: str) -> str:
    """A string of JSON on one line, which no reader of markdown takes for a comment."""
    return json.dumps(value, ensure_ascii=False).replace("<!--", "\\u003c!--")


def check_id(head: Head, reserved: tuple[str, ...] = ()) -> str:
    """The text, if it is an identifier that may be defined. Raises Unreadable."""
    text = head.text
    if text in reserved:
        raise Unreadable(
            "E-ID",
            head.place(),
            f"'{text}' is reserved",
            f"choose another name, for example '{text}_1'",
            length=len(text),
        )
    if not IDENTIFIER.fullmatch(text):
        why = "a letter, then letters, digits, '_' and '-', at most 64"
        raise Unreadable("E-ID", head.place(), f"{shown(text)} is no name", f"a name is {why}", length=len(text))
    return text


def shown(text: str) -> str:
    """A text within a message: quoted, one line, short."""
    short = " ".join(text.split())
    return f"'{short[:40]}{'…' if len(short) > 40 else ''}'" if short else "nothing"


def _not_in(head: Head, kind: FieldType, hint: str) -> Unreadable:
    message = f"default {shown(head.text)} is no {write_type(kind)}"
    return Unreadable("E-DEFAULT", head.place(), message, hint or _example(kind), length=len(head.text))


def _example(kind: FieldType) -> str:
    examples = {
        "bool": "true or false",
        "duration": "for example 30s or 5m",
        "size": "for example 16KiB",
        "string": 'a text in double quotes, for example ""',
        "enum": f"one of {', '.join(kind.choices)}",
        "time": "nanoseconds since 1970",
        "path": "a relative path inside the workspace",
        "digest": "64 hexadecimal digits",
    }
    return f"write {examples.get(kind.kind, 'a value within the bounds of the type')}"


def _types() -> str:
    return f"types: {', '.join(KINDS)}; for example string(1..200), enum(a|b), list<id>(10)"
