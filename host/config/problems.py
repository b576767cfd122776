"""A mistake in a file, with its place, and its text form.

A place is a line and a column as in an editor: counted from 1, the column in characters. The text form:

    node.yaml:4:12: unknown key `famly` in engine `server`
      4 |   server: {famly: "engines.examples.greeting:GREETER"}
        |            ^^^^^ did you mean `family`?
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

SHOWN_COLUMNS_MAX: Final = 120
"""Of a longer source line, only the part around the place is shown."""


class SourcePlace(NamedTuple):
    """A place in a file: line and column from 1, and the number of characters that it covers in the line."""

    line: int
    column: int
    length: int = 1


class ConfigProblem(msgspec.Struct, frozen=True):
    """One mistake. `suggestion` is a separate clause (`did you mean …?`) or empty; `source` is the source line."""

    file: str
    line: int
    column: int
    text: str
    suggestion: str = ""
    source: str = ""
    length: int = 1

    def __str__(self) -> str:
        """Three lines, as in the head comment; only the first one without a source line."""
        head = f"{self.file}:{self.line}:{self.column}: {self.text}"
        if not self.source.strip():
            return f"{head}; {self.suggestion}" if self.suggestion else head
        source, start = _crop(self.source, self.column - 1)
        number = str(self.line)
        carets = "^" * max(1, min(self.length, len(source) - start))
        under = f"{' ' * start}{carets} {self.suggestion}".rstrip()
        return f"{head}\n  {number} | {source}\n  {' ' * len(number)} | {under}"


class ConfigErrors(Exception):
    """Every mistake of a configuration, by place. As text: all text forms."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems: tuple[ConfigProblem, ...] = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__(render(self.problems))


def render(problems: Iterable[ConfigProblem]) -> str:
    """The text forms of the problems, in the given order."""
    return "\n".join(str(problem) for problem in problems)


def _crop(source: str, at: int) -> tuple[str, int]:
    """The part of a line to show, and the position of `at` in it. Control characters become blanks."""
    source = "".join(c if c.isprintable() else " " for c in source)
    if len(source) <= SHOWN_COLUMNS_MAX:
        return source.rstrip(), at
    start = max(0, min(at - SHOWN_COLUMNS_MAX // 2, len(source) - SHOWN_COLUMNS_MAX))
    return source[start : start + SHOWN_COLUMNS_MAX].rstrip(), at - start
