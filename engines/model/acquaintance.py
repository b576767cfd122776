"""Acquaintances: the names an engine may know. The model learns them; actions can only forget.

Names come with creation (parent, configuration, the node file), with messages (the sender, every reference inside,
however deep) and from spawning. Only strict families keep learning, since only they are bound to their acquaintances;
every engine keeps those it was born with.

References are text at run time, so they are found by type: `references_of` compiles, once for each type, what to look
at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Annotated, Any, Final, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from .environment import Environment
from .forms import is_union
from .map import Map
from .names import parse_address
from .ref import ref_to
from .trigger import Delivery

S = TypeVar("S")

Finder: TypeAlias = Callable[[Any], Iterable[str]]

ACQUAINTANCES_MAX: Final = 1_000_000
"""An engine with this many acquaintances learns no more."""


def learn_from_message(env: Environment[S], cause: Delivery[Any]) -> Environment[S]:
    """The environment with the sender and the references inside the message among the acquaintances."""
    known = learn(env.acquaintances, (cause.sender, *references_in(cause.message)))
    return env if known is env.acquaintances else env.with_acquaintances(known)


def learn(known: Map[str, None], addresses: Iterable[str]) -> Map[str, None]:
    """`known` and the names of these addresses; itself when there is nothing new or no room."""
    for address in addresses:
        name = parse_address(address)[0] if "#" in address else address
        if name not in known and len(known) < ACQUAINTANCES_MAX:
            known = known.set(name, None)
    return known


def references_in(value: object) -> Iterable[str]:
    """The addresses in a message or parameters, by the declared types of its fields."""
    kind: Any = type(value)
    finder = references_of(kind)
    return finder(value) if finder else ()


@cache
def references_of(form: Any) -> Finder | None:
    """How to find the references in a value of type `form`; None when there can be none."""
    return _finder(form, {})


def _finder(form: Any, underway: dict[Any, list[Finder]]) -> Finder | None:
    if ref_to(form) is not None:
        return lambda value: (value,)
    origin = get_origin(form)
    if origin is Annotated:
        return _finder(get_args(form)[0], underway)
    if is_union(form):
        return _in_union(form, underway)
    if origin is tuple:
        return _in_tuple(get_args(form), underway)
    if origin is Map:
        return _in_map(get_args(form), underway)
    if isinstance(form, type) and issubclass(form, msgspec.Struct):
        return _in_struct(form, underway)
    return None


def _in_struct(kind: type[msgspec.Struct], underway: dict[Any, list[Finder]]) -> Finder | None:
    if kind in underway:  # a recursive type: look it up at run time, when it is known
        return references_in
    underway[kind] = []
    hints = get_type_hints(kind, include_extras=True)
    found = [(name, _finder(hints[name], underway)) for name in kind.__struct_fields__]
    del underway[kind]
    fields = [(name, finder) for name, finder in found if finder is not None]
    if not fields:
        return None
    return lambda value: [address for name, finder in fields for address in finder(getattr(value, name))]


def _in_union(form: Any, underway: dict[Any, list[Finder]]) -> Finder | None:
    found = [(part, _finder(part, underway)) for part in get_args(form)]
    finders = [(_class_of(part), finder) for part, finder in found if finder is not None]
    if not finders:
        return None
    return lambda value: [address for kind, finder in finders if isinstance(value, kind) for address in finder(value)]


def _in_tuple(parts: tuple[Any, ...], underway: dict[Any, list[Finder]]) -> Finder | None:
    if len(parts) == 2 and parts[1] is Ellipsis:
        each = _finder(parts[0], underway)
        return (lambda value: [address for item in value for address in each(item)]) if each else None
    finders = [(place, finder) for place, part in enumerate(parts) if (finder := _finder(part, underway))]
    if not finders:
        return None
    return lambda value: [address for place, finder in finders for address in finder(value[place])]


def _in_map(parts: tuple[Any, ...], underway: dict[Any, list[Finder]]) -> Finder | None:
    return _in_tuple((tuple[parts[0], parts[1]], Ellipsis), underway) and _in_pairs(parts, underway)  # type: ignore[valid-type]


def _in_pairs(parts: tuple[Any, ...], underway: dict[Any, list[Finder]]) -> Finder:
    key, item = (_finder(part, underway) for part in parts)

    def find(value: Map[Any, Any]) -> Iterator[str]:
        for under, held in value.items():
            if key:
                yield from key(under)
            if item:
                yield from item(held)

    return find


def _class_of(form: Any) -> Any:
    if get_origin(form) is Annotated:
        return _class_of(get_args(form)[0])
    return get_origin(form) or form
