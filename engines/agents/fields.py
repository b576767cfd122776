"""Fields of requests and messages: what JSON gives, read by the declared types.

Values become what `Datum` says: durations and times in ns, sizes in bytes. Text for them is taken too (`90s`, `16KiB`),
and numbers as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from .bus import REQUEST_ID
from .envelope import Json
from .protocol.model import Datum, Field, FieldType

INTEGER_MAX: Final = 2**63 - 1
STRING_CHARS_MAX: Final = 64 << 10
LIST_ITEMS_MAX: Final = 1_000

DURATIONS_NS: Final = {
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "min": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
}
SIZES_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_QUANTITY: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{32,128}", re.ASCII)


class FieldError(ValueError):
    """A value is not of its type; the text says what is expected."""


class Fitted(msgspec.Struct, frozen=True):
    """Fields as far as they fit: their values, those missing, and what is wrong with others by name."""

    values: tuple[tuple[str, Datum], ...]
    missing: tuple[str, ...]
    invalid: tuple[tuple[str, str], ...]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing or wrong."""
        return not self.missing and not self.invalid


def fitted(fields: Sequence[Field], given: Mapping[str, Json], *, allows_more: bool = False) -> Fitted:
    """What is given, by the declared fields. Unless `allows_more`, names that are not declared are wrong."""
    values: list[tuple[str, Datum]] = []
    missing: list[str] = []
    invalid: list[tuple[str, str]] = []
    for field in fields:
        if given.get(field.name) is None:
            if field.default is not None:
                values.append((field.name, field.default))
            elif not field.is_optional:
                missing.append(field.name)
            continue
        try:
            values.append((field.name, datum_of(given[field.name], field.type)))
        except FieldError as error:
            invalid.append((field.name, str(error)))
    if not allows_more:
        known = [field.name for field in fields]
        invalid += [(name, "there is no such field") for name in given if name not in known]
    return Fitted(tuple(values), tuple(missing), tuple(invalid))


def datum_of(value: Json, kind: FieldType) -> Datum:
    """The value that JSON gives for a type. Raises FieldError."""
    if kind.kind == "list":
        if not isinstance(value, list):
            raise FieldError("expected a list")
        _within(len(value), kind, "items", LIST_ITEMS_MAX)
        item = kind.item or FieldType("string")
        return tuple(_scalar(one, item) for one in value)
    return _scalar(value, kind)


def _scalar(value: Json, kind: FieldType) -> bool | int | float | str:
    return _READERS[kind.kind](value, kind)


def _boolean(value: Json, _kind: FieldType) -> bool:
    if not isinstance(value, bool):
        raise FieldError("expected true or false")
    return value


def _integer(value: Json, kind: FieldType) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INTEGER_MAX:
        raise FieldError("expected a whole number")
    _within(value, kind, "")
    return value


def _number(value: Json, kind: FieldType) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > INTEGER_MAX:
        raise FieldError("expected a number")
    _within(value, kind, "")
    return value


def _string(value: Json, kind: FieldType) -> str:
    if not isinstance(value, str):
        raise FieldError("expected text")
    _within(len(value), kind, "characters", STRING_CHARS_MAX)
    return value


def _enum(value: Json, kind: FieldType) -> str:
    if not isinstance(value, str) or value not in kind.choices:
        raise FieldError(f"expected one of {', '.join(kind.choices)}")
    return value


def _quantity(units: Mapping[str, int], example: str) -> Callable[[Json, FieldType], int]:
    def read(value: Json, kind: FieldType) -> int:
        number = quantity(value, units) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= INTEGER_MAX:
            raise FieldError(f"expected a number with a unit, such as {example}")
        _within(number, kind, "")
        return number

    return read


def quantity(text: str, units: Mapping[str, int]) -> int | None:
    """The number that a text such as `90s` stands for; None for other texts."""
    if (found := _QUANTITY.fullmatch(text.strip())) is None or found[2] not in units:
        return None
    whole, _, part = found[1].partition(".")
    return int(whole) * units[found[2]] + (int(part) * units[found[2]] // 10 ** len(part) if part else 0)


def _id(value: Json, _kind: FieldType) -> str:
    if not isinstance(value, str) or not REQUEST_ID.fullmatch(value):
        raise FieldError("expected an identifier of at most 64 letters, digits and _ . : -")
    return value


def _digest(value: Json, _kind: FieldType) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise FieldError("expected a digest in hexadecimal digits")
    return value


def _path(value: Json, kind: FieldType) -> str:
    text = _string(value, kind)
    parts = text.split("/")
    if not text or "\0" in text or text.startswith("/") or ".." in parts:
        raise FieldError("expected a relative path inside the workspace")
    return text


def _within(value: int | float, kind: FieldType, of: str, most: int | None = None) -> None:
    high = kind.high if kind.high is not None else most
    unit = f" {of}" if of else ""
    if kind.low is not None and value < kind.low:
        raise FieldError(f"{value}{unit} is below {kind.low}")
    if high is not None and value > high:
        raise FieldError(f"{value}{unit} is above {high}")


_READERS: Final[dict[str, Callable[[Json, FieldType], bool | int | float | str]]] = {
    "bool": _boolean,
    "int": _integer,
    "number": _number,
    "string": _string,
    "enum": _enum,
    "duration": _quantity(DURATIONS_NS, "90s"),
    "size": _quantity(SIZES_BYTES, "16KiB"),
    "time": _integer,
    "id": _id,
    "digest": _digest,
    "path": _path,
}
