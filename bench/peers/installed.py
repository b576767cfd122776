"""Whether a peer from the extra `peers` is there, and what to say when it is not."""

from __future__ import annotations

from importlib.util import find_spec

from bench.rounds import Unavailable


def require(module: str) -> None:
    """Raises `Unavailable`, with the command that installs it, when there is no such module."""
    if find_spec(module) is None:
        raise Unavailable("not installed: pip install 'enginehost[peers]'")
