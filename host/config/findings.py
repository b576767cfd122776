"""A mistake by its path in the data, before its place in the text is known; and what is left without mistakes."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from .schema import NodeEntry
from .yaml_text import Path

UNREADABLE: Final = "unreadable"
"""Stands in a salvaged node for a node's name that is missing or misspelt."""
UNREADABLE_FAMILY: Final = "unreadable:FAMILY"
"""The same for a family; never looked up."""


class Finding(msgspec.Struct, frozen=True):
    """A mistake at `path`; `at_key`: it is the key that is wrong. `removes`: `salvage` cuts it out."""

    path: Path
    text: str
    suggestion: str = ""
    at_key: bool = False
    removes: bool = True


def salvage(node: Any, findings: Iterable[Finding]) -> NodeEntry | None:
    """What is left of a node file without the mistakes of shape, or None when that is no node."""
    rest = copy.deepcopy(node)
    for finding in sorted(findings, key=_order, reverse=True):
        if finding.removes:
            _remove(rest, finding.path)
    if not isinstance(rest, dict):
        return None
    rest.setdefault("node", UNREADABLE)
    engines = rest.get("engines")
    for engine in engines.values() if isinstance(engines, dict) else ():
        engine.setdefault("family", UNREADABLE_FAMILY)
    try:
        return msgspec.convert(rest, NodeEntry)
    except msgspec.ValidationError:
        return None


def _order(finding: Finding) -> list[tuple[int, str]]:
    """Removed from the last to the first: in a list, later items go before earlier ones move."""
    return [(step, "") if isinstance(step, int) else (-1, step) for step in finding.path]


def _remove(node: Any, path: Path) -> None:
    """Take out what is at `path`, unless something above it is out already."""
    for step in path[:-1]:
        node = node[step] if _has(node, step) else None
    if path and _has(node, path[-1]):
        del node[path[-1]]


def _has(node: Any, step: str | int) -> bool:
    if isinstance(node, dict):
        return step in node
    return isinstance(node, list) and isinstance(step, int) and step < len(node)
