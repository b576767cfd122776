"""Conformity of values that hold others: structs, tuples, maps. The checks of their contents are handed in."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple

import msgspec

from .conform_leaves import ABSENT, DEPTH_MAX, Check, ConformError, Walk, other, shown
from .forms import struct_fields
from .map import Map


class StructCheck:
    """A struct of exactly this class, field by field. Its fields are looked up at the first value: types may recur."""

    __slots__ = ("_checker", "fields", "form", "kind")

    def __init__(self, form: Any, kind: type[msgspec.Struct], checker: Callable[[Any], Check]) -> None:
        self._checker = checker
        self.form = form
        self.kind = kind
        self.fields: tuple[tuple[str, Check], ...] | None = None

    def __call__(self, value: Any, before: Any, walk: Walk) -> Any:
        """As every check."""
        if type(value) is not self.kind:
            raise other(value, self.kind.__name__)
        fields = self.fields
        if fields is None:
            found = struct_fields(self.form)
            fields = self.fields = tuple((field.name, self._checker(field.type)) for field in found)
        walk.enter(len(fields))
        is_known = type(before) is self.kind
        bent = {}
        name = ""
        try:
            for name, check in fields:
                new = getattr(value, name)
                old = getattr(before, name) if is_known else ABSENT
                if new is not old and (fit := check(new, old, walk)) is not new:
                    bent[name] = fit
        except ConformError as error:
            raise error.inside(f".{name}") from None
        walk.depth -= 1
        if bent:
            value = msgspec.structs.replace(value, **bent)
        return self._made_again(value) if hasattr(self.kind, "__post_init__") else value

    def _made_again(self, value: Any) -> Any:
        again = msgspec.structs.replace(value)
        for name in self.kind.__struct_fields__:
            if getattr(again, name) is not (held := getattr(value, name)) and getattr(again, name) != held:
                raise ConformError("__post_init__ makes another one each time it is read").inside(f".{name}")
        return value


def items_check(check: Check) -> Check:
    """A tuple of any length."""

    def check_items(value: Any, before: Any, walk: Walk) -> Any:
        if type(value) is not tuple:
            raise other(value, "tuple")
        walk.enter(len(value))
        old = before if type(before) is tuple else ()
        known = frozenset[int]() if not old else frozenset(map(id, old))
        fits = None
        for place, new in enumerate(value):
            if id(new) in known:
                continue
            try:
                fit = check(new, old[place] if place < len(old) else ABSENT, walk)
            except ConformError as error:
                raise error.inside(f"[{place}]") from None
            if fit is not new:
                fits = list(value) if fits is None else fits
                fits[place] = fit
        walk.depth -= 1
        return value if fits is None else tuple(fits)

    return check_items


def places_check(checks: tuple[Check, ...]) -> Check:
    """A tuple with a type for each place."""

    def check_places(value: Any, before: Any, walk: Walk) -> Any:
        if type(value) is not tuple:
            raise other(value, "tuple")
        if len(value) != len(checks):
            raise ConformError(f"a tuple of {len(value)} where {len(checks)} are declared")
        walk.enter(len(value))
        old = before if type(before) is tuple and len(before) == len(value) else (ABSENT,) * len(value)
        fits = []
        for place, (new, one, check) in enumerate(zip(value, old, checks, strict=True)):
            try:
                fits.append(new if new is one else check(new, one, walk))
            except ConformError as error:
                raise error.inside(f"[{place}]") from None
        walk.depth -= 1
        return value if all(map(is_, fits, value)) else tuple(fits)

    return check_places


class ConformMark(NamedTuple):
    """The mark on a map that conforms: the check it passed, and how many levels below it its values reach at most."""

    check: MapCheck
    height: int


class MapCheck:
    """A `Map`: checks the keys that were set since this check last saw the map, or one that it was made from.

    The part it skips counts in the depth by the height that was measured then; a map from before that it has not seen
    spares it nothing.
    """

    __slots__ = ("_item", "_key")

    def __init__(self, key: Check, item: Check) -> None:
        self._key = key
        self._item = item

    def __call__(self, value: Any, before: Any, walk: Walk) -> Any:
        """As every check."""
        if type(value) is not Map:
            raise other(value, "Map", " (make one of pairs: Map(...))" if isinstance(value, list | tuple) else "")
        mark, keys = value.unchecked()
        if not (isinstance(mark, ConformMark) and mark.check is self and walk.depth + 1 + mark.height <= DEPTH_MAX):
            mark, keys = ConformMark(self, 0), value.keys()
        walk.enter(2 * len(keys))
        known = before.unchecked()[0] if type(before) is Map else None
        if not (isinstance(known, ConformMark) and known.check is self and walk.depth + known.height <= DEPTH_MAX):
            known, before = ConformMark(self, 0), None
        outside, walk.deepest = walk.deepest, walk.depth + max(mark.height, known.height)
        old = before or Map[Any, Any]()
        bent = []
        for key in keys:
            new = value[key]
            try:
                fit = (self._key(key, ABSENT, walk), self._item(new, old.get(key, ABSENT), walk))
            except ConformError as error:
                raise error.inside(f"[{shown(key)}]") from None
            if fit[0] is not key or fit[1] is not new:
                bent.append((key, *fit))
        for key, fit_key, fit_item in bent:
            value = value.without(key).set(fit_key, fit_item)
        value.checked(ConformMark(self, walk.deepest - walk.depth))
        walk.deepest = max(outside, walk.deepest)
        walk.depth -= 1
        return value
