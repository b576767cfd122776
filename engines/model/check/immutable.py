"""Types that values may have: deeply immutable ones, checked field by field when a family is defined.

Allowed are None, bool, int, float, str, bytes, `Blob`, enumerations, literals, references, tuples, unions and `Map`s of
these, and frozen structs whose fields are of these types. Every other type is refused by name; for a mutable type the
text names the one to use instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from operator import is_
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from ..blob import Blob
from ..conform import conform, is_struct
from ..conform_leaves import ConformError
from ..forms import is_union, struct_fields
from ..map import Map
from ..place import Place, of_class, of_field

PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, Blob})

INSTEAD: Final[dict[Any, str]] = {
    list: "use tuple[T, ...]",
    dict: "use Map[K, V]",
    set: "use Map[T, None] or a tuple",
    frozenset: "its order follows the hash seed; use Map[T, None] or a tuple",
    bytearray: "use bytes or Blob",
    memoryview: "use bytes or Blob",
    Any: "name the type",
    object: "name the type",
    tuple: "say of what: tuple[T, ...]",
    Map: "say of what: Map[K, V]",
}


Locate: TypeAlias = Callable[[], Place]


class Fault(NamedTuple):
    """A type that no value may have, and where it is declared."""

    place: Place
    text: str


def faults(form: Any, where: str, place: Locate, seen: set[Any] | None = None) -> Iterator[Fault]:
    """Every type within `form`, however deep, that is not immutable. `where` names the value of that type.

    `place` finds the declaration; it is called only when something is wrong, since finding a line reads a file.
    """
    seen = set() if seen is None else seen
    origin, parts = get_origin(form), get_args(form)
    if origin is Annotated:
        yield from faults(parts[0], where, place, seen)
    elif is_union(form) or origin is tuple:
        for part in parts:
            if part is not Ellipsis:
                yield from faults(part, where, place, seen)
    elif origin is Map:
        yield from _key_faults(parts[0], where, place)
        for part in parts:
            yield from faults(part, where, place, seen)
    elif is_struct(origin or form):
        for part in parts:
            yield from faults(part, where, place, seen)
        yield from _struct_faults(origin or form, where, place, seen)
    elif hasattr(form, "__supertype__"):
        yield from faults(form.__supertype__, where, place, seen)
    elif not _is_plain(form):
        yield Fault(place(), f"{where}: {_name(form)} is {_reason(origin or form)}")


def _struct_faults(kind: type[msgspec.Struct], where: str, place: Locate, seen: set[Any]) -> Iterator[Fault]:
    if kind in seen:
        return
    seen.add(kind)
    if not kind.__struct_config__.frozen:
        yield Fault(of_class(kind), f"{where}: {kind.__name__} is not frozen; derive it from Value, Message or Config")
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception as error:
        yield Fault(of_class(kind), f"{kind.__name__}: a field's annotation cannot be read at run time: {error}")
        return
    found = False
    for name in kind.__struct_fields__:
        if not isinstance(hints[name], TypeVar):
            for fault in faults(hints[name], f"{kind.__name__}.{name}", partial(of_field, kind, name), seen):
                found = True
                yield fault
    if not found:
        yield from _default_faults(kind)


def _default_faults(kind: type[msgspec.Struct]) -> Iterator[Fault]:
    """Defaults that do not fit their fields."""
    for field in struct_fields(kind):
        if field.default is not msgspec.NODEFAULT and not isinstance(field.type, TypeVar):
            try:
                conform(field.default, field.type)
            except ConformError as error:
                yield Fault(of_field(kind, field.name), f"{kind.__name__}.{field.name}: its default {error}")


def _key_faults(form: Any, where: str, place: Locate) -> Iterator[Fault]:
    """Types that cannot be keys of a `Map`: values of different types must differ there, and 1 == True == 1.0."""
    for part in get_args(form) if is_union(form) else (form,):
        if part in (bool, float, Blob) or get_origin(part) is Map:
            yield Fault(place(), f"{where}: {_name(part)} is no key of a Map; use int, str, bytes, a tuple or a Value")


def _is_plain(form: Any) -> bool:
    if form is None or form in PLAIN or get_origin(form) is Literal:
        return True
    return isinstance(form, type) and issubclass(form, Enum)


def _reason(form: Any) -> str:
    if form in INSTEAD:
        kind = "not a type of values" if form in (Any, object, tuple, Map, frozenset) else "mutable"
        return f"{kind}; {INSTEAD[form]}"
    return "not a type of values; make it a Value"


def _name(form: Any) -> str:
    return str(getattr(form, "__name__", form))


def mentions(form: Any, wanted: Any, seen: set[Any] | None = None) -> bool:
    """Whether `wanted` occurs in `form`, however deep."""
    seen = set() if seen is None else seen
    kind = get_origin(form) or form
    if kind is wanted:
        return True
    if any(mentions(part, wanted, seen) for part in get_args(form) if part is not Ellipsis):
        return True
    if not is_struct(kind) or kind in seen:
        return False
    seen.add(kind)
    return any(mentions(hint, wanted, seen) for hint in get_type_hints(kind).values())


def owned(value: Any) -> Any:
    """`value` with every blob in it owning its bytes, as state requires: a view is valid during one transition only.

    A value without a blob to copy stays the same object.
    """
    match value:
        case Blob():
            return value.copy()
        case tuple():
            parts = tuple(map(owned, value))
            return value if all(map(is_, parts, value)) else parts
        case Map():
            pairs = [(key, held, owned(held)) for key, held in value.items()]
            return value.updated((key, mine) for key, held, mine in pairs if mine is not held)
        case msgspec.Struct():
            fields = [(name, getattr(value, name)) for name in value.__struct_fields__]
            copied = {name: mine for name, held in fields if (mine := owned(held)) is not held}
            return msgspec.structs.replace(value, **copied) if copied else value
    return value
