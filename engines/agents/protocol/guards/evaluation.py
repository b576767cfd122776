"""Whether a guard is true, false, or unknown, given facts. Total: any facts, of any type, give one of the three.

Unknown is what Kleene's strong logic makes of a fact that is missing, or that cannot be compared: false in `and`
decides, true in `or` decides, and else the unknown stays. A guard has to be true to pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engines.agents.protocol.model import Datum

from .syntax import Among, And, Between, Compare, Comparison, Constant, Expr, Name, Not, Or, Present, Term, Truth

NOW: Final = "time.now"
"""The key of the time in ns since 1970, from which `elapsed` counts. Guards cannot name it."""


def evaluate(expr: Expr, names: Mapping[str, Datum]) -> bool | None:
    """Whether the guard holds; None if that is unknown. `names` has the known facts by key (`Name.fact`).

    A value for a whole term, under its own key such as `count(context.items)`, precedes what would be computed.
    """
    match expr:
        case Or():
            return _any(evaluate(item, names) for item in expr.items)
        case And():
            found = _any(_opposite(evaluate(item, names)) for item in expr.items)
            return _opposite(found)
        case Not():
            return _opposite(evaluate(expr.item, names))
        case Compare():
            return _compare(expr.operator, value_of(expr.left, names), value_of(expr.right, names))
        case Among():
            value = value_of(expr.term, names)
            return _any(_compare("==", value, one.value) for one in expr.choices)
        case Between():
            value = value_of(expr.term, names)
            below = _compare("<", value, value_of(expr.low, names))
            return _opposite(_any((below, _compare(">", value, value_of(expr.high, names)))))
        case Present():
            return is_present(expr.name, names)
        case Truth():
            value = value_of(expr.term, names)
            return value if isinstance(value, bool) else None


def value_of(term: Term, names: Mapping[str, Datum]) -> Datum | None:
    """The value of a term; None if it is unknown."""
    if isinstance(term, Constant):
        return term.value
    if (given := names.get(term.key)) is not None:
        return given
    value = names.get(term.fact)
    if term.function == "count":
        return len(value) if isinstance(value, tuple | str) else None
    if term.function == "elapsed":
        now = names.get(NOW)
        return now - value if _is_number(now) and _is_number(value) else None  # type: ignore[operator]
    return value


def is_present(name: Name, names: Mapping[str, Datum]) -> bool:
    """Whether a fact is known, or what is counted of it."""
    return any(key in names for key in (name.fact, f"count({name.fact})", f"elapsed({name.fact})"))


def unknown_names(expr: Expr, names: Mapping[str, Datum]) -> tuple[str, ...]:
    """The terms without a usable value, by which a guard is unknown; each once, from the left."""
    found: list[str] = []
    _collect(expr, names, found)
    return tuple(dict.fromkeys(found))


def _collect(expr: Expr, names: Mapping[str, Datum], found: list[str]) -> None:
    """Adds the terms of those parts that are unknown themselves."""
    if evaluate(expr, names) is not None:
        return
    if isinstance(expr, Or | And):
        for item in expr.items:
            _collect(item, names, found)
    elif isinstance(expr, Not):
        _collect(expr.item, names, found)
    else:
        found += _unusable(expr, names)


def _unusable(atom: Compare | Among | Between | Present | Truth, names: Mapping[str, Datum]) -> list[str]:
    """The terms of an unknown atom that have no value; all, if the values only do not fit each other."""
    match atom:
        case Compare():
            all_terms: tuple[Term, ...] = (atom.left, atom.right)
        case Between():
            all_terms = (atom.term, atom.low, atom.high)
        case Present():
            all_terms = (atom.name,)
        case Among() | Truth():
            all_terms = (atom.term,)
    keys = [term for term in all_terms if isinstance(term, Name)]
    return [term.key for term in keys if value_of(term, names) is None] or [term.key for term in keys]


def _any(values: object) -> bool | None:
    """The `or` of three values."""
    is_unknown = False
    for value in values:  # type: ignore[attr-defined]
        if value:
            return True
        is_unknown = is_unknown or value is None
    return None if is_unknown else False


def _opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def _is_number(value: Datum | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _compare(operator: Comparison, left: Datum | None, right: Datum | None) -> bool | None:
    """Numbers with numbers; texts, bools and tuples with their own, for equality only. Else unknown."""
    if _is_number(left) and _is_number(right):
        return _ordered(operator, left, right)  # type: ignore[arg-type]
    is_one_type = isinstance(left, bool | str | tuple) and type(left) is type(right)
    if operator not in ("==", "!=") or not is_one_type:
        return None
    return (left == right) is (operator == "==")


def _ordered(operator: Comparison, left: float, right: float) -> bool:
    match operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case ">=":
            return left >= right
