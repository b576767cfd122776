"""A mistake with its path in the data, before its place in the text is known."""

from __future__ import annotations

import msgspec

Path = tuple[str | int, ...]
"""Keys and list indexes, from the outside in."""


class Finding(msgspec.Struct, frozen=True):
    """A mistake at `path`. `at_key`: the key itself is wrong."""

    path: Path
    text: str
    suggestion: str = ""
    at_key: bool = False

    def __str__(self) -> str:
        """One line: `config.window_ns: expected …; did you mean …?`."""
        shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).lstrip(".")
        where = f"{shown}: " if shown else ""
        return f"{where}{self.text}; {self.suggestion}" if self.suggestion else f"{where}{self.text}"


def describe(found: object) -> str:
    """A value of a file, in words for a message."""
    match found:
        case None:
            return "nothing"
        case bool():
            return f"`{str(found).lower()}`"
        case "":
            return "an empty text"
        case str():
            return f"the text `{found if len(found) <= 40 else found[:40] + '…'}`".replace("\n", "⏎")
        case bytes():
            return f"{len(found)} bytes"
        case int() | float():
            return f"`{found}`"
        case dict():
            return "a mapping"
        case _:
            return "a list"
