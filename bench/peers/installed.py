"""Check that a peer from the extra `peers` is installed."""

from __future__ import annotations

from importlib.util import find_spec

from bench.rounds import Unavailable


def require(module: str) -> None:
    """Raises `Unavailable`, with the command that installs it, if the module is missing."""
    if find_spec(module) is None:
        raise Unavailable("not installed: pip install 'enginehost[peers]'")
