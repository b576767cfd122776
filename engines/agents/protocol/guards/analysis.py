"""Exact answers about guards: whether two overlap, whether one never or always holds, what no guard covers.

Only guards are analysed whose atoms compare one name with constants; a name is always used in one form: plain, or in
`count`, or in `elapsed`. Each name is then a variable over finitely many regions (`regions`), and a guard is a formula
over sets of them. Being unknown is a region too, so the three-valued meaning is kept: `_when(expr, True)` says where a
guard is *true*, `_when(expr, False)` where it is *false*; where it is unknown, it is neither. Both are put into
disjunctive normal form, whose terms have one set a name; a term without an empty set has a witness.

Names are taken as independent of each other, and numbers as what a float or an int can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Final, TypeAlias, TypeVar

from engines.agents.protocol.model import Datum, Field, Scalar

from .names import CLASSES, class_of, type_of
from .regions import Regions, of_bool, of_number, of_text
from .syntax import (
    Among,
    And,
    Atom,
    Between,
    Compare,
    Constant,
    Expr,
    Kind,
    Name,
    Not,
    Or,
    Present,
    Truth,
    atoms,
    constant_text,
    terms,
)

TERMS_MAX: Final = 4096

Product: TypeAlias = Mapping[str, int]
"""A term of a normal form: for some variables, the regions that they are in; none is empty."""


ProductsT = TypeVar("ProductsT", bound=Sized)


class NotAnalysable(ValueError):
    """A guard that these questions have no exact answer for; the offset is that of the atom that is the reason."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message, self.offset = message, offset


class Witness:
    """Facts under which something holds. `names` can be given to `evaluate`; `unknown` are not in it."""

    def __init__(self, names: Mapping[str, Datum], unknown: tuple[str, ...], kinds: Mapping[str, Kind]) -> None:
        self.names, self.unknown, self._kinds = names, unknown, kinds

    def __str__(self) -> str:
        known = [f"{key} = {constant_text(Constant(value, self._kinds[key]))}" for key, value in self._sorted()]
        return ", ".join((*known, *(f"{key} unknown" for key in self.unknown))) or "any facts"

    def _sorted(self) -> list[tuple[str, Scalar]]:
        return [(key, value) for key, value in sorted(self.names.items()) if not isinstance(value, tuple)]


def overlap(first: Expr, second: Expr, known: Mapping[str, Field]) -> Witness | None:
    """Facts under which both guards are true, or None. Raises NotAnalysable."""
    return _Space((first, second), known).witness(((first, True), (second, True)))


def example(expr: Expr, known: Mapping[str, Field]) -> Witness | None:
    """Facts under which the guard is true, or None if it never is. Raises NotAnalysable."""
    return _Space((expr,), known).witness(((expr, True),))


def never(expr: Expr, known: Mapping[str, Field]) -> bool:
    """Whether the guard is true under no facts. Raises NotAnalysable."""
    return example(expr, known) is None


def always(expr: Expr, known: Mapping[str, Field]) -> bool:
    """Whether the guard is false under no facts: it is true as soon as they are known. Raises NotAnalysable."""
    return gap((expr,), known) is None


def gap(guards: Sequence[Expr], known: Mapping[str, Field]) -> Witness | None:
    """Facts under which all these guards are false, or None: what they leave uncovered. Raises NotAnalysable."""
    return _Space(guards, known).witness(tuple((one, False) for one in guards))


def check_analysable(expr: Expr, known: Mapping[str, Field]) -> None:
    """Raises NotAnalysable with the reason, unless the questions here have answers for this guard."""
    example(expr, known)
    gap((expr,), known)


