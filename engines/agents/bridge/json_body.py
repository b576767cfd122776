"""The body of a request: one JSON object, within the bounds that `engines.agents.bridge.requests` names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

from ..bus import DEPTH_MAX, VALUES_MAX
from .misfit import Misfit

_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])|(,)', re.DOTALL)
_NUMBER_CHARS_MAX: Final = 64
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_body(text: str) -> dict[str, Any]:
    """The JSON object; an empty text stands for {}. Raises Misfit."""
    if not text:
        return {}
    _check_structure(text)
    try:
        found = (_ESCAPED if "\\u" in text else _PLAIN).decode(text)
    except json.JSONDecodeError as error:
        raise Misfit("usage", "not_json", f"the body is no JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(found, dict):
        raise Misfit("usage", "not_an_object", "the body is JSON, but no object")
    return found


def _check_structure(text: str) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise _no_text()
    brackets = text.count("{") + text.count("[")
    if brackets <= DEPTH_MAX and brackets + text.count(",") < VALUES_MAX:
        return
    depth, values = 0, 1
    for match in _STRUCTURE.finditer(text):
        kind = match.lastindex
        if kind == 1:
            depth += 1
            values += 1
            if depth > DEPTH_MAX:
                raise _too_deep()
        elif kind == 2:
            depth -= 1
        elif kind == 3:
            values += 1
    if values > VALUES_MAX:
        raise Misfit("usage", "too_many_values", f"the body has more than {VALUES_MAX:,} values")


def _too_deep() -> Misfit:
    return Misfit("usage", "too_deep", f"the body has more than {DEPTH_MAX} levels")


def _no_text() -> Misfit:
    return Misfit("usage", "not_text", "the body has NUL or half of a surrogate pair in a text")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Misfit("usage", "duplicate_key", f"the key {twice[:64]!r} is there twice")
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, value in pairs:
        _check_text(name)
        _check_value(value)
    return _distinct(pairs)


def _check_value(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _check_value(item)


def _check_text(text: str) -> None:
    if "\0" in text or _SURROGATE.search(text):
        raise _no_text()


def _no_constant(word: str) -> NoReturn:
    raise Misfit("usage", "not_a_number", f"{word} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > _NUMBER_CHARS_MAX or not -(2**63) <= int(digits) < 2**63:
        raise Misfit("usage", "too_large_a_number", f"{digits[:24]}... is no whole number of 64 bits")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise Misfit("usage", "too_large_a_number", f"{digits[:24]} is beyond what a number can be")
    return number


def _decoder(pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=_no_constant, parse_int=_whole, parse_float=_real)


_PLAIN: Final = _decoder(_distinct)
"""For texts without escapes of characters by number: NUL and halves of pairs can only come by these."""

_ESCAPED: Final = _decoder(_pairs)
