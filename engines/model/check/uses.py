"""What one piece of code does that a rule may not, and what it refers to.

A use is the longest dotted chain of names: `os.environ.get` is one, and so is each of `time.time_ns` and `t.now_ns`.
Annotations, decorators and the types in `except` are no uses; default arguments are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import ModuleType
from typing import Final, NamedTuple

from .impure import IMPURE_BARE, PURE_WITH, kind_of
from .lasting import lasting_changes
from .meaning import Meaning, Scope
from .set_order import order_uses

WIDTH_MAX: Final = 60
"""Characters of an expression in a finding."""

PLAIN_NUMBERS: Final = frozenset({"builtins.len", "builtins.int", "builtins.ord", "builtins.bool"})
"""Functions whose result has the same hash in each process."""


class Use(NamedTuple):
    """A chain of names, what it means, and whether it is called."""

    node: ast.expr
    meaning: Meaning
    call: ast.Call | None


class Offence(NamedTuple):
    """A use that breaks determinism: its line, its kind, its expression, and its dotted name if it has one."""

    line: int
    kind: str
    text: str
    name: str = ""


def body_of(code: ast.AST) -> ast.AST:
    """The part of a function or class that runs: without annotations and decorators, and without a class's methods."""
    match code:
        case ast.FunctionDef(args=args, body=body) | ast.AsyncFunctionDef(args=args, body=body):
            return _joined([*_defaults(args)], body)
        case ast.Lambda(args=args, body=body):
            return _joined([*_defaults(args), body], [])
        case ast.ClassDef(body=body):
            return _joined([], [part for part in body if not isinstance(part, ast.FunctionDef | ast.ClassDef)])
    return code


def uses(body: ast.AST, scope: Scope) -> Iterator[Use]:
    """Every use in a body, with its meaning; of `a.b.c` also `a.b` and `a`."""
    todo = [body]
    while todo:
        node = todo.pop()
        match node:
            case ast.Call(func=ast.Name() | ast.Attribute() as function):
                yield from _chain(function, scope, node, todo)
                todo += [*node.args, *(keyword.value for keyword in node.keywords)]
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
                yield from _chain(node, scope, None, todo)
            case ast.AnnAssign(target=target, value=value):
                todo += [target, *([value] if value is not None else [])]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                todo.append(body_of(node))
            case ast.ExceptHandler(body=handled):
                todo += handled
            case ast.arguments():
                todo += _defaults(node)
            case _:
                todo += ast.iter_child_nodes(node)


def offences(body: ast.AST, scope: Scope, found: list[Use]) -> Iterator[Offence]:
    """What a body does that a rule may not; `found` are its uses."""
    reported: set[ast.expr] = set()
    for use in found:
        kind = "" if use.node in reported else _kind(use, scope)
        if kind:
            reported |= {*_links(use.node)}
            yield Offence(use.node.lineno, kind, _text(use), use.meaning.name)
    for used in order_uses(body, scope):
        yield Offence(used.lineno, "set-order", _short(used))
    for place, name in lasting_changes(body, scope):
        yield Offence(getattr(place, "lineno", 0), "memory", name)


def _kind(use: Use, scope: Scope) -> str:
    name, call = use.meaning.name, use.call
    if not name or isinstance(use.meaning.value, ModuleType) or _is_reported_above(use.node, scope):
        return ""
    given = len(call.args) + len(call.keywords) if call is not None else 0
    if call is not None and given >= PURE_WITH.get(name, given + 1):
        return ""
    if call is not None and given == 0 and name in IMPURE_BARE and isinstance(use.meaning.value, type):
        return IMPURE_BARE[name]
    if name == "builtins.hash" and call is not None and all(_is_number(one, scope) for one in call.args):
        return ""
    return kind_of(name)


def _is_reported_above(node: ast.expr, scope: Scope) -> bool:
    """Whether a chain begins with a local name whose own expression is an offence."""
    *_, first = _links(node)
    if not isinstance(first, ast.Name) or first.id not in scope.assigned or first.id in scope.held:
        return False
    return first is node or bool(kind_of(scope.meaning(first).name))


def _links(node: ast.expr) -> Iterator[ast.expr]:
    """A chain and its beginnings, through calls: of `a.b().c`, also `a.b()`, `a.b` and `a`."""
    while True:
        yield node
        match node:
            case ast.Attribute(value=inner) | ast.Call(func=inner):
                node = inner
            case _:
                return


def _is_number(node: ast.expr, scope: Scope) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case ast.Call(func=function):
            return scope.meaning(function).name in PLAIN_NUMBERS
        case ast.BinOp(left=left, right=right):
            return _is_number(left, scope) and _is_number(right, scope)
        case ast.Name(id=name):
            return isinstance(form := scope.annotated.get(name), ast.Name) and form.id in ("int", "float", "bool")
    return False


def _chain(node: ast.expr, scope: Scope, call: ast.Call | None, todo: list[ast.AST]) -> Iterator[Use]:
    """A chain and its beginnings, the longest first; what a chain begins with, if it is no name, is left to do."""
    while isinstance(node, ast.Attribute):
        yield Use(node, scope.meaning(node), call)
        node, call = node.value, None
    if isinstance(node, ast.Name):
        yield Use(node, scope.meaning(node), call)
    else:
        todo.append(node)


def _defaults(args: ast.arguments) -> list[ast.expr]:
    return [*args.defaults, *(one for one in args.kw_defaults if one is not None)]


def _joined(values: list[ast.expr], body: list[ast.stmt]) -> ast.AST:
    return ast.Module([*(ast.Expr(value) for value in values), *body], [])


def _text(use: Use) -> str:
    """The expression, with its dotted name where that says more: `now() (time.time_ns)`."""
    name = use.meaning.name.removeprefix("builtins.")
    shown = _short(use.node if use.call is None else use.call)
    return shown if name == ast.unparse(use.node) else f"{shown} ({name})"


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= WIDTH_MAX else text[: WIDTH_MAX - 1] + "…"
