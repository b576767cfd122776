"""Explains syntax errors of the YAML parser in practical terms, at the place where the mistake begins.

The parser reports the place where it gave up, which is the line after an unclosed bracket. It also reports a context,
which is where the bracket began: that place is shown.
"""

from __future__ import annotations

from typing import Final

import yaml

from .problems import SourcePlace

_OPENED: Final = {
    "while parsing a flow sequence": "this `[` is not closed, or a comma is missing after an item",
    "while parsing a flow mapping": "this `{` is not closed, or a comma is missing after an item",
    "while scanning a quoted scalar": "this quote is not closed",
    "while scanning a directive": "a line that begins with `%` is not read here",
}
_FOUND: Final = {
    "mapping values are not allowed": "a colon cannot stand here: wrong indentation, or a text that needs quotes?",
    "did not find expected key": "a key of the mapping belongs here: wrong indentation?",
    "did not find expected '-' indicator": "an item of the list (`- …`) belongs here: wrong indentation?",
    "did not find expected node content": "a key, a value or a closing bracket belongs here",
    "could not find expected ':'": "a key without its colon",
    "unknown escape": "in double quotes `\\` begins an escape, and this one does not exist; single quotes have none",
}


def explain_syntax(error: yaml.MarkedYAMLError, lines: tuple[str, ...]) -> tuple[SourcePlace, str, str]:
    """Place, message and suggestion for a text that cannot be parsed."""
    at = _place(error.problem_mark or error.context_mark, lines)
    line = lines[at.line - 1]
    if (tab := _tab_in_indentation(line)) is not None:
        return SourcePlace(at.line, tab + 1), "a tab in the indentation; YAML indents with spaces only", ""
    if (opened := _OPENED.get(error.context or "")) and error.context_mark:
        return _place(error.context_mark, lines), opened, ""
    problem = error.problem or "not YAML"
    for found, text in _FOUND.items():
        if found in problem:
            return at, text, ""
    if "cannot start any token" in problem:
        return at, f"`{line[at.column - 1 : at.column]}` cannot begin a text here", "write it in quotes"
    return at, f"not YAML: {error.context + ', ' if error.context else ''}{problem}", ""


def _place(mark: yaml.Mark | None, lines: tuple[str, ...]) -> SourcePlace:
    """The mark's place; for a mark behind the last line, the end of the last line that is not empty."""
    if mark is None:
        return SourcePlace(1, 1)
    if mark.line < len(lines) and (lines[mark.line].strip() or mark.line == 0):
        return SourcePlace(mark.line + 1, mark.column + 1)
    last = next((n for n in range(min(mark.line, len(lines)), 0, -1) if lines[n - 1].strip()), 1)
    return SourcePlace(last, len(lines[last - 1].rstrip()) + 1)


def _tab_in_indentation(line: str) -> int | None:
    indentation = line[: len(line) - len(line.lstrip())]
    tab = indentation.find("\t")
    return tab if tab >= 0 else None
