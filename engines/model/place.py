"""The place of a declaration in the source: file and line, for messages about it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A file and a line; line 0 when it is not known."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def caller(above: int) -> Place:
    """The place `above` frames over the function that calls this: 1 is its caller."""
    frame = sys._getframe(above + 1)
    return Place(frame.f_code.co_filename, frame.f_lineno)


def of_function(function: Callable[..., Any]) -> Place:
    """Where a function is defined, decorators included in the count as Python does."""
    code = getattr(function, "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code else Place("<unknown>", 0)


def of_class(kind: type[Any]) -> Place:
    """Where a class is defined, found by its `class` line in its module's file. For messages only, so it may be
    slow."""
    return _search(kind, rf"\s*class\s+{kind.__name__}\b")


def of_field(kind: type[Any], name: str) -> Place:
    """Where a field of a class is declared: the first such line below its `class` line."""
    start = of_class(kind)
    return _search(kind, rf"\s+{name}\s*:", start.line) if start.line else start


def _search(kind: type[Any], pattern: str, after: int = 0) -> Place:
    import linecache
    import re

    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or f"<{kind.__module__}>"
    for number, line in enumerate(linecache.getlines(file), 1):
        if number > after and re.match(pattern, line):
            return Place(file, number)
    return Place(file, after)
