"""Names close to one that was not found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`: did you mean 'x'?` or nothing, to be put behind a message."""
    close = difflib.get_close_matches(name, list(known), n=2)
    return f": did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
