"""Compares this run with an earlier one: for every figure in both, a ratio with an interval."""

from __future__ import annotations

from typing import Any

from bench.rounds import figure_from
from bench.spread import Ratio, ratio_of_medians


def compared(items: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items with `compared`: the ratio of this median to the earlier one, and the bounds of its interval.

    A figure that only one run has, or that has another unit, gets none.
    """
    before = {_key(item): item for item in earlier if item.get("values")}
    return [_compared(item, before.get(_key(item))) for item in items]


def _compared(item: dict[str, Any], earlier: dict[str, Any] | None) -> dict[str, Any]:
    if earlier is None or not item.get("values"):
        return item
    found = ratio_of_medians(figure_from(item).values, figure_from(earlier).values)
    return item | {"compared": {"ratio": found.value, "low": found.low, "high": found.high}}


def verdict(ratio: Ratio, more_is_better: bool) -> str:
    """`better`, `worse`, or `same` if the interval contains 1."""
    if ratio.is_one:
        return "same"
    return "better" if (ratio.value > 1) == more_is_better else "worse"


def _key(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["suite"], item["peer"], item["unit"]
