"""Outlines: types as the cycle in C checks them. It knows exact classes, structs by field, and tuples of one type.

Values that an outline does not cover are checked by `conform`, so an outline may cover less than its type, never more.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin

import msgspec

from .conform import Conformer, conformer, has_bounds, is_struct
from .forms import is_union

CLASSES: Final[dict[Any, int]] = {int: 1, str: 2, bytes: 4, float: 8, bool: 16, NoneType: 32, None: 32}
"""The bits of `host/live/cycle/conform.h`."""


class Outline(NamedTuple):
    """A type: the bits of its plain classes, one struct and one `tuple[items, ...]` among its values, and the rest."""

    classes: int
    struct: Any
    items: Outline | None
    conformer: Conformer


def outline(form: Any) -> Outline:
    """The outline of a type of values."""
    classes, struct, items = 0, None, None
    for part in _alternatives(form):
        if part in CLASSES:
            classes |= CLASSES[part]
        elif struct is None and _is_plain_struct(part):
            struct = part
        elif items is None and get_origin(part) is tuple and get_args(part)[1:] == (Ellipsis,):
            items = outline(get_args(part)[0])
    return Outline(classes, struct, items, conformer(form))


def fields_of(struct: Any) -> list[tuple[str, Outline]]:
    """The fields of a struct's type in order: name and outline."""
    return [(field.name, outline(field.type)) for field in msgspec.structs.fields(struct)]


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
