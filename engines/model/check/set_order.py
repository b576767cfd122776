"""Where code uses the order of a set.

An expression is a set if it is written as one, made by `set`, `frozenset` or an operation on sets, annotated as one, or
refers to one that exists. Its order is used by a loop, a comprehension, an unpacking, `pop`, a text of it, and by
functions that keep the order of their argument (`list`, `enumerate`, `"".join`). It is not used by those for which all
orders are one (`sorted`, `len`, `sum`, `Map`, another set), however many comprehensions lie between.

Limits, for the sake of few false alarms: a set behind an attribute or a parameter without an annotation is not seen,
and a sort by a key that two elements share counts as a sort. The determinism run may still find these.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType
from typing import Any, Final

from ..map import Map
from .meaning import Scope

FORMS: Final = frozenset({"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"})
COMBINING: Final = frozenset({"union", "intersection", "difference", "symmetric_difference"})
BLIND: Final[frozenset[Any]] = frozenset({sorted, set, frozenset, len, any, all, sum, min, max, bool, Map, isinstance})
"""Functions whose result is the same for every order of their argument."""
BLIND_METHODS: Final = frozenset(
    {*COMBINING, "intersection_update", "difference_update", "symmetric_difference_update"}
    | {"issubset", "issuperset", "isdisjoint"}
)
KEEPING: Final[frozenset[Any]] = frozenset({list, tuple, iter, enumerate, zip, map, filter, str, repr, dict, format})
KEEPING_NAMES: Final = ("itertools.", "collections.deque", "functools.reduce", "collections.OrderedDict")
KEEPING_METHODS: Final = frozenset({"join", "extend", "extendleft", "writelines", "fromkeys"})
PASSING: Final[frozenset[Any]] = frozenset({list, tuple, iter, map, filter})
"""Functions whose result has an order only as far as their argument has one."""

OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
DEPTH_MAX: Final = 8
Comprehension = ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp


def order_uses(code: ast.AST, scope: Scope) -> Iterator[ast.expr]:
    """The sets within the code whose order is used."""
    reader = _Sets(scope)
    parts = list(ast.walk(code))
    for part in parts:
        reader.absolve_arguments(part)
    for part in parts:
        for used in reader.used_by(part):
            if used not in reader.absolved and reader.is_set(used):
                yield used


class _Sets:
    """The sets of a scope; `absolved` are expressions whose order does not show."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.absolved: set[ast.expr] = set()

    def is_set(self, node: ast.expr, depth: int = 0) -> bool:
        """Whether an expression is known to be a set."""
        if depth > DEPTH_MAX:
            return False
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, OPERATORS):
                return any(self.is_set(side, depth + 1) or _is_view(side) for side in (left, right))
            case ast.IfExp(body=first, orelse=second):
                return self.is_set(first, depth + 1) or self.is_set(second, depth + 1)
            case ast.BoolOp(values=values):
                return any(self.is_set(value, depth + 1) for value in values)
            case ast.NamedExpr(value=value):
                return self.is_set(value, depth + 1)
            case ast.Call():
                return self._makes_set(node, depth)
            case ast.Name(id=name):
                return self._names_set(name, node, depth)
            case ast.Attribute():
                return isinstance(self.scope.meaning(node).value, set | frozenset)
        return False

    def absolve_arguments(self, part: ast.AST) -> None:
        """Note the sets whose order cannot show, because of what takes them."""
        match part:
            case ast.Call(func=function, args=arguments) if self._is_blind(function):
                for argument in arguments:
                    self._absolve(argument)
            case ast.Compare(ops=ops, comparators=others):
                for op, other in zip(ops, others, strict=True):
                    if isinstance(op, ast.In | ast.NotIn):
                        self._absolve(other)
            case ast.SetComp():
                self._absolve(part)
            case ast.Set(elts=elements):
                for element in elements:
                    if isinstance(element, ast.Starred):
                        self._absolve(element)

    def used_by(self, part: ast.AST) -> Iterator[ast.expr]:
        """The expressions whose order a node uses, should they be sets."""
        match part:
            case ast.For(iter=used) | ast.AsyncFor(iter=used) | ast.comprehension(iter=used):
                yield used
            case ast.Starred(value=used, ctx=ast.Load()) | ast.YieldFrom(value=used) | ast.FormattedValue(value=used):
                yield used
            case ast.Assign(targets=targets, value=used) if any(isinstance(t, ast.Tuple | ast.List) for t in targets):
                yield used
            case ast.AugAssign(op=ast.Add(), value=used):
                yield used
            case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod(), right=right):
                yield from right.elts if isinstance(right, ast.Tuple) else [right]
            case ast.Call(func=ast.Attribute(value=base, attr="pop"), args=[]):
                yield base
            case ast.Call(func=function, args=arguments) if self._keeps_order(function):
                yield from arguments

    def _absolve(self, node: ast.expr) -> None:
        self.absolved.add(node)
        match node:
            case ast.Starred(value=value):
                self._absolve(value)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                for generator in node.generators:
                    self._absolve(generator.iter)
            case ast.Call(func=function, args=arguments):
                if self._is(function, PASSING) or self.scope.meaning(function).name.startswith("itertools.chain"):
                    for argument in arguments:
                        self._absolve(argument)

    def _is_blind(self, function: ast.expr) -> bool:
        return self._is(function, BLIND) or (isinstance(function, ast.Attribute) and function.attr in BLIND_METHODS)

    def _keeps_order(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute) and function.attr in KEEPING_METHODS:
            return True
        return self._is(function, KEEPING) or self.scope.meaning(function).name.startswith(KEEPING_NAMES)

    def _is(self, function: ast.expr, those: frozenset[Any]) -> bool:
        value = self.scope.meaning(function).value
        return any(value is one for one in those)

    def _makes_set(self, call: ast.Call, depth: int) -> bool:
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr in {*COMBINING, "copy"}:
            return self.is_set(function.value, depth + 1)
        value = self.scope.meaning(function).value
        if value is set or value is frozenset:
            return True
        return isinstance(value, FunctionType) and _is_set_form(value.__annotations__.get("return"))

    def _names_set(self, name: str, node: ast.Name, depth: int) -> bool:
        if self.scope.is_own(name):
            if name in self.scope.annotated:
                return _is_set_form(ast.unparse(self.scope.annotated[name]))
            values = self.scope.assigned.get(name, [])
            return bool(values) and all(value is not None and self.is_set(value, depth + 1) for value in values)
        return isinstance(self.scope.meaning(node).value, set | frozenset)


def _is_set_form(form: object) -> bool:
    """Whether an annotation, as text or as a type, says set."""
    text = form if isinstance(form, str) else str(getattr(form, "__name__", form))
    return text.partition("[")[0].rpartition(".")[2] in FORMS


def _is_view(node: ast.expr) -> bool:
    """The keys or items of a `dict`, which combine into a set; those of a `Map` are tuples, which do not combine."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")
