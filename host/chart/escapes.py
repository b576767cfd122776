"""Characters that must not reach a terminal as they are, and their escapes."""

from __future__ import annotations

from typing import Final

NEWLINE: Final = ord("\n")

INVISIBLE: Final = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Control characters of ASCII and Latin 1, other ends of a line, and marks that change the direction of text."""

ESCAPES: Final = {c: f"\\x{c:02x}" if c < 0x7F else f"\\u{c:04x}" for c in INVISIBLE} | {
    ord("\t"): "\\t",
    ord("\r"): "\\r",
    NEWLINE: "\\n",
}
"""From 0x7f on, the form is valid in JSON too, whose encoder does not escape these characters."""


def one_line(text: object) -> str:
    """A text that stays on its line: line ends and other control characters as `\\n`, `\\x1b`."""
    return str(text).translate(ESCAPES)
