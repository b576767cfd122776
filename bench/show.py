"""Figures as text: values with units, and the table of the command."""

from __future__ import annotations

from typing import Any, Final

from bench.compare import verdict
from bench.spread import Ratio
from host.chart.escapes import one_line
from host.cli.table import Column
from host.cli.table import render_table as table_of
from host.cli.units import show_bytes, show_count, show_duration

COLUMNS: Final = (
    Column("SUITE"),
    Column("PEER"),
    Column("MEDIAN", number=True),
    Column("MIN MAX", number=True, drop=1),
    Column("X ENGINEHOST", number=True),
    Column("SINGLE TIMES", drop=2),
    Column("BY EARLIER"),
)

BUSY_LOAD: Final = 0.5
"""Load per core beyond which figures are doubtful."""


def show_value(value: float, unit: str) -> str:
    """A value with a suitable unit: times, sizes, rates."""
    if unit == "ns":
        return show_duration(round(value))
    if unit == "bytes":
        return show_bytes(round(value))
    if unit == "bytes/s":
        return f"{show_bytes(round(value))}/s"
    return show_count(value)


def show_spread(item: dict[str, Any]) -> str:
    """Smallest and largest round relative to the median: `-3 % +1 %`."""
    middle = item["median"]
    return f"{item['min'] / middle - 1:+.0%} {item['max'] / middle - 1:+.0%}"


def show_percentiles(item: dict[str, Any]) -> str:
    """`p50 44.0 us, p99 61.2 us, longest 1.02 ms`, for suites with single times; p999 only if it is not the longest."""
    taken_ns = item.get("taken_ns") or {}
    names = {name: name for name in ("p50", "p99", "p999") if name in taken_ns} | {"max": "longest"} if taken_ns else {}
    if names and taken_ns.get("p999") == taken_ns["max"]:
        names.pop("p999", None)
    return ", ".join(f"{shown} {show_duration(round(taken_ns[name]))}" for name, shown in names.items())


def relative(item: dict[str, Any], items: list[dict[str, Any]]) -> float | None:
    """The ratio of this figure to that of `enginehost` in the same suite."""
    ours = [other for other in items if other["suite"] == item["suite"] and other["peer"] == "enginehost"]
    if not ours or "median" not in ours[0] or "median" not in item:
        return None
    return float(item["median"] / ours[0]["median"])


def show_times(times: float | None, item: dict[str, Any]) -> str:
    """A ratio with three digits; "" for `enginehost`, which would always be 1."""
    if times is None or item["peer"] == "enginehost":
        return ""
    return f"{times:,.0f}" if times >= 100 else f"{times:.3g}"


def more_is_better(item: dict[str, Any]) -> bool:
    """Rates should be high, times and sizes low."""
    return str(item["unit"]).endswith("/s")


def render_table(items: list[dict[str, Any]], width: int | None) -> str:
    """A table, one line per suite and peer; below it, one line per reason for missing figures."""
    rows = [_row(item, items) for item in items if "median" in item]
    used = [at for at in range(len(COLUMNS)) if any(row[at] for row in rows)]
    table = [table_of([COLUMNS[at] for at in used], [[row[at] for at in used] for row in rows], width)] if rows else []
    return "\n".join([*table, *_not_measured(items), *_busy(items)])


def _row(item: dict[str, Any], items: list[dict[str, Any]]) -> list[str]:
    counted = f" {item['unit']}" if more_is_better(item) and item["unit"] != "bytes/s" else ""
    value = show_value(item["median"], item["unit"]) + counted
    spread = show_spread(item) if item["min"] != item["max"] else ""
    shown = show_times(relative(item, items), item)
    return [item["suite"], item["peer"], value, spread, shown, show_percentiles(item), _show_compared(item)]


def _not_measured(items: list[dict[str, Any]]) -> list[str]:
    peers: dict[tuple[str, str], list[str]] = {}
    for item in items:
        if "median" not in item:
            peers.setdefault((item["suite"], item["note"]), []).append(item["peer"])
    return [one_line(f"{suite}: {', '.join(names)}: {note}") for (suite, note), names in peers.items()]


def _busy(items: list[dict[str, Any]]) -> list[str]:
    """A warning if the machine was busy when the run began."""
    run: dict[str, Any] = next((item["run"] for item in items if "run" in item), {})
    if run.get("load", 0) <= BUSY_LOAD * run.get("cores", 1):
        return []
    return [f"the machine was busy (load {run['load']:g} on {run['cores']} cores): figures and ratios are doubtful"]


def _show_compared(item: dict[str, Any]) -> str:
    if "compared" not in item:
        return ""
    found = Ratio(item["compared"]["ratio"], item["compared"]["low"], item["compared"]["high"])
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f}) {verdict(found, more_is_better(item))}"
