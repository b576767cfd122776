"""What is remembered for a while: the newest keys, in two generations, so that forgetting costs nothing a key.

At least `bound // 2` of the newest keys are remembered, at most `bound`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from engines.model import Map

K = TypeVar("K")
V = TypeVar("V")


def remembered(young: Map[K, V], old: Map[K, V], new: Iterable[tuple[K, V]], bound: int) -> tuple[Map[K, V], Map[K, V]]:
    """Both generations with these pairs. The young one becomes the old one when it is full."""
    after = young.updated(new)
    return (Map(), after) if len(after) >= bound // 2 else (after, old)
