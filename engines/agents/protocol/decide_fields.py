"""Values of fields as agents write them, read by the type that the protocol declares.

Agents write JSON; a command line has only texts. So a text is also taken where a number, a truth value, a duration or a
size is needed, written as in guards. What is read is a `Datum`, or `FieldError` says why not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .guards import Constant, GuardError, parse_value
from .model import Datum, Field, FieldType, Scalar

TEXT_MAX: Final = 64 << 10
ITEMS_MAX: Final = 10_000
ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,127}", re.ASCII)
DIGEST: Final = re.compile(r"[0-9a-f]{32,128}", re.ASCII)
INT_MAX: Final = (1 << 63) - 1


class FieldError(ValueError):
    """A value that is none of the declared type; the text says what was expected, and found."""


def read_datum(kind: FieldType, raw: object) -> Datum:
    """The value of a field. Raises FieldError."""
    if kind.kind == "list":
        if not isinstance(raw, list | tuple):
            raise FieldError(f"expected a list, found {_shown(raw)}")
        _check_bounds(kind, len(raw), "items", ITEMS_MAX)
        return tuple(_scalar(kind.item or FieldType("string"), one) for one in raw)
    return _scalar(kind, raw)


def read_fields(
    declared: tuple[Field, ...], raw: Mapping[str, object]
) -> tuple[dict[str, Datum], tuple[str, ...], tuple[str, ...]]:
    """The values of these fields, those that are missing, and what is invalid, each as `name: reason`."""
    values: dict[str, Datum] = {}
    missing: list[str] = []
    invalid: list[str] = []
    for field in declared:
        given = raw.get(field.name)
        if given is None:
            if field.default is not None:
                values[field.name] = field.default
            elif not field.is_optional:
                missing.append(field.name)
            continue
        try:
            values[field.name] = read_datum(field.type, given)
        except FieldError as error:
            invalid.append(f"{field.name}: {error}")
    return values, tuple(missing), tuple(invalid)


def fits(kind: FieldType, value: Datum) -> str:
    """Why this value is none of that type; "" if it is."""
    try:
        read_datum(kind, value)
    except FieldError as error:
        return str(error)
    return ""


def _scalar(kind: FieldType, raw: object) -> Scalar:
    match kind.kind:
        case "bool":
            return _bool(raw)
        case "int" | "time":
            return _bounded(kind, _int(raw))
        case "number":
            return _bounded(kind, _number(raw))
        case "duration" | "size":
            return _bounded(kind, _measure(kind.kind, raw))
        case _:
            return _text(kind, raw)


def _bool(raw: object) -> bool:
    known = {"true": True, "false": False}
    found = known.get(raw) if isinstance(raw, str) else raw
    if not isinstance(found, bool):
        raise FieldError(f"expected true or false, found {_shown(raw)}")
    return found


def _number(raw: object) -> int | float:
    if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", raw, re.ASCII):
        raw = float(raw) if "." in raw else int(raw)
    is_one = isinstance(raw, int | float) and not isinstance(raw, bool)
    if not is_one or not -INT_MAX <= raw <= INT_MAX:  # type: ignore[operator]  # which no NaN is
        raise FieldError(f"expected a number, found {_shown(raw)}")
    return raw  # type: ignore[return-value]


def _int(raw: object) -> int:
    try:
        number = _number(raw)
    except FieldError:
        number = 0.5
    if number != int(number):
        raise FieldError(f"expected a whole number, found {_shown(raw)}")
    return int(number)


def _measure(kind: str, raw: object) -> int:
    """A duration in ns or a size in bytes; as a text with a unit, or as a whole number of these."""
    if isinstance(raw, str):
        try:
            term = parse_value(raw)
        except GuardError:
            term = None
        if isinstance(term, Constant) and term.kind == kind:
            return int(term.value)
        example = "5m" if kind == "duration" else "16KiB"
        raise FieldError(f'expected a {kind} such as "{example}", found {_shown(raw)}')
    return _int(raw)


def _text(kind: FieldType, raw: object) -> str:
    if not isinstance(raw, str):
        raise FieldError(f"expected a text, found {_shown(raw)}")
    if any("\ud800" <= one <= "\udfff" for one in raw):
        raise FieldError("expected a text, found half of a character")
    match kind.kind:
        case "enum" if raw not in kind.choices:
            raise FieldError(f"expected one of {', '.join(kind.choices)}, found {_shown(raw)}")
        case "id" if not ID.fullmatch(raw):
            raise FieldError(f"expected an identifier, found {_shown(raw)}")
        case "digest" if not DIGEST.fullmatch(raw):
            raise FieldError(f"expected a digest in hex, found {_shown(raw)}")
        case "path" if raw.startswith("/") or ".." in raw.split("/") or not raw or "\0" in raw:
            raise FieldError(f"expected a path inside the workspace, found {_shown(raw)}")
    if kind.kind != "enum":
        _check_bounds(kind, len(raw), "characters", TEXT_MAX)
    return raw


def _bounded(kind: FieldType, number: int | float) -> int | float:
    if kind.low is not None and number < kind.low:
        raise FieldError(f"{number} is below {kind.low}")
    if kind.high is not None and number > kind.high:
        raise FieldError(f"{number} is above {kind.high}")
    return number


def _check_bounds(kind: FieldType, count: int, what: str, most: int) -> None:
    if kind.low is not None and count < kind.low:
        raise FieldError(f"{count} {what} are fewer than {kind.low}")
    if count > (most if kind.high is None else min(kind.high, most)):
        raise FieldError(f"{count} {what} are more than {most if kind.high is None else kind.high}")


def _shown(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 40 else text[:37] + "..."
