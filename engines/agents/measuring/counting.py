"""What events count for in rollups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..bus import OPERATOR
from ..messages import Happened
from .rollups import Series

GONE: Final = ("retired", "life.removed")
"""Events after which there is no such agent; they count for nothing."""

NAMING: Final = ("code", "rule")
"""Attributes by which refusals and alarms are counted as well."""


def values_of(events: Iterable[Happened]) -> list[tuple[Series, float, int]]:
    """The values of events for rollups: one of its kind for each, or its value, or its values; each with its time."""
    found: list[tuple[Series, float, int]] = []
    known: dict[tuple[str, str, str, str, str], Series] = {}
    for event in events:
        if event.kind in GONE and event.agent not in ("", OPERATOR):
            continue
        for measure, values in _measures(event):
            key = (event.agent, measure, event.state, event.protocol, event.version)
            series = known.get(key) or known.setdefault(key, Series(*key))
            found += [(series, value, event.time_ns) for value in values]
    return found


def _measures(event: Happened) -> Iterator[tuple[str, tuple[float, ...]]]:
    yield event.kind, event.values or (1.0 if event.value is None else event.value,)
    for name, text in event.attributes:
        if name in NAMING:
            yield f"{event.kind}.{text[:64]}", (1.0,)
