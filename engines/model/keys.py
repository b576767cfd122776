"""The keys of a `Map`: which values may be keys, and their total order.

The order is a function of the keys alone: int < str < bytes < None < enumeration member < tuple < struct; inside a type
the natural one, members by name, tuples and structs field by field, structs of different classes by name.

1, True and 1.0 are one key to Python but three values to the codec, so bool and float are refused at any depth, as are
subclasses of int, str, bytes and tuple: equal keys then have equal bytes.
"""

from collections.abc import Collection
from enum import Enum
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec

K = TypeVar("K")

PLAIN_KEYS: Final = frozenset({int, str, bytes})


def check_key(key: object) -> None:
    """Raise TypeError unless `key` is immutable, and equal only to keys of its own type."""
    kind = type(key)
    if kind in PLAIN_KEYS or key is None:
        return
    if isinstance(key, tuple) and kind is tuple:
        for part in key:
            check_key(part)
    elif isinstance(key, msgspec.Struct):
        if not (key.__struct_config__.frozen and key.__struct_config__.eq):
            raise TypeError(f"{kind.__name__} is no key of a Map: a struct is one when frozen and compared by content")
        for part in _fields(key):
            check_key(part)
    elif not isinstance(key, Enum) or isinstance(key, int | str | bytes | float | tuple):
        raise TypeError(
            f"{kind.__name__} is no key of a Map: keys are int, str, bytes, None, members of a plain Enum, "
            "and tuples and frozen structs of these"
        )


def in_order(keys: Collection[K]) -> tuple[K, ...]:
    """The keys, smallest first; all of them have passed `check_key`."""
    found: Collection[Any] = keys
    if len(found) == 1:
        return tuple(found)
    kinds = set(map(type, found))
    if kinds == {tuple}:
        kinds = set(map(type, chain.from_iterable(found)))
    if kinds <= PLAIN_KEYS:
        try:
            return tuple(sorted(found))  # where Python can compare them, it agrees with this order
        except TypeError:
            pass  # an int met a str
    return tuple(sorted(found, key=_position))


def _position(key: object) -> tuple[Any, ...]:
    """The sort key of `key`: its type's rank first, so that no two types are ever compared."""
    match key:
        case int():
            return (0, key)
        case str():
            return (1, key)
        case bytes():
            return (2, key)
        case None:
            return (3,)
        case Enum():
            return (4, *_kind_name(key), key.name)
        case tuple():
            return (5, tuple(map(_position, key)))
        case msgspec.Struct():
            return (6, *_kind_name(key), tuple(map(_position, _fields(key))))
    raise AssertionError(f"{key!r} is in a Map and has no place in its order")


def _fields(struct: msgspec.Struct) -> list[object]:
    return [getattr(struct, name) for name in struct.__struct_fields__]


def _kind_name(key: object) -> tuple[str, str]:
    return (type(key).__qualname__, type(key).__module__)
