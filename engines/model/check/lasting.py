"""Where code changes an object that outlives the transition: a global, a class, what it closes over, a mutable default.

Reading such objects is fine: a table is a `dict` that nobody changes. A change is an assignment or deletion through the
object, an assignment to a name declared `global` (or `nonlocal`, of a function around the rule), a method that is known
to change its object, and a step of an iterator.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from typing import Final

from .meaning import UNKNOWN, Meaning, Scope, names_in

CHANGING: Final = frozenset(
    {"append", "appendleft", "extend", "extendleft", "insert", "pop", "popleft", "popitem", "remove", "clear", "sort"}
    | {"reverse", "rotate", "update", "setdefault", "add", "discard", "move_to_end", "subtract"}
    | {"difference_update", "intersection_update", "symmetric_difference_update"}
    | {"__setitem__", "__delitem__", "__iadd__"}
)
"""Methods of the containers of Python that change them."""

CONTAINERS: Final = (list, dict, set, bytearray, deque)

GENERATORS_OF_CHANCE: Final = ("random.Random", "numpy.random.Generator", "numpy.random.RandomState")
"""Every method of such an object changes it."""


def lasting_changes(code: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, str]]:
    """The places within the code that change a lasting object, and its name."""
    for part in ast.walk(code):
        match part:
            case ast.Assign(targets=targets):
                yield from _assigned(part, targets, scope)
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
                yield from _assigned(part, [target], scope)
            case ast.For(target=target, iter=stepped) | ast.comprehension(target=target, iter=stepped):
                yield from _assigned(target, [target], scope)
                yield from _stepped(stepped, stepped, scope)
            case ast.withitem(optional_vars=ast.expr() as target):
                yield from _assigned(target, [target], scope)
            case ast.Delete(targets=targets):
                yield from _assigned(part, targets, scope)
            case ast.Call(func=ast.Attribute(value=base, attr=attr)):
                owner = scope.meaning(base)
                if owner.outlives and _changes(owner, attr):
                    yield part, ast.unparse(base)
            case ast.Call(func=function, args=[first, *_]) if scope.meaning(function).value is next:
                yield from _stepped(part, first, scope)


def _assigned(part: ast.AST, targets: list[ast.expr], scope: Scope) -> Iterator[tuple[ast.AST, str]]:
    for name in names_in(targets):
        if name in scope.outer:
            yield part, name
    for target in targets:
        for place in ast.walk(target):
            if isinstance(place, ast.Attribute | ast.Subscript) and not isinstance(place.ctx, ast.Load):
                owner = scope.meaning(place.value)
                if owner.outlives and owner.value is not UNKNOWN:
                    yield part, ast.unparse(place.value)


def _stepped(part: ast.AST, stepped: ast.expr, scope: Scope) -> Iterator[tuple[ast.AST, str]]:
    """An iterator that is taken a step, or run through."""
    owner = scope.meaning(stepped)
    if owner.outlives and hasattr(type(owner.value), "__next__"):
        yield part, ast.unparse(stepped)


def _changes(owner: Meaning, attr: str) -> bool:
    value = owner.value
    if isinstance(value, CONTAINERS):
        return attr in CHANGING
    if isinstance(value, type) or value is UNKNOWN:
        return False
    if owner.name in GENERATORS_OF_CHANCE:
        return True
    return attr in ("__next__", "send") and hasattr(type(value), "__next__")
