"""Circles of engines that wait for each other to take mail: found among the neighbours of one slot."""

from __future__ import annotations

from collections.abc import Mapping

from host.node.cell import Cell


def closes_circle(cells: Mapping[str, Cell], cell: Cell, target: Cell) -> bool:
    """Whether `target` waits, directly or not, for `cell` to take mail; also when it is `cell` itself."""
    seen: set[str] = set()
    ahead = [target]
    while ahead:
        found = ahead.pop()
        if found is cell:
            return True
        if found.name not in seen:
            seen.add(found.name)
            ahead.extend(cells[name] for name in found.held if name in cells)
    return False
