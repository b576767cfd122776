"""Suggestions of known names for misspelt ones."""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name`, or the empty string when none is close."""
    import difflib  # takes milliseconds: only after a mistake

    names = list(known)
    folded = {each.lower().replace("_", "-"): each for each in names}
    return folded.get(name.lower().replace("_", "-")) or next(iter(difflib.get_close_matches(name, names, n=1)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean …?` with the closest known name, or the empty string."""
    close = closest(name, known)
    return f"did you mean `{close}`?" if close else ""
