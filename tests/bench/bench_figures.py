"""Runs for tests of what is done with figures: made of figures, as a run makes them."""

from __future__ import annotations

from typing import Any

from bench.rounds import Figure
from bench.spread import median

RUN = {"processor": "a <fast> one", "commit": "abc", "native": "native lanes"}


def item(suite: str, peer: str, *values: float, unit: str = "records/s", **more: Any) -> dict[str, Any]:
    """The item of one figure."""
    return Figure(suite, peer, unit, tuple(values), **more).as_item() | {"run": RUN}


def envelope(items: list[dict[str, Any]]) -> dict[str, Any]:
    """What `bench --json` prints."""
    return {"v": 1, "kind": "bench", "items": items}


def middle(entry: dict[str, Any]) -> float:
    """The median of an item's values, by themselves."""
    return median(entry["values"])
