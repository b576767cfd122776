"""Figures for people: units by what a suite counts, and the table of the command."""

from __future__ import annotations

import io
from typing import Any

from bench.compare import verdict
from bench.spread import Ratio
from host.cli.units import show_bytes, show_count, show_duration


def show_value(value: float, unit: str) -> str:
    """A value with the unit that fits: times, sizes, rates."""
    if unit == "ns":
        return show_duration(round(value))
    if unit == "bytes":
        return show_bytes(round(value))
    if unit == "bytes/s":
        return f"{show_bytes(round(value))}/s"
    return show_count(value)


def show_spread(item: dict[str, Any]) -> str:
    """How far the smallest and the largest round lie from the median: `-3 % +1 %`."""
    middle = item["median"]
    return f"{item['min'] / middle - 1:+.0%} {item['max'] / middle - 1:+.0%}"


def show_percentiles(item: dict[str, Any]) -> str:
    """`p50 44.0 us, p99 61.2 us`, for suites of single times."""
    taken_ns = item.get("taken_ns") or {}
    return ", ".join(
        f"{name} {show_duration(round(taken_ns[name]))}" for name in ("p50", "p99", "p999") if name in taken_ns
    )


def relative(item: dict[str, Any], items: list[dict[str, Any]]) -> float | None:
    """This figure by that of `enginehost` in the same suite."""
    ours = [other for other in items if other["suite"] == item["suite"] and other["peer"] == "enginehost"]
    if not ours or "median" not in ours[0] or "median" not in item:
        return None
    return float(item["median"] / ours[0]["median"])


def show_times(times: float | None, item: dict[str, Any]) -> str:
    """A ratio with three digits; nothing for ours, which would always be 1."""
    if times is None or item["peer"] == "enginehost":
        return ""
    return f"{times:,.0f}" if times >= 100 else f"{times:.3g}"


def more_is_better(item: dict[str, Any]) -> bool:
    """Rates should be high, times and sizes low."""
    return str(item["unit"]).endswith("/s")


def render_table(items: list[dict[str, Any]], width: int | None) -> str:
    """A table, one line a suite and peer; the notes of those without figures stand where the figures would."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    with_compared = any("compared" in item for item in items)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("SUITE", "PEER"):
        table.add_column(title, no_wrap=True)
    for title in ("MEDIAN", "UNIT", "MIN MAX", "X ENGINEHOST"):
        table.add_column(title, justify="left" if title == "UNIT" else "right", no_wrap=True)
    table.add_column("SINGLE TIMES, NOTES")
    if with_compared:
        table.add_column("BY EARLIER", no_wrap=True)
    for index, item in enumerate(items):
        last = index + 1 == len(items) or items[index + 1]["suite"] != item["suite"]
        table.add_row(*_row(item, items), *([_show_compared(item)] if with_compared else []), end_section=last)
    text = io.StringIO()
    Console(file=text, width=width or 200, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _row(item: dict[str, Any], items: list[dict[str, Any]]) -> list[str]:
    from rich.markup import escape

    if "median" not in item:
        return [item["suite"], item["peer"], "-", item["unit"], "", "", escape(item["note"])]
    shown = show_times(relative(item, items), item)
    value = show_value(item["median"], item["unit"])
    return [item["suite"], item["peer"], value, item["unit"], show_spread(item), shown, show_percentiles(item)]


def _show_compared(item: dict[str, Any]) -> str:
    if "compared" not in item:
        return ""
    found = Ratio(item["compared"]["ratio"], item["compared"]["low"], item["compared"]["high"])
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f}) {verdict(found, more_is_better(item))}"
