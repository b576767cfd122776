"""Guards as trees, and their canonical text.

A guard is a formula over comparisons. Its terms are names of facts, `count` and `elapsed` of a name, and constants.
Each node has the offset of its first character in the text that it was read from; texts made here have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from engines.agents.protocol.model import Scalar
from engines.model import Value

SECOND_NS: Final = 1_000_000_000
DURATIONS: Final = {
    "d": 86_400 * SECOND_NS,
    "h": 3_600 * SECOND_NS,
    "m": 60 * SECOND_NS,
    "s": SECOND_NS,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
SIZES: Final = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}

Kind: TypeAlias = Literal["bool", "number", "percent", "text", "duration", "size"]
Comparison: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]
FLIPPED: Final[dict[Comparison, Comparison]] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class GuardError(ValueError):
    """A guard that is refused: the code of the finding, the reason, and the offset in its text, from 0."""

    def __init__(self, code: str, message: str, offset: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.offset, self.hint = code, message, offset, hint


class Constant(Value, tag=True):
    """A literal. Durations are in ns, sizes in bytes, percentages 0 to 100."""

    value: Scalar
    kind: Kind
    offset: int = 0


class Name(Value, tag=True):
    """A fact, such as `measure.context_percent` or `peers.count(worker, inbox)`, or `count` or `elapsed` of one."""

    id: str
    arguments: tuple[str, ...] = ()
    function: Literal["", "count", "elapsed"] = ""
    offset: int = 0

    @property
    def fact(self) -> str:
        """The key of the fact, without the function: `peers.count(worker,inbox)`."""
        return f"{self.id}({','.join(self.arguments)})" if self.arguments else self.id

    @property
    def key(self) -> str:
        """The key of the term, with the function: `elapsed(state.since)`."""
        return f"{self.function}({self.fact})" if self.function else self.fact


Term: TypeAlias = Name | Constant


class Compare(Value, tag=True):
    """`left op right`; a constant stands on the right."""

    operator: Comparison
    left: Name
    right: Name | Constant
    offset: int = 0


class Among(Value, tag=True):
    """`term in {a, b}`."""

    term: Name
    choices: tuple[Constant, ...]
    offset: int = 0


class Between(Value, tag=True):
    """`term between low and high`, both included."""

    term: Name
    low: Name | Constant
    high: Name | Constant
    offset: int = 0


class Present(Value, tag=True):
    """`present(name)`: true if the fact is known, else false."""

    name: Name
    offset: int = 0


class Truth(Value, tag=True):
    """A fact of type bool, or `true` or `false`."""

    term: Name | Constant
    offset: int = 0


class Not(Value, tag=True):
    """`not item`."""

    item: Expr
    offset: int = 0


class And(Value, tag=True):
    """`a and b ...`, two items or more; none is an `And`."""

    items: tuple[Expr, ...]
    offset: int = 0


class Or(Value, tag=True):
    """`a or b ...`, two items or more; none is an `Or`."""

    items: tuple[Expr, ...]
    offset: int = 0


Atom: TypeAlias = Compare | Among | Between | Present | Truth
Expr: TypeAlias = Compare | Among | Between | Present | Truth | Not | And | Or


def atoms(expr: Expr) -> Iterator[Atom]:
    """The comparisons and other atoms in a guard, from the left."""
    if isinstance(expr, And | Or):
        for item in expr.items:
            yield from atoms(item)
    elif isinstance(expr, Not):
        yield from atoms(expr.item)
    else:
        yield expr


def terms(atom: Atom) -> tuple[Term, ...]:
    """The names and constants of an atom, from the left."""
    match atom:
        case Compare():
            return (atom.left, atom.right)
        case Among():
            return (atom.term, *atom.choices)
        case Between():
            return (atom.term, atom.low, atom.high)
        case Present():
            return (atom.name,)
        case Truth():
            return (atom.term,)


def names_of(expr: Expr) -> tuple[Name, ...]:
    """The names in a guard, from the left, each as often as it stands there."""
    return tuple(term for atom in atoms(expr) for term in terms(atom) if isinstance(term, Name))


def size(expr: Expr) -> int:
    """The number of nodes."""
    if isinstance(expr, And | Or):
        return 1 + sum(map(size, expr.items))
    if isinstance(expr, Not):
        return 1 + size(expr.item)
    return 1 + len(terms(expr))


def canonical_text(expr: Expr) -> str:
    """The one text of a guard: `parse_guard` of it gives the same guard, whatever spaces and units were written."""
    match expr:
        case Or():
            return " or ".join(map(canonical_text, expr.items))
        case And():
            return " and ".join(_within(item, Or) for item in expr.items)
        case Not():
            return "not " + _within(expr.item, Or | And)
        case Compare():
            return f"{term_text(expr.left)} {expr.operator} {term_text(expr.right)}"
        case Among():
            return f"{term_text(expr.term)} in {{{', '.join(map(term_text, expr.choices))}}}"
        case Between():
            return f"{term_text(expr.term)} between {term_text(expr.low)} and {term_text(expr.high)}"
        case Present():
            return f"present({term_text(expr.name)})"
        case Truth():
            return term_text(expr.term)


def _within(expr: Expr, weaker: object) -> str:
    text = canonical_text(expr)
    return f"({text})" if isinstance(expr, weaker) else text  # type: ignore[arg-type]


def term_text(term: Term) -> str:
    """The canonical text of a term."""
    if isinstance(term, Constant):
        return constant_text(term)
    fact = f"{term.id}({', '.join(term.arguments)})" if term.arguments else term.id
    return f"{term.function}({fact})" if term.function else fact


def constant_text(constant: Constant) -> str:
    """The canonical text of a literal: whole numbers in the largest unit that leaves them whole."""
    value = constant.value
    match constant.kind:
        case "bool":
            return "true" if value else "false"
        case "text":
            escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case "duration":
            return _in_units(int(value), DURATIONS, "s")
        case "size":
            return _in_units(int(value), SIZES, "B")
        case "percent":
            return f"{_number_text(value)}%"
        case "number":
            return _number_text(value)


def _in_units(value: int, units: dict[str, int], zero: str) -> str:
    if value == 0:
        return f"0{zero}"
    unit, each = next((unit, each) for unit, each in units.items() if value % each == 0)
    return f"{value // each}{unit}"


def _number_text(value: Scalar) -> str:
    """A number without exponent; a float that is whole is written as an int, which equals it."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.18f}".rstrip("0")
    return str(value)
