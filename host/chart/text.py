"""A chart as text: a line an event, with time, lanes and label.

    TIME          cli.1   john   alice
    12:00:00.100    |----->|      |     Greet(whom=alice)
    12:00:00.101    |      |----->|     Greeting(yours_truly=john)
    12:00:00.102    |      |      o     timer nap set: 2 s

Each participant has a *lane*. `--->` is a message where it was taken, `- ->` one drawn where it was sent, `===>` a
spawn, `--->x` a message that its receiver did not take. A message to oneself is `@`, anything else an `o`. If lanes
leave less than `LABEL_MIN` columns for labels, each line has names instead (`john -> alice`). Nothing is cut off: long
labels go on in the next line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap
from typing import Final

from host.chart.escapes import one_line
from host.chart.labels import delay_label
from host.chart.model import Arrow, Chart, ChartEvent, Fate, merge_outsiders, said

WIDTH: Final = 80
"""Columns, unless the terminal has more."""
LABEL_MIN: Final = 34
"""Columns of labels that lanes must leave, enough for a type with a field or two."""
LANE_MIN: Final = 7
"""Columns from lane to lane, so that an arrow is seen to be one."""
WHO_MAX: Final = 34
"""Columns for names instead of lanes; longer ones have their label in the next line."""
GAP: Final = "  "

_NOT_TAKEN: Final[frozenset[Fate]] = frozenset({"overflow", "refused", "failed", "skipped", "lost"})


def text(chart: Chart, width: int = WIDTH, show_time: Callable[[int], str] = delay_label) -> str:
    """The chart in lines of `width` columns, and its notes. `show_time` has the same length for each time or nearly."""
    times = [show_time(event.time_ns) for event in chart.events]
    time_width = max(map(len, ["TIME", *times]))
    drawn = merge_outsiders(chart)
    lines: list[str] = []
    if chart.events:
        lanes = _Lanes([one_line(one.name) for one in drawn.participants], [one.name for one in drawn.participants])
        is_in_lanes = time_width + lanes.width + 2 * len(GAP) + LABEL_MIN <= width
        body = _in_lanes(drawn, lanes) if is_in_lanes else _by_name(chart)
        for time, (head, under, label) in zip(["TIME", *times], body, strict=True):
            lines += _lines(time.ljust(time_width), head, under, label, width)
    return "\n".join([*lines, *(one_line(note) for note in chart.notes)])


Row = tuple[str, str, str]
"""The drawing of an event, what is drawn below it if the label takes more lines, and the label."""


class _Lanes:
    """The columns of the participants."""

    def __init__(self, shown: Sequence[str], names: Sequence[str]) -> None:
        self.at: dict[str, int] = {}
        self.heads: list[tuple[int, str]] = []
        end = 0
        for name, key in zip(shown, names, strict=True):
            middle = end + len(name) // 2
            if self.at:
                middle = max(middle, max(self.at.values()) + LANE_MIN)
            begin = middle - len(name) // 2
            self.at[key] = middle
            self.heads.append((begin, name))
            end = begin + len(name) + len(GAP)
        self.width = max((begin + len(name) for begin, name in self.heads), default=0)

    def head(self) -> str:
        """The names over their lanes."""
        line = [" "] * self.width
        for begin, name in self.heads:
            line[begin : begin + len(name)] = name
        return "".join(line)

    def empty(self) -> list[str]:
        """Lanes without an event."""
        line = [" "] * self.width
        for column in self.at.values():
            line[column] = "|"
        return line

    def draw(self, event: ChartEvent) -> str:
        """An event in its lanes."""
        line = self.empty()
        if not isinstance(event, Arrow):
            for name in event.engines:
                line[self.at[name]] = "o"
        elif event.source == event.target:
            line[self.at[event.source]] = "@"
        else:
            self._arrow(line, event)
        return "".join(line)

    def _arrow(self, line: list[str], event: Arrow) -> None:
        source, target = self.at[event.source], self.at[event.target]
        step = 1 if source < target else -1
        for distance, column in enumerate(range(source + step, target, step)):
            line[column] = _stroke(event.fate, distance)
        line[target - step] = ">" if step > 0 else "<"
        if event.fate in _NOT_TAKEN:
            line[target] = "x"


def _stroke(fate: Fate, distance: int) -> str:
    match fate:
        case "spawn":
            return "="
        case "sent" | "waiting" | "lost":
            return " " if distance % 2 else "-"
        case _:
            return "-"


def _in_lanes(chart: Chart, lanes: _Lanes) -> Iterator[Row]:
    yield lanes.head(), "", ""
    under = "".join(lanes.empty())
    for event in chart.events:
        yield lanes.draw(event), under, said(event)


def _by_name(chart: Chart) -> Iterator[Row]:
    names = [_who(event) for event in chart.events]
    width = max((len(name) for name in names if len(name) <= WHO_MAX), default=0)
    yield "WHO".ljust(width), "", ""
    for name, event in zip(names, chart.events, strict=True):
        yield name.ljust(width), " " * width, said(event)


def _who(event: ChartEvent) -> str:
    if not isinstance(event, Arrow):
        return one_line(", ".join(event.engines))
    arrow = {"spawn": "=>", "sent": "~>", "waiting": "~>", "lost": "~>x"}.get(event.fate, "->")
    return one_line(f"{event.source} {arrow} {event.target}")


def _lines(time: str, head: str, under: str, label: str, width: int) -> Iterator[str]:
    """The lines of a row. A head that is longer than what is below it has a line of its own."""
    column = len(time) + len(GAP) + len(under) + len(GAP)
    pieces = wrap(label, max(width - column, LABEL_MIN // 2), break_on_hyphens=False) or [""]
    if label and len(head) > len(under):
        pieces.insert(0, "")
    yield GAP.join([time, head, pieces[0]]).rstrip()
    for piece in pieces[1:]:
        yield GAP.join([" " * len(time), under, piece]).rstrip()
