"""Hypothesis strategies for what a family accepts, made from its types."""

from __future__ import annotations

import enum
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as shapes

from engines.model import Blob, Family, Map

NAMES = ["p", "q", "q#1", "e", "f", "nobody"]
"""Addresses a message may carry: two in another slot, the engine itself, and one nobody has."""


def messages(family: Family[Any, Any, Any, Any]) -> st.SearchStrategy[tuple[int, Any]]:
    """A mailbox and a message it accepts; now and then a mailbox that does not."""
    good = [
        st.tuples(st.just(box.number), values(shapes.type_info(kind)))
        for box in family.boxes.values()
        for kind in sorted(box.accepts_types, key=lambda kind: kind.__name__)
    ]
    boxes = st.sampled_from([*family.boxes, 7])
    wrong = st.tuples(boxes, st.one_of(*good).map(lambda pair: pair[1]))
    return st.one_of(*good, *good, wrong)


def configured(family: Family[Any, Any, Any, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters of the family, as builtins."""
    if family.config is None or family.config is type(None):
        return st.just({})
    return values(shapes.type_info(family.config)).map(
        lambda config: msgspec.to_builtins(config, builtin_types=(bytes,))
    )


def values(shape: shapes.Type) -> st.SearchStrategy[Any]:
    """Values of a type."""
    match shape:
        case shapes.StructType(cls=kind, fields=fields):
            return st.builds(kind, **{field.name: values(field.type) for field in fields})
        case shapes.UnionType(types=types):
            return st.one_of(*map(values, types))
        case shapes.VarTupleType(item_type=item):
            return st.lists(values(item), max_size=3).map(tuple)
        case shapes.TupleType(item_types=items):
            return st.tuples(*map(values, items))
        case shapes.FrozenSetType(item_type=item):
            return st.frozensets(values(item), max_size=3)
        case shapes.CustomType(cls=kind) if kind is Blob:
            return st.binary(max_size=20).map(Blob)
        case shapes.CustomType(cls=kind):
            assert getattr(kind, "__origin__", kind) is Map, kind
            return st.just(Map())
        case shapes.EnumType(cls=kind):
            assert issubclass(kind, enum.Enum)
            return st.sampled_from(list(kind))
        case shapes.LiteralType(values=given):
            return st.sampled_from(given)
    return _plain(shape)


def _plain(shape: shapes.Type) -> st.SearchStrategy[Any]:
    match shape:
        case shapes.IntType(ge=least):
            return st.integers(max(least or 0, 0), 12)
        case shapes.StrType():
            return st.sampled_from(NAMES)
        case shapes.BytesType(min_length=least, max_length=most):
            return st.binary(min_size=least or 0, max_size=20 if most is None else most)
        case shapes.BoolType():
            return st.booleans()
        case shapes.FloatType():
            return st.floats(0, 10)
        case shapes.NoneType():
            return st.none()
    raise AssertionError(f"no strategy for {shape}")
