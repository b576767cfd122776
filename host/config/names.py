"""Names in a node file, and placeholders for unreadable ones."""

from __future__ import annotations

from typing import Final

FAMILY: Final = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"
"""A family as `package.module:NAME`, as a regular expression."""

UNREADABLE: Final = "unreadable"
"""Replaces a missing or malformed node name in a salvaged node."""

UNREADABLE_FAMILY: Final = "unreadable:FAMILY"
"""The same for a family; it is never imported."""


def entry_name(engine: str) -> str:
    """The key in the node file for an engine's name: `worker` for `worker.3` and `worker~2/child`."""
    return engine.partition("/")[0].partition("~")[0].partition(".")[0]
