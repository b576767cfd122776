"""Names in a node file, and those that stand for what was unreadable in it."""

from __future__ import annotations

from typing import Final

UNREADABLE: Final = "unreadable"
"""Stands in a salvaged node for a node's name that is missing or misspelt."""

UNREADABLE_FAMILY: Final = "unreadable:FAMILY"
"""The same for a family; never looked up."""


def entry_name(engine: str) -> str:
    """The key in the node file that an engine's name comes from: `worker` for `worker.3` and `worker~2/child`."""
    return engine.partition("/")[0].partition("~")[0].partition(".")[0]
