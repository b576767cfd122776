"""A mistake in a file, with its place, and how it is shown.

A place is line and column as an editor counts them: from 1, the column in characters. What is shown:

    node.yaml:4:12: unknown key `famly` in engine `server`
      4 |   server: {famly: "engines.examples.greeting:GREETER"}
        |            ^^^^^ did you mean `family`?
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

SHOWN_COLUMNS_MAX: Final = 120
"""A longer source line is shown in part, around the place."""


class SourcePlace(NamedTuple):
    """Where something is written: line and column from 1, and how many characters of that line it covers."""

    line: int
    column: int
    length: int = 1


class ConfigProblem(msgspec.Struct, frozen=True):
    """One mistake. `suggestion` is a clause of its own (`did you mean …?`) or empty; `source` is the line itself."""

    file: str
    line: int
    column: int
    text: str
    suggestion: str = ""
    source: str = ""
    length: int = 1

    def __str__(self) -> str:
        """Three lines as the head comment shows them; the last two are left out when there is no source line."""
        head = f"{self.file}:{self.line}:{self.column}: {self.text}"
        if not self.source.strip():
            return f"{head}; {self.suggestion}" if self.suggestion else head
        source, start = _crop(self.source, self.column - 1)
        number = str(self.line)
        carets = "^" * max(1, min(self.length, len(source) - start))
        under = f"{' ' * start}{carets} {self.suggestion}".rstrip()
        return f"{head}\n  {number} | {source}\n  {' ' * len(number)} | {under}"


class ConfigErrors(Exception):
    """Every mistake of a configuration, by place. As text: all of them as they are shown."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems: tuple[ConfigProblem, ...] = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__(render(self.problems))


def render(problems: Iterable[ConfigProblem]) -> str:
    """The problems as text, in the order given, a line apart."""
    return "\n".join(str(problem) for problem in problems)


def _crop(source: str, at: int) -> tuple[str, int]:
    """The part of a line that is shown, and where `at` lies in it. Control characters are shown as blanks."""
    source = "".join(c if c.isprintable() else " " for c in source)
    if len(source) <= SHOWN_COLUMNS_MAX:
        return source.rstrip(), at
    start = max(0, min(at - SHOWN_COLUMNS_MAX // 2, len(source) - SHOWN_COLUMNS_MAX))
    return source[start : start + SHOWN_COLUMNS_MAX].rstrip(), at - start