class _Space:
    """The variables of some guards, with their regions."""

    def __init__(self, guards: Iterable[Expr], known: Mapping[str, Field]) -> None:
        self.regions: dict[str, Regions] = {}
        self.kinds: dict[str, Kind] = {}
        self.terms: dict[str, Name] = {}
        found: dict[str, list[Constant]] = {}
        for guard in guards:
            for atom in atoms(guard):
                self._note(atom, found)
        for fact, constants in found.items():
            self._define(fact, self.terms[fact], constants, known)

    def _note(self, atom: Atom, found: dict[str, list[Constant]]) -> None:
        name, *others = terms(atom)
        if isinstance(name, Constant):
            return
        constants = [other for other in others if isinstance(other, Constant)]
        if len(constants) < len(others):
            raise NotAnalysable(f"'{name.key}' is compared with another name, not with a constant", atom.offset)
        before = self.terms.get(name.fact)
        if before is None or (not found[name.fact] and not isinstance(atom, Present)):
            self.terms[name.fact] = name
        elif before.function != name.function and not isinstance(atom, Present):
            raise NotAnalysable(f"'{name.fact}' is used in two ways: '{before.key}' and '{name.key}'", atom.offset)
        found.setdefault(name.fact, []).extend(constants)

    def _define(self, fact: str, name: Name, constants: list[Constant], known: Mapping[str, Field]) -> None:
        field = known.get(name.id)
        is_optional = field is None or field.is_optional
        kind = type_of(name, known)
        values = [one.value for one in constants]
        of = class_of(name, known) or (CLASSES[constants[0].kind] if constants else "bool")
        if of == "bool":
            self.kinds[name.key], self.regions[fact] = "bool", of_bool(is_optional)
        elif of in ("text", "list"):
            self.kinds[name.key], self.regions[fact] = "text", of_text(values, kind, is_optional)
        else:
            numbers = [one for one in values if isinstance(one, int | float)]
            self.kinds[name.key] = constants[0].kind if constants else "number"
            self.regions[fact] = of_number(numbers, kind, is_optional)

    def witness(self, claims: Sequence[tuple[Expr, bool]]) -> Witness | None:
        """Facts under which each guard is true or false as claimed, or None."""
        products: list[Product] = [{}]
        for guard, is_true in claims:
            products = _joined(products, self._when(guard, is_true))
            if not products:
                return None
        chosen = {fact: self.regions[fact].witness(regions) for fact, regions in products[0].items()}
        names: dict[str, Datum] = {self.terms[fact].key: one for fact, one in chosen.items() if one is not None}
        return Witness(names, tuple(sorted(fact for fact, one in chosen.items() if one is None)), self.kinds)

    def _when(self, expr: Expr, is_true: bool) -> list[Product]:
        """The normal form of: this guard is true, or: is false."""
        if isinstance(expr, Not):
            return self._when(expr.item, not is_true)
        if isinstance(expr, And | Or):
            parts = [self._when(item, is_true) for item in expr.items]
            if isinstance(expr, And) is is_true:
                products: list[Product] = [{}]
                for part in parts:
                    products = _joined(products, part)
                return products
            return _bounded([product for part in parts for product in part])
        return self._atom(expr, is_true)

    def _atom(self, atom: Atom, is_true: bool) -> list[Product]:
        name = terms(atom)[0]
        if isinstance(name, Constant):
            return [{}] if name.value is is_true else []
        space = self.regions[name.fact]
        if isinstance(atom, Present):
            found = space.known if is_true else space.absent
        else:
            found = _holding(atom, space)
            found = found if is_true else space.known & ~found
        return [{name.fact: found}] if found else []


def _holding(atom: Atom, space: Regions) -> int:
    """The regions in which an atom is true."""
    match atom:
        case Compare(operator=operator, right=Constant(value=value)):
            return space.holding(operator, value)
        case Among():
            found = 0
            for choice in atom.choices:
                found |= space.holding("==", choice.value)
            return found
        case Between(low=Constant(value=low), high=Constant(value=high)):
            return space.holding(">=", low) & space.holding("<=", high)
        case Truth():
            return space.holding("==", True)
        case _:
            raise AssertionError(f"{atom} is in no space")


def _joined(left: list[Product], right: list[Product]) -> list[Product]:
    """The normal form of: both."""
    found: dict[tuple[tuple[str, int], ...], Product] = {}
    for one in left:
        for other in right:
            product = _meet(one, other)
            if product is not None:
                found.setdefault(tuple(sorted(product.items())), product)
        _bounded(found)
    return list(found.values())


def _meet(one: Product, other: Product) -> Product | None:
    product = dict(one)
    for fact, regions in other.items():
        product[fact] = product.get(fact, regions) & regions
        if not product[fact]:
            return None
    return product


def _bounded(products: ProductsT) -> ProductsT:
    if len(products) > TERMS_MAX:
        raise NotAnalysable(f"the guard has more than {TERMS_MAX} cases")
    return products
