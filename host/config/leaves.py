"""Readers that convert single values of a node file to scalar types; they take the value and its field's unit."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Final

from engines.model.blob import Blob

from .scalars import NOT_FINITE, spelling
from .units import parse_quantity


class LeafError(ValueError):
    """A value of the wrong type. The text completes "expected …"; `suggestion` may be empty."""

    def __init__(self, expected: str, suggestion: str = "") -> None:
        super().__init__(expected)
        self.suggestion = suggestion


NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "`true` or `false`",
    bytes: "bytes (`0x…` or text)",
    Blob: "bytes (`0x…` or text)",
    None: "nothing",
    types.NoneType: "nothing",
}
"""The scalar types, in words for a message."""


def _read_text(value: Any, _unit: str) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(str, _quotes(value))


def _read_boolean(value: Any, _unit: str) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(bool, _spelt(value, "boolean"))


def _read_integer(value: Any, unit: str) -> int:
    """Also accepts hex digits, and for a field with a unit `500ms` and the like. Raises `UnitError` too."""
    if isinstance(value, str) and value.startswith("0x") and (number := spelling(value, "integer")):
        return int(number)
    if isinstance(value, str) and unit:
        return parse_quantity(value, unit)
    return read_whole_number(value)


def read_whole_number(value: Any, _unit: str = "") -> int:
    """No text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong(int, _spelt(value, "integer"))


def _read_number(value: Any, _unit: str) -> float:
    """Also accepts `nan`, `inf` and `-inf`."""
    if isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise _wrong(float)


def _read_bytes(value: Any, _unit: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise _wrong(bytes, _quotes(value))
    if not value.startswith("0x"):
        return value.encode()
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise LeafError("pairs of hex digits after `0x`") from None


def _read_blob(value: Any, unit: str) -> Blob:
    return value if isinstance(value, Blob) else Blob(_read_bytes(value, unit))


def _read_nothing(value: Any, _unit: str) -> None:
    if value is not None:
        raise _wrong(None)


LEAVES: Final[dict[Any, Callable[[Any, str], Any]]] = {
    str: _read_text,
    bool: _read_boolean,
    int: _read_integer,
    float: _read_number,
    bytes: _read_bytes,
    Blob: _read_blob,
    None: _read_nothing,
    types.NoneType: _read_nothing,
}
"""Readers by type. They raise `LeafError` or `UnitError`; both have a `suggestion`."""


def _wrong(kind: Any, suggestion: str = "") -> LeafError:
    return LeafError(NAMES[kind], suggestion)


def _quotes(value: Any) -> str:
    return "in quotes it is text" if isinstance(value, int | float) else ""


def _spelt(value: Any, wanted: str) -> str:
    guess = spelling(value, wanted) if isinstance(value, str) else ""
    return f"did you mean `{guess}`?" if guess else ""
