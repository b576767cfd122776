"""Conformity: whether a value is exactly what its bytes read back give, by the type its place declares.

What may live here: the checks, one compiled for each type, and `conform`, which runs one. `law` decides which values
are checked, and when.

How it works. A check gets a value, the value that was in its place before, and the walk it is part of. It returns the
value, or raises `ConformError` with the path to the culprit. Types are compared exactly: a bool is no int, and a
subclass of a struct would be read back as the struct. One thing only is bent: an int in a float's place becomes the
float that its bytes would give, and the structs, tuples and maps around it are then made anew. A value that *is* the
object that was there before is skipped, so a transition pays for what it changed. Fields are compared by place, items
of a tuple with all items of the old one. A `Map` knows which keys were set since it last conformed (`Map.unchecked`).

The awkward case: a struct with a `__post_init__` runs it again when it is read. Such a struct is made a second time
from its fields, and has to come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from .conform_leaves import (
    ABSENT,
    SCALARS,
    Check,
    ConformError,
    Walk,
    check_plain,
    exactly,
    kind_name,
    literal,
    other,
    shown,
)
from .conform_parts import MapCheck, StructCheck, items_check, places_check
from .forms import is_union, made_once, struct_fields
from .map import Map

Conformer: TypeAlias = Callable[..., Any]
"""From a value, the value in its place before if there was one, and its depth, to the value in its form. Raises
`ConformError`."""

META_BOUNDS: Final = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")


def conform(value: Any, form: Any, before: Any = ABSENT) -> Any:
    """`value` itself, or with floats for ints where `form` says float.

    `before` conforms, and was in the place of `value`; parts of `value` that are the same objects there are skipped.

    Raises:
        ConformError: the value could not be written, or its bytes, read back as a `form`, would give another one.
    """
    return conformer(form)(value, before)


@made_once
def conformer(form: Any) -> Conformer:
    """`conform` for one type, to be called often."""
    check = checker(form)

    def conforming(value: Any, before: Any = ABSENT, depth: int = 0) -> Any:
        try:
            return value if value is before else check(value, before, Walk(depth))
        except ConformError as error:
            if error.path:
                error.inside(kind_name(type(value)))
            raise

    return conforming


def conforming_reader(form: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`read`, a decoder of `form`, made to return values that conform, even where a field takes its default.

    The codec ensures that except for defaults: `level: float = 0` gives an int. It raises msgspec.ValidationError.
    """
    if not any(map(_has_odd_default, _structs_in(form, set()))):
        return read
    conforming = conformer(form)

    def read_in_form(payload: Any) -> Any:
        try:
            return conforming(read(payload))
        except ConformError as error:
            raise msgspec.ValidationError(str(error)) from error

    return read_in_form


def _structs_in(form: Any, seen: set[Any]) -> Iterator[Any]:
    """Every struct type within `form`, however deep."""
    if is_struct(get_origin(form) or form) and form not in seen:
        seen.add(form)
        yield form
        for field in struct_fields(form):
            yield from _structs_in(field.type, seen)
    for part in get_args(form):
        yield from _structs_in(part, seen)


def _has_odd_default(form: Any) -> bool:
    """Whether a struct has a default that does not conform as it is, or a default factory."""
    for field in struct_fields(form):
        if field.default_factory is not msgspec.NODEFAULT:
            return True
        if field.default is not msgspec.NODEFAULT and not _conforms(field.default, field.type):
            return True
    return False


def _conforms(value: Any, form: Any) -> bool:
    try:
        return conform(value, form) is value
    except ConformError:
        return False


