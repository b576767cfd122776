"""Reading type forms at run time: flatten unions, resolve aliases, take generic structs apart."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache, wraps
from typing import Annotated, Any, Final, Never, NoReturn, TypeVar, Union, get_args, get_origin

import msgspec

Made = TypeVar("Made")

NOTHING: Final = (None, type(None), Never, NoReturn)


def members(form: Any) -> tuple[Any, ...]:
    """The classes of a union, in order, each once; none for None and Never."""
    if form in NOTHING:
        return ()
    if is_union(form):
        found = [member for part in get_args(form) for member in members(part)]
        return tuple(dict.fromkeys(found))
    return (form,)


class ShortNames:
    """Names for classes, all different; the second of a name gets a number. The same order gives the same names."""

    def __init__(self) -> None:
        self._names: dict[Any, str] = {}

    def of(self, kind: Any) -> str:
        """The name of a class here."""
        if kind not in self._names:
            same = sum(other.__name__ == kind.__name__ for other in self._names)
            self._names[kind] = kind.__name__ if not same else f"{kind.__name__}_{same + 1}"
        return self._names[kind]


def is_union(form: Any) -> bool:
    """Whether `form` is A | B, Union[A, B] or Optional[A]."""
    return get_origin(form) in (Union, types.UnionType)


def may_be_none(form: Any) -> bool:
    """Whether None is among the values of `form`."""
    return form in (None, type(None)) or (is_union(form) and any(map(may_be_none, get_args(form))))


def made_once(make: Callable[[Any], Made]) -> Callable[[Any], Made]:
    """`make`, which is called once for each type that is hashable."""
    cached = cache(make)

    @wraps(make)
    def once(form: Any) -> Made:
        try:
            return cached(form)
        except TypeError:  # a mark in it is not hashable
            return make(form)

    return once


@made_once
def struct_fields(form: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a type of structs. msgspec itself evaluates its annotations at each call."""
    return msgspec.structs.fields(form)


def bare(form: Any) -> Any:
    """`form` without `Annotated` marks around it."""
    return get_args(form)[0] if get_origin(form) is Annotated else form


def classes(form: Any) -> frozenset[type[Any]]:
    """The classes values of `form` have; NoneType for None, `Map` for `Map[K, V]`."""
    if is_union(form):
        return frozenset[type[Any]]().union(*map(classes, get_args(form)))
    form = bare(form)
    return frozenset({type(None) if form is None else get_origin(form) or form})
