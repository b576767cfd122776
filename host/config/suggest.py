"""Guesses: which known name was meant."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean …?` with the known name closest to `name`, or the empty string when none is close."""
    import difflib  # costs milliseconds that only a mistake should

    names = list(known)
    folded = {each.lower().replace("_", "-"): each for each in names}
    close = folded.get(name.lower().replace("_", "-")) or next(iter(difflib.get_close_matches(name, names, n=1)), "")
    return f"did you mean `{close}`?" if close else ""
