"""What is left of a node file without its mistakes of shape, so that its meaning can be checked all the same."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import msgspec

from .finding import Finding, Path
from .names import UNREADABLE, UNREADABLE_FAMILY
from .schema import NodeEntry


def salvage(node: Any, findings: Iterable[Finding]) -> NodeEntry | None:
    """What is left when the findings are cut out, or None when that is no node."""
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