def is_struct(kind: Any) -> bool:
    """Whether `kind` is a class of structs."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


@made_once
def checker(form: Any) -> Check:
    """The check of a type."""
    origin, parts = get_origin(form), get_args(form)
    if form in SCALARS:
        return SCALARS[form]
    if form is Any:
        return check_any
    if isinstance(form, TypeVar):
        return checker(form.__bound__) if form.__bound__ is not None else check_plain
    if hasattr(form, "__supertype__"):
        return checker(form.__supertype__)
    if origin is Annotated:
        return _bounded(parts[0], parts[1:])
    if is_union(form):
        return _union(parts)
    if origin is Literal:
        return literal(parts)
    if origin is tuple:
        if len(parts) == 2 and parts[1] is Ellipsis:
            return items_check(checker(parts[0]))
        return places_check(tuple(checker(part) for part in parts if part != ()))
    if origin is Map:
        return MapCheck(*map(checker, parts))
    kind = origin or form
    return StructCheck(form, kind, checker) if is_struct(kind) else exactly(kind, kind.__name__)


def check_any(value: Any, _before: Any, walk: Walk) -> Any:
    """A value without a declared type, such as a field of a note: it must be one that can be written."""
    kind = type(value)
    if kind in SCALARS:
        return SCALARS[kind](value, ABSENT, walk)
    if kind is tuple:
        return items_check(check_any)(value, ABSENT, walk)
    if kind is Map:
        return MapCheck(check_any, check_any)(value, ABSENT, walk)
    if isinstance(value, msgspec.Struct | Enum):
        return checker(kind)(value, ABSENT, walk)
    raise ConformError(f"{shown(value)} is no value of an engine")


def has_bounds(marks: Iterable[Any]) -> bool:
    """Whether any of the marks of an annotation bounds its values."""
    bounds = [mark for mark in marks if isinstance(mark, msgspec.Meta)]
    return any(getattr(mark, name) is not None for mark in bounds for name in META_BOUNDS)


def _bounded(form: Any, marks: tuple[Any, ...]) -> Check:
    """A type marked with bounds; the codec compares them, as it does when it reads."""
    check = checker(form)
    if not has_bounds(marks):
        return check
    carrier: Any = tuple[Any, ...] if get_origin(form) is tuple else form
    bounds: Any = Annotated[carrier, *marks]
    return lambda value, before, walk: _within(check(value, before, walk), bounds)


def _within(value: Any, bounds: Any) -> Any:
    try:
        msgspec.convert(value, bounds)
    except msgspec.ValidationError as error:
        raise ConformError(f"{shown(value)}: {error}") from None
    return value


def _union(parts: tuple[Any, ...]) -> Check:
    """Choose the check by the value's exact type; an int is a float only where no other alternative takes it."""
    found: dict[type[Any], list[Check]] = {}
    for part in parts:
        for kind in _classes(part):
            found.setdefault(kind, []).append(checker(part))
    if float in found:
        found.setdefault(int, found[float])
    checks = {kind: some[0] if len(some) == 1 else _any_of(some) for kind, some in found.items()}
    wanted = " or ".join(dict.fromkeys(kind.__name__ for kind in checks)).replace("NoneType", "None")

    def check(value: Any, before: Any, walk: Walk) -> Any:
        one = checks.get(type(value))
        if one is None:
            raise other(value, wanted)
        return one(value, before, walk)

    return check


def _classes(form: Any) -> Iterator[type[Any]]:
    """The classes of the values of a type."""
    origin = get_origin(form)
    if origin is Annotated:
        yield from _classes(get_args(form)[0])
    elif hasattr(form, "__supertype__"):
        yield from _classes(form.__supertype__)
    elif is_union(form):
        for part in get_args(form):
            yield from _classes(part)
    elif origin is Literal:
        yield from map(type, get_args(form))
    elif isinstance(form, TypeVar):
        yield from (NoneType, bool, int, float, str, bytes) if form.__bound__ is None else _classes(form.__bound__)
    else:
        yield NoneType if form is None else origin or form


def _any_of(checks: list[Check]) -> Check:
    """The first check that passes, for types whose values share a class."""

    def check(value: Any, before: Any, walk: Walk) -> Any:
        for one in checks[:-1]:
            try:
                return one(value, before, walk)
            except ConformError:
                continue
        return checks[-1](value, before, walk)

    return check
