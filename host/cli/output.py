"""Results on stdout: the envelope of `--json`, or text for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from host.cli.settings import settings

ENVELOPE: Final = 1
"""Version of the envelope. Items gain keys within a version; a key that goes or changes its meaning raises it."""

Items = Sequence[dict[str, Any]]


def emit(kind: str, items: Items, render: Callable[[Items], str]) -> None:
    """Print a command's result, rendered for a person or in the envelope."""
    write(envelope(kind, items) if settings().json else render(items))


def envelope(kind: str, items: Iterable[Any]) -> str:
    """The one line that `--json` prints. Bytes become "0x…", as everywhere in machine output."""
    body = {"v": ENVELOPE, "kind": kind, "items": list(items)}
    return msgspec.json.encode(plain(body)).decode()


def write(text: str) -> None:
    """Print lines on stdout at once, so that a pipe sees them and a closed pipe is noticed. Empty text is no line."""
    if text:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None for a pipe or a file, where lines may be as long as they are."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def diagnose(text: str) -> None:
    """Print a line for the person on stderr, which `--json` leaves alone."""
    sys.stderr.write(text if text.endswith("\n") else text + "\n")
    sys.stderr.flush()


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
