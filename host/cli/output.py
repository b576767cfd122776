"""Results on stdout: the envelope of `--json`, or text for people.

No control character in a text of a user or an engine reaches the terminal: this module escapes all except tabs and line
ends. `one_line` (of `host.chart.escapes`) escapes these too, for a text that must stay on one line.
"""

from __future__ import annotations

import codecs
import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import click
import msgspec

from host.chart.escapes import ESCAPES, NEWLINE
from host.cli.settings import settings

ENVELOPE: Final = 1
"""Version of the envelope. New keys keep the version; removing a key or changing its meaning increases it."""

Items = Sequence[dict[str, Any]]

ESCAPES_OF_LINES: Final = {c: escape for c, escape in ESCAPES.items() if c not in (NEWLINE, ord("\t"))}

PLAIN: Final = str.maketrans({"…": ".", "─": "-", "µ": "u", "⏎": "/"})
"""Substitutes for our own marks on terminals without these characters; one for one, to keep columns aligned."""

PLAIN_ERRORS: Final = "enginehost-plain"


class Unwritten(Exception):
    """The result of a command could not be written to standard output."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output: {error.strerror}")
        self.is_closed_pipe = isinstance(error, BrokenPipeError)
        context = click.get_current_context(silent=True)
        self.command = context.command_path.partition(" ")[2] if context else ""


def each(show: Callable[[dict[str, Any]], str]) -> Callable[[Items], str]:
    """Render items one below the other, from how one of them is rendered."""
    return lambda items: "\n".join(map(show, items))


def emit(kind: str, items: Items, render: Callable[[Items], str]) -> None:
    """Print a command's result, rendered for a person or in the envelope."""
    write(envelope(kind, items) if settings().json else render(items))


def envelope(kind: str, items: Iterable[Any]) -> str:
    """The one line that `--json` prints; `plain` converts values that JSON does not have."""
    body = {"v": ENVELOPE, "kind": kind, "items": list(items)}
    return msgspec.json.encode(plain(body)).decode()


def write(text: str) -> None:
    """Print lines on stdout and flush, so a closed pipe is noticed at once. Empty text prints nothing."""
    if not text:
        return
    try:
        sys.stdout.write(_lines(text))
        sys.stdout.flush()
    except OSError as error:
        raise Unwritten(error) from error


def take_any_encoding() -> None:
    """Make the standard streams escape characters outside their encoding (latin-1, ASCII)."""
    codecs.register_error(PLAIN_ERRORS, _plain_mark)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors=PLAIN_ERRORS)  # type: ignore[union-attr]


def clear() -> None:
    """Clear the screen, if stdout is a terminal."""
    if terminal_width() is not None:
        sys.stdout.write("\x1b[H\x1b[J")


def terminal_width() -> int | None:
    """Columns of the terminal on stdout; None for a pipe or a file, where lines may have any length."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def diagnose(text: str) -> None:
    """Print a line on stderr, with and without `--json`. Errors are ignored: a broken stderr has no reader."""
    with contextlib.suppress(OSError):
        sys.stderr.write(_lines(text))
        sys.stderr.flush()


def abandon_stdout() -> None:
    """Discard buffered and further output; otherwise Python reports an error at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def plain(value: Any) -> Any:
    """`value` for JSON: bytes as "0x…", floats that JSON cannot express as "nan", "inf", "-inf".

    File names that are not UTF-8 contain escapes.
    """
    match value:
        case bytes():
            return "0x" + value.hex()
        case float() if not math.isfinite(value):
            return str(value)
        case str() if not value.isascii():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {k if isinstance(k, str) else str(plain(k)): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case _:
            return value


def _lines(text: str) -> str:
    return (text if text.endswith("\n") else text + "\n").translate(ESCAPES_OF_LINES)


def _plain_mark(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler for codecs: substitutes our marks and escapes every other character."""
    if isinstance(error, UnicodeEncodeError):
        found = error.object[error.start : error.end].translate(PLAIN)
        return found.encode("ascii", "backslashreplace").decode(), error.end
    raise error
