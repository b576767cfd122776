"""The leaves of conformity: the error, the walk with its bounds, and the checks of values that hold no others.

What may live here: checks that need no declared type but their own. Everything compiled from types is `conform`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Any, Final, TypeAlias

from .blob import Blob

Check: TypeAlias = "Callable[[Any, Any, Walk], Any]"
"""From a value, the value in its place before (or `ABSENT`), and the walk, to the value in its form."""

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1
"""The integers that MessagePack carries."""

DEPTH_MAX: Final = 100
"""Values inside values. Reading nests Python calls, several for each level of a map."""

SIZE_MAX: Final = 1 << 30
"""Bytes of new content in one value; each value in it counts `VALUE_BYTES` besides its text or bytes."""

VALUE_BYTES: Final = 64

SHOWN_CHARS_MAX: Final = 60
SHOWN_BITS_MAX: Final = 512
"""Bounds of a value shown in the text of a `ConformError`."""


ABSENT: Final = object()
"""Stands for the earlier value where there was none; it is no part of a value."""


class ConformError(ValueError):
    """A value that its bytes, read back, would not give: where in the value the fault is, and what it is."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path = ""
        self.text = text

    def inside(self, step: str) -> ConformError:
        """The same error, for the value that holds the culprit one step further in."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class Walk:
    """One walk along a value: its depth, its greatest depth so far, and how many bytes it may still see."""

    __slots__ = ("deepest", "depth", "left")

    def __init__(self, depth: int) -> None:
        self.depth = self.deepest = depth
        self.left = SIZE_MAX

    def enter(self, values: int) -> None:
        """Go one level down, to this many values. Raises `ConformError` at the bounds."""
        self.depth += 1
        if self.depth > self.deepest:
            self.deepest = self.depth
            if self.depth > DEPTH_MAX:
                raise ConformError(f"more than {DEPTH_MAX} values inside each other")
        self.spend(values * VALUE_BYTES)

    def spend(self, size: int) -> None:
        """Count new content. Raises `ConformError` at the bound."""
        self.left -= size
        if self.left < 0:
            raise ConformError(f"more than {SIZE_MAX >> 20} MiB that are new")


def check_int(value: Any, _before: Any, _walk: Walk) -> Any:
    """An integer of 64 bits."""
    if type(value) is not int:
        raise other(value, "int")
    if not INT_MIN <= value <= INT_MAX:
        raise ConformError(f"{shown(value)} is beyond 64 bits (-2**63 to 2**64 - 1)")
    return value


def check_float(value: Any, _before: Any, _walk: Walk) -> Any:
    """A float; an int becomes a float."""
    if type(value) is float:
        return value
    if type(value) is not int:
        raise other(value, "float")
    try:
        return float(value)
    except OverflowError:
        raise ConformError(f"{shown(value)} is beyond what a float holds") from None


def check_str(value: Any, _before: Any, walk: Walk) -> Any:
    """Text that UTF-8 can carry."""
    if type(value) is not str:
        raise other(value, "str")
    walk.spend(len(value))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConformError(f"{shown(value)} holds a lone surrogate, which UTF-8 has no form for") from None
    return value


def check_bytes(value: Any, _before: Any, walk: Walk) -> Any:
    """Bytes."""
    if type(value) is not bytes:
        raise other(value, "bytes")
    walk.spend(len(value))
    return value


def check_blob(value: Any, _before: Any, walk: Walk) -> Any:
    """A blob."""
    if type(value) is not Blob:
        raise other(value, "Blob")
    walk.spend(len(value))
    return value


def exactly(kind: type[Any], name: str) -> Check:
    """A check of the class alone: for None, bools, and members of an enumeration."""

    def check(value: Any, _before: Any, _walk: Walk) -> Any:
        if type(value) is not kind:
            raise other(value, name)
        return value

    return check


SCALARS: Final[dict[Any, Check]] = {
    None: exactly(NoneType, "None"),
    NoneType: exactly(NoneType, "None"),
    bool: exactly(bool, "bool"),
    int: check_int,
    float: check_float,
    str: check_str,
    bytes: check_bytes,
    Blob: check_blob,
}


def literal(choices: tuple[Any, ...]) -> Check:
    """A check that allows these values."""
    allowed = frozenset((type(choice), choice) for choice in choices)

    def check(value: Any, _before: Any, _walk: Walk) -> Any:
        if type(value) not in (str, int, bool, NoneType) or (type(value), value) not in allowed:
            raise ConformError(f"{shown(value)} is none of {', '.join(map(repr, choices))}")
        return value

    return check


def check_plain(value: Any, before: Any, walk: Walk) -> Any:
    """A value that reads back as it is without a declared type: scalars."""
    check = SCALARS.get(type(value))
    if check is None or check is check_blob:
        raise ConformError(f"{shown(value)} stands where no type is declared; name one")
    return check(value, before, walk)


def other(value: Any, wanted: str, hint: str = "") -> ConformError:
    """The error for a value of another class than the one wanted."""
    return ConformError(f"{shown(value)} is {kind_name(type(value))}, not {wanted}{hint}")


def kind_name(kind: type[Any]) -> str:
    """The name of a class for people."""
    return "None" if kind is NoneType else kind.__name__


def shown(value: Any) -> str:
    """A value for an error message: in ASCII, short, and without calling any `__repr__`."""
    kind = type(value)
    if kind is int and value.bit_length() > SHOWN_BITS_MAX:
        return f"an int of {value.bit_length()} bits"
    if kind in (str, bytes):
        text = ascii(value[:SHOWN_CHARS_MAX])
        return text + "..." if len(value) > SHOWN_CHARS_MAX else text
    return ascii(value) if kind in (int, float, bool, NoneType) else f"a {kind.__name__}"
