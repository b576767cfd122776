"""The finite abstraction of a fact: its values in regions that no guard at hand can tell apart within.

The constants that guards compare a fact with cut its values into points and the gaps between them; beside them is one
region for *unknown*. A set of values is then a set of regions, as the bits of an int: intersection is `&`, complement
`^`, and a set is empty if it is 0. Regions without a value (between 1 and 2 for whole numbers, beyond the bounds of a
type, a text that an enum has not) are left out, so this is exact, and each region has a value to show: its witness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from engines.agents.protocol.model import FieldType, Scalar

from .syntax import Comparison

Number = int | float
OTHER: Final = "other"
_MEANS: Final[dict[Comparison, tuple[bool, bool, bool]]] = {
    "==": (False, True, False),
    "!=": (True, False, True),
    "<": (True, False, False),
    "<=": (True, True, False),
    ">": (False, False, True),
    ">=": (False, True, True),
}
"""Whether an operator holds for a value below the constant, at it, above it."""


class Regions:
    """The regions of one fact. Bit i of a set stands for the region of `values[i]`; `absent` is the bit of unknown."""

    def __init__(self, values: Iterable[Scalar], is_optional: bool) -> None:
        self.values: tuple[Scalar, ...] = tuple(values)
        self.known = (1 << len(self.values)) - 1
        self.absent = (1 << len(self.values)) if is_optional else 0

    def holding(self, operator: Comparison, constant: Scalar) -> int:
        """The regions in which `value operator constant` is true."""
        below, at, above = _MEANS[operator]
        found = 0
        for index, value in enumerate(self.values):
            beside = below if _is_below(value, constant) else above
            holds = at if value == constant else beside
            found |= holds << index
        return found

    def witness(self, regions: int) -> Scalar | None:
        """A value in these regions, which are some; None stands for unknown."""
        lowest = (regions & -regions).bit_length() - 1
        return None if lowest == len(self.values) else self.values[lowest]


def _is_below(value: Scalar, constant: Scalar) -> bool:
    """The order of numbers. Of texts only equality counts, so that any answer does."""
    return isinstance(value, int | float) and isinstance(constant, int | float) and value < constant


def of_bool(is_optional: bool) -> Regions:
    """True and false."""
    return Regions((True, False), is_optional)


def of_text(constants: Iterable[Scalar], kind: FieldType | None, is_optional: bool) -> Regions:
    """The texts that guards name, and one other; of an enum its choices."""
    if kind is not None and kind.kind == "enum":
        return Regions(kind.choices, is_optional)
    named = [str(one) for one in dict.fromkeys(constants) if _fits(str(one), kind)]
    low, high = _bounds(kind)
    other = next((one for one in _others(int(low or 0), high) if one not in named), None)
    return Regions((*named, *(() if other is None else (other,))), is_optional)


def of_number(constants: Iterable[Number], kind: FieldType | None, is_optional: bool) -> Regions:
    """The numbers that guards name, within the bounds of the type, and one in each gap between them."""
    is_whole = kind is None or kind.kind != "number"
    low, high = _bounds(kind)
    marks = sorted({*constants, *(one for one in (low, high) if one is not None)})
    inner = [one for one in marks if (low is None or one >= low) and (high is None or one <= high)]
    points = [one for one in inner if not is_whole or one == int(one)]
    gaps = list(_gaps(inner, low, high, is_whole))
    return Regions((*points, *gaps), is_optional)


def _gaps(marks: list[Number], low: Number | None, high: Number | None, is_whole: bool) -> Iterator[Number]:
    if not marks:
        yield 0
        return
    if low is None or marks[0] > low:
        yield _floor(marks[0]) - 1
    for left, right in pairwise(marks):
        between = _between(left, right, is_whole)
        if between is not None:
            yield between
    if high is None or marks[-1] < high:
        yield _floor(marks[-1]) + 1


def _between(left: Number, right: Number, is_whole: bool) -> Number | None:
    """A number strictly between two others; None without one, which for floats is one that a float can hold."""
    whole = _floor(left) + 1
    if left < whole < right:
        return whole
    middle = left + (right - left) / 2
    return middle if not is_whole and left < middle < right else None


def _floor(value: Number) -> int:
    return int(value // 1)


def _bounds(kind: FieldType | None) -> tuple[Number | None, Number | None]:
    return (None, None) if kind is None else (kind.low, kind.high)


def _fits(text: str, kind: FieldType | None) -> bool:
    low, high = _bounds(kind)
    return (low is None or len(text) >= low) and (high is None or len(text) <= high)


def _others(low: int, high: Number | None) -> Iterator[str]:
    """Texts of a length within the bounds, more than any guard can name."""
    if high is not None and high < len(OTHER):
        if low == 0:
            yield ""
        if high > 0:
            yield from (chr(ord("a") + n % 26) * max(low, 1) for n in range(26))
            yield from (chr(0x4E00 + n) * max(low, 1) for n in range(512))
        return
    yield from (
        (OTHER + (str(n) if n else "")).ljust(low, "x")[: None if high is None else int(high)] for n in range(512)
    )
