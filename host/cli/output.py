"""Results on stdout: the envelope of `--json`, or text for people."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import click
import msgspec

from host.cli.settings import settings

ENVELOPE: Final = 1
"""Version of the envelope. Items gain keys within a version; a key that goes or changes its meaning raises it."""

Items = Sequence[dict[str, Any]]


class Unwritten(Exception):
    """Standard output does not take the result of a command."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output: {error.strerror}")
        self.is_closed_pipe = isinstance(error, BrokenPipeError)
        context = click.get_current_context(silent=True)
        self.command = context.command_path.partition(" ")[2] if context else ""


def emit(kind: str, items: Items, render: Callable[[Items], str]) -> None:
    """Print a command's result, rendered for a person or in the envelope."""
    write(envelope(kind, items) if settings().json else render(items))


def envelope(kind: str, items: Iterable[Any]) -> str:
    """The one line that `--json` prints. Bytes become "0x…", as everywhere in machine output."""
    body = {"v": ENVELOPE, "kind": kind, "items": list(items)}
    return msgspec.json.encode(plain(body)).decode()


def write(text: str) -> None:
    """Print lines on stdout at once, so that a pipe sees them and a closed pipe is noticed. Empty text is no line."""
    if not text:
        return
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise Unwritten(error) from error


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None for a pipe or a file, where lines may be as long as they are."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def diagnose(text: str) -> None:
    """Print a line for the person on stderr, which `--json` leaves alone. Where stderr takes none, nobody reads it."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        sys.stderr.flush()


def abandon_stdout() -> None:
    """Let what is still buffered, and all that follows, go nowhere: else Python complains about it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def plain(value: Any) -> Any:
    """`value` with bytes as "0x…" text, for JSON and for people."""
    match value:
        case bytes():
            return "0x" + value.hex()
        case dict():
            return {k if isinstance(k, str) else str(plain(k)): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case _:
            return value
