"""The meaning of a plain YAML scalar in a node file.

YAML 1.1 reads `no` as False, `22:22` as 1342, `010` as 8, `2024-01-01` as a date and `1_000` as 1000. Here a plain
scalar is `true`, `false`, nothing (`null`, `~`, empty), a decimal integer or a decimal fraction, in the spelling that
all YAML readers share. Everything else is text, and so is everything in quotes. If a field needs another type than
text, `spelling` guesses the intended value.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**64 - 1
"""Bounds of an integer in MessagePack."""

NOT_FINITE: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""Floats that are not numbers in JSON, by their texts in JSON, node files and commands."""

Plain = str | int | float | bool | None

_WORDS: Final[dict[str, Plain]] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_FRACTION: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_DIGITS_MAX: Final = 20
"""A longer integer exceeds the bounds; it is not parsed."""

_YES: Final = frozenset({"yes", "y", "on", "true", "1"})
_NO: Final = frozenset({"no", "n", "off", "false", "0"})
_LOOSE_INTEGER: Final = re.compile(r"([-+]?)(0[oOxXbB])?([0-9a-fA-F_]+)", re.ASCII)
_BASES: Final = {"0o": 8, "0x": 16, "0b": 2}


class ScalarError(ValueError):
    """A number that no field can hold."""


def read_plain(text: str) -> Plain:
    """The value of a scalar written without quotes.

    Raises `ScalarError` for integers beyond 64 bits and for fractions beyond the range of a double.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _read_integer(text)
    if _FRACTION.fullmatch(text):
        return _read_fraction(text)
    return text


def for_json(value: Any) -> Any:
    """`value` for JSON: the floats of `NOT_FINITE` as their texts."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {key: for_json(item) for key, item in value.items()}
        case list() | tuple():
            return [for_json(item) for item in value]
        case _:
            return value


def spelling(text: str, wanted: str) -> str:
    """The probable spelling of `text` as a `wanted` (`integer`, `boolean`); empty without a guess."""
    if wanted == "boolean":
        word = text.lower()
        return "true" if word in _YES else "false" if word in _NO else ""
    if wanted == "integer" and (match := _LOOSE_INTEGER.fullmatch(text)):
        sign, prefix, digits = match.groups()
        try:
            number = int(digits.replace("_", ""), _BASES.get((prefix or "").lower(), 10))
        except ValueError:
            return ""
        return str(-number if sign == "-" else number)
    return ""


def _read_integer(text: str) -> int:
    if len(text) <= _DIGITS_MAX + 1 and INTEGER_MIN <= (number := int(text)) <= INTEGER_MAX:
        return number
    raise ScalarError("this number does not fit 64 bits; in quotes it is text")


def _read_fraction(text: str) -> float:
    number = float(text)
    if math.isfinite(number):
        return number
    raise ScalarError("this number is too large; in quotes it is text")
