"""Parameters of systems: checks that say what is wrong, before a system is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from engines.model.system import BadSystemError

T = TypeVar("T")


def at_least(least: int, **values: int) -> None:
    """Raises BadSystemError, naming the first of `values` that is less."""
    for name, value in values.items():
        if value < least:
            raise BadSystemError(f"{name} is {value}; it must be at least {least}")


def one_of(known: Sequence[str], **values: str) -> None:
    """Raises BadSystemError, naming the first of `values` that is not known."""
    for name, value in values.items():
        if value not in known:
            raise BadSystemError(f"{name} is {value!r}; it must be one of {', '.join(known)}")


def variant(right: T, wrong: Mapping[str, T], bug: str) -> T:
    """What is right; with the name of a bug, what has that bug. Raises BadSystemError for another name."""
    if not bug:
        return right
    one_of(list(wrong), bug=bug)
    return wrong[bug]
