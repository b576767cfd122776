"""Outlines: types as they are checked in C: exact classes, structs by field, tuples, and maps.

A map is checked in C only if C can check all that it may hold, since the check of a map measures how deep that is.

Values that an outline does not cover are checked by `conform`, so an outline may cover less than its type, never more.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

from .conform import Conformer, checker, conformer, has_bounds, is_struct
from .forms import is_union, made_once, struct_fields
from .map import Map

CLASSES: Final[dict[Any, int]] = {int: 1, str: 2, bytes: 4, float: 8, bool: 16, NoneType: 32, None: 32}
"""The bits of `conform.h`."""


class Outline(NamedTuple):
    """A type: the bits of its plain classes, structs (the first, and the outlines of `others`), one tuple and one map
    among its values, `words` that literals allow, and the rest.

    A tuple has `items` of one type, or a type for each of its `places`.
    """

    classes: int
    struct: Any
    items: Outline | None
    conformer: Conformer
    map: MapOutline | None = None
    places: tuple[Outline, ...] | None = None
    others: tuple[Outline, ...] = ()
    words: frozenset[str] | None = None


class MapOutline(NamedTuple):
    """A map: its own check, which marks the maps that it has seen, and the outlines of keys and values."""

    check: Any
    key: Outline
    item: Outline


@made_once
def outline(form: Any) -> Outline:
    """The outline of a type of values."""
    classes, items, mapped, places = 0, None, None, None
    structs: list[Any] = []
    words: frozenset[str] = frozenset()
    for part in _alternatives(form):
        if part in CLASSES:
            classes |= CLASSES[part]
        elif _is_plain_struct(part):
            structs.append(part)
        elif get_origin(part) is Literal:
            words |= {word for word in get_args(part) if type(word) is str}
        elif items is None and places is None and get_origin(part) is tuple:
            if get_args(part)[1:] == (Ellipsis,):
                items = outline(get_args(part)[0])
            else:
                places = tuple(outline(one) for one in get_args(part) if one != ())
        elif mapped is None and get_origin(part) is Map and all(map(_is_covered, get_args(part))):
            mapped = MapOutline(checker(part), *map(outline, get_args(part)))
    others = tuple(map(outline, structs[1:]))
    return Outline(
        classes, structs[0] if structs else None, items, conformer(form), mapped, places, others, words or None
    )


def _is_covered(form: Any, within: tuple[Any, ...] = ()) -> bool:
    """Whether an outline covers every value of a type: `conform` gets literals only, and no struct holds itself."""
    parts = list(_alternatives(form))
    structs = [part for part in parts if _is_plain_struct(part)]
    tuples, maps = ([part for part in parts if get_origin(part) is kind] for kind in (tuple, Map))
    plain = [part for part in parts if part in CLASSES or get_origin(part) is Literal]
    covered = len(structs) + len(tuples) + len(maps) + len(plain)
    if max(len(structs), len(tuples), len(maps)) > 1 or covered < len(parts):
        return False
    if _is_bounded(form):
        return False
    if any(struct in within for struct in structs):
        return False
    fields = [field.type for struct in structs for field in struct_fields(struct)]
    held = [*fields, *(one for part in (*tuples, *maps) for one in get_args(part) if one is not Ellipsis and one != ())]
    return all(_is_covered(one, (*within, *structs)) for one in held)


def _is_bounded(form: Any) -> bool:
    """Whether a mark restricts some of the values of a type, so that their outline is left out."""
    if is_union(form):
        return any(map(_is_bounded, get_args(form)))
    if hasattr(form, "__supertype__"):
        return _is_bounded(form.__supertype__)
    return get_origin(form) is Annotated and (has_bounds(get_args(form)[1:]) or _is_bounded(get_args(form)[0]))


def fields_of(struct: Any) -> list[tuple[str, Outline]]:
    """The fields of a struct's type in order: name and outline."""
    return [(field.name, outline(field.type)) for field in struct_fields(struct)]


def _alternatives(form: Any) -> Iterator[Any]:
    """The members of a union, without marks that do not restrict values."""
    if is_union(form):
        for part in get_args(form):
            yield from _alternatives(part)
    elif hasattr(form, "__supertype__"):
        yield from _alternatives(form.__supertype__)
    elif get_origin(form) is not Annotated:
        yield form
    elif not has_bounds(get_args(form)[1:]):
        yield from _alternatives(get_args(form)[0])


def _is_plain_struct(form: Any) -> bool:
    kind = get_origin(form) or form
    return is_struct(kind) and not hasattr(kind, "__post_init__")
