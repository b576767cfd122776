"""The report: one self-contained HTML file, without scripts or external resources.

`bench.plot` draws the figures; the page includes `report.css`, which is beside this file.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from bench.plot import Scale, bar, percentiles, scale_for
from bench.show import more_is_better, relative, show_percentiles, show_spread, show_times, show_value
from bench.suites import NAMES, load_suite

STYLE: Final = Path(__file__).with_name("report.css")
FLOORS: Final = frozenset({"limit", "eventfd", "memcpy"})
"""Peers that are not alternatives, but limits of the machine."""
HEADINGS: Final = (("name", "peer"), ("plot", ""), ("number", "median"), ("number spread", "smallest, largest"))
ABOUT: Final = """
Every contestant of a suite runs once per round, in turn; the first round is a warm-up and is not counted. A bar or a
thick mark is the median of the rounds, a thin tick one round. Plots with a wide range of values have a logarithmic
scale, and marks instead of bars. Compare ratios inside this report, never figures of different machines.
<code>bench/README.md</code> explains each number.
"""

Item = dict[str, Any]


def write_report(path: str, items: list[Item]) -> None:
    """Write the report of a run. Raises OSError."""
    Path(path).write_text(report(items), encoding="utf-8")


def report(items: list[Item]) -> str:
    """The page for the items of a run, which are ordered by suite."""
    suites = [(name, list(group)) for name, group in groupby(items, key=lambda item: str(item["suite"]))]
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name, _ in suites)
    body = "".join(_suite(name, group) for name, group in suites)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>enginehost bench</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f"<h1>enginehost bench</h1><p>{ABOUT.strip()}</p>{_facts(items)}<nav>{links}</nav>{body}</body></html>\n"
    )


def _facts(items: list[Item]) -> str:
    """Machine, commit and so on, one line each; several values if a file combines several runs."""
    runs = [item.get("run", {}) for item in items]
    names = dict.fromkeys(name for run in runs for name in run)
    found = {name: dict.fromkeys(str(run[name]) for run in runs if name in run) for name in names}
    lines = (f"<dt>{escape(name)}</dt><dd>{escape('; '.join(values))}</dd>" for name, values in found.items())
    return f"<dl>{''.join(lines)}</dl>"


def _suite(name: str, items: list[Item]) -> str:
    measured = [item for item in items if "median" in item]
    title = load_suite(name).title if name in NAMES else ""
    better = "more is better" if more_is_better(items[0]) else "less is better"
    head = f'<section id="{escape(name)}"><h2>{escape(name)}: {escape(title)}</h2>'
    values = [value for item in measured for value in item["values"]]
    scale = scale_for(values) if values else None
    kind = ", logarithmic scale" if scale and scale.logarithmic else ""
    head += f'<p class="quiet">{escape(str(items[0]["unit"]))}, {better}{kind}</p>'
    return head + _figures(items, scale) + _single_times(measured) + _details(measured) + "</section>"


def _figures(items: list[Item], scale: Scale | None) -> str:
    rows = "".join(_row(item, items, scale) if scale and "median" in item else _missing(item) for item in items)
    heads = "".join(f'<th class="{kind}">{text}</th>' for kind, text in (*HEADINGS, ("number times", "by enginehost")))
    axis = _axis(scale, str(items[0]["unit"]), 3) if scale else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}{axis}</tbody></table>"


def _row(item: Item, items: list[Item], scale: Scale) -> str:
    value = show_value(item["median"], item["unit"])
    cells = [
        _name(item),
        ("plot", bar(scale, item["median"], item["values"], f"{item['peer']}: {value}")),
        ("number", escape(value)),
        ("number spread", escape(show_spread(item))),
        ("number times", show_times(relative(item, items), item)),
    ]
    return _cells(_kind(item), cells)


def _missing(item: Item) -> str:
    kind, note = "failed" if item["failed"] else "missing", escape(item["note"])
    return (
        f'<tr class="{kind}"><td class="name">{escape(item["peer"])}</td><td class="note" colspan="4">{note}</td></tr>'
    )


def _single_times(measured: list[Item]) -> str:
    """A second plot for suites with single times: from the median to the largest, over all rounds."""
    timed = [item for item in measured if item.get("taken_ns")]
    if not timed:
        return ""
    scale = scale_for([max(value, 1) for item in timed for value in item["taken_ns"].values()], always_logarithmic=True)
    rows = "".join(
        _cells(
            _kind(item),
            [
                _name(item),
                ("plot", percentiles(scale, item["taken_ns"], f"{item['peer']}: {show_percentiles(item)}")),
                ("note", escape(show_percentiles(item))),
            ],
        )
        for item in timed
    )
    about = "Single times of all rounds: a thick mark at p50, then p90, p99, p99.9 and the largest."
    return f'<p class="quiet">{about}</p><table><tbody>{rows}{_axis(scale, "ns", 1)}</tbody></table>'


def _details(measured: list[Item]) -> str:
    lines = [
        f"<dt>{escape(item['peer'])}, {escape(name)}</dt><dd>{value:,.0f}</dd>"
        for item in measured
        for name, value in (item.get("detail") or {}).items()
    ]
    return f"<dl>{''.join(lines)}</dl>" if lines else ""


def _axis(scale: Scale, unit: str, after: int) -> str:
    ticks = scale.ticks()
    marks = "".join(
        f'<span style="left:{scale.place(value) / 10:.1f}%">{escape(show_value(value, unit))}</span>' for value in ticks
    )
    rest = f'<td colspan="{after}"></td>'
    return f'<tr class="scale"><td></td><td class="plot"><div class="axis">{marks}</div></td>{rest}</tr>'


def _name(item: Item) -> tuple[str, str]:
    waits = f' <span class="quiet">{escape(item["wait"])}</span>' if item.get("wait") else ""
    return "name", escape(item["peer"]) + waits


def _kind(item: Item) -> str:
    if str(item["peer"]).startswith("enginehost"):
        return "ours"
    return "floor" if item["peer"] in FLOORS else "other"


def _cells(kind: str, cells: Iterable[tuple[str, str]]) -> str:
    shown = "".join(f'<td class="{column}">{text}</td>' for column, text in cells)
    return f'<tr class="{kind}">{shown}</tr>'
