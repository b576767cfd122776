"""A chart as a Mermaid `sequenceDiagram`, for pages and comments that show such blocks as pictures. It has no times.

Names are only in the aliases of participants `p1`, `p2`, …: in an alias no word is reserved. Every other character than
letters, digits and harmless marks is written as a number between `#` and `;`, so none can end a statement, begin a
comment, a directive (`%%{`), a formula (`$$`), an option (`wrap:`) or an element of HTML.

| event | Mermaid |
|---|---|
| message where it was taken | `->>` |
| message that its receiver did not take | `-x` |
| message drawn where it was sent | `--)`, never taken `--x` |
| spawn | `-->>` |
| anything else | a note |
"""

from __future__ import annotations

from typing import Final

from host.chart.escapes import one_line
from host.chart.model import Arrow, Chart, ChartEvent, ChartMark, Fate, merge_outsiders, said

PLAIN: Final = frozenset(" _-.,=/()[]'+*?!~@")
"""Marks that mean nothing to Mermaid inside of a text."""
CHARS_MAX: Final = 50_000
"""Mermaid's own bound for a diagram (`maxTextSize`), unless a page sets another."""

_ARROWS: Final[dict[Fate, str]] = {
    "overflow": "-x",
    "refused": "-x",
    "failed": "-x",
    "skipped": "-x",
    "sent": "--)",
    "waiting": "--)",
    "lost": "--x",
    "spawn": "-->>",
}


def mermaid(chart: Chart) -> str:
    """The diagram, with the chart's notes as comments before it."""
    chart = merge_outsiders(chart)
    ids = {one.name: f"p{number}" for number, one in enumerate(chart.participants, start=1)}
    comments = [f"%% {escaped(note)}" for note in chart.notes]
    participants = [f"    {_role(one.is_outside)} {ids[one.name]} as {escaped(one.name)}" for one in chart.participants]
    events = [f"    {_statement(event, ids)}" for event in chart.events]
    return "\n".join(["sequenceDiagram", *(f"    {comment}" for comment in comments), *participants, *events])


def escaped(text: str) -> str:
    """A text that Mermaid shows as it is, but for control characters, which no picture can have."""
    shown = one_line(text)
    return "".join(char if char in PLAIN or char.isalnum() else f"#{ord(char)};" for char in shown) or "#32;"


def _role(is_outside: bool) -> str:
    return "actor" if is_outside else "participant"


def _statement(event: ChartEvent, ids: dict[str, str]) -> str:
    if isinstance(event, Arrow):
        arrow = _ARROWS.get(event.fate, "->>")
        return f"{ids[event.source]}{arrow}{ids[event.target]}: {escaped(said(event))}"
    return _note(event, ids)


def _note(mark: ChartMark, ids: dict[str, str]) -> str:
    """A note reaches from one participant to another: if some between have no part in it, it says who has."""
    order = [*ids]
    places = sorted(order.index(name) for name in mark.engines) or [0, len(order) - 1]
    first, last = order[places[0]], order[places[-1]]
    is_of_all = not mark.engines or places == list(range(places[0], places[-1] + 1))
    label = said(mark) if is_of_all else f"{', '.join(mark.engines)}: {said(mark)}"
    over = ids[first] if first == last else f"{ids[first]},{ids[last]}"
    return f"Note over {over}: {escaped(label)}"
