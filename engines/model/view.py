"""`view`: a value for people to read, in the types of JSON.

Bytes are "0x…" text, messages carry their type, a `Map` is an object when all its keys are text,
a list of pairs otherwise.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from .blob import Blob
from .map import Map


def view(value: object) -> Any:
    """`value` as None, bool, int, float, str, list and dict. Raises TypeError for anything but values of engines."""
    match value:
        case None | bool() | int() | float() | str():
            return value.value if isinstance(value, Enum) else value
        case bytes():
            return "0x" + value.hex()
        case Blob():
            return "0x" + bytes(value).hex()
        case Enum():
            return view(value.value)
        case tuple() | list():
            return [view(item) for item in value]
        case Map():
            return _view_pairs(value.items())
        case dict():
            return _view_pairs(tuple(value.items()))
        case msgspec.Struct():
            return _view_struct(value)
    raise TypeError(f"{type(value).__name__} is no value of an engine")


def _view_pairs(pairs: tuple[tuple[Any, Any], ...]) -> Any:
    if all(isinstance(key, str) for key, _ in pairs):
        return {key: view(item) for key, item in pairs}
    return [[view(key), view(item)] for key, item in pairs]


def _view_struct(value: msgspec.Struct) -> dict[str, Any]:
    tag = value.__struct_config__.tag
    head = {} if tag is None else {"type": tag}
    return head | {name: view(getattr(value, name)) for name in value.__struct_fields__}
