"""A chart: participants, and events in one order, each of which is an arrow between two or a mark at some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

Fate: TypeAlias = Literal[
    "taken", "stored", "overflow", "refused", "failed", "skipped", "asked", "sent", "waiting", "lost", "spawn"
]
"""What became of an arrow. From `taken` to `asked`: the receiver's transition, `asked` if it then waits for an answer.
`sent`: drawn where it was sent, as its taking is not in the chart; `waiting`: it waits in its mailbox; `lost`: it was
never taken. `spawn`: a birth."""

MarkKind: TypeAlias = Literal[
    "fired",
    "set",
    "cancelled",
    "asked",
    "answered",
    "failed",
    "note",
    "ended",
    "began",
    "reloaded",
    "restarted",
]
"""What a mark says: timers elapsed, one set or cancelled; a question and an answer to one; a transition failed; an
engine wrote a note, ended, or began; its code was replaced; its process started again."""


class Arrow(msgspec.Struct, frozen=True, tag="arrow"):
    """A message, or a spawn. `label` is its type with short fields; `detail` adds to the fate, as a reason."""

    time_ns: int
    source: str
    target: str
    label: str
    fate: Fate = "taken"
    detail: str = ""


class ChartMark(msgspec.Struct, frozen=True, tag="mark"):
    """Something at `engines`, without a message. A mark of none stands for the whole system."""

    time_ns: int
    engines: tuple[str, ...]
    kind: MarkKind
    label: str


ChartEvent: TypeAlias = Arrow | ChartMark


class Participant(msgspec.Struct, frozen=True):
    """A name in a chart. `is_outside`: only its messages with the others are known, as those of a command."""

    name: str
    is_outside: bool = False


class Chart(msgspec.Struct, frozen=True):
    """`events` in order; each name in them is one of `participants`. `notes` say what is not in the chart, and why."""

    participants: tuple[Participant, ...]
    events: tuple[ChartEvent, ...]
    notes: tuple[str, ...] = ()


OUTSIDE: Final = "outside"
OUTSIDERS_MAX: Final = 2
"""Outside participants with a lane each; more of them share one, and the labels have their names."""


def names_of(event: ChartEvent) -> tuple[str, ...]:
    """The participants of an event."""
    return (event.source, event.target) if isinstance(event, Arrow) else event.engines


def participants_of(events: Sequence[ChartEvent], inside: Sequence[str]) -> tuple[Participant, ...]:
    """The names in `events` in order of their first arrow, then of their first mark; others than `inside` come first.

    Marks count less, since engines that begin together do so in any order.
    """
    arrows_first = sorted(events, key=lambda event: not isinstance(event, Arrow))
    names = dict.fromkeys(name for event in arrows_first for name in names_of(event))
    known = set(inside)
    found = [Participant(name, name not in known) for name in names]
    return tuple(sorted(found, key=lambda one: not one.is_outside))


def merge_outsiders(chart: Chart) -> Chart:
    """The chart with one participant for all from outside, if they are more than `OUTSIDERS_MAX`."""
    outside = {one.name for one in chart.participants if one.is_outside}
    if len(outside) <= OUTSIDERS_MAX:
        return chart
    inside = tuple(one for one in chart.participants if not one.is_outside)
    events = tuple(_merged(event, outside) for event in chart.events)
    return Chart((Participant(OUTSIDE, True), *inside), events, chart.notes)


def _merged(event: ChartEvent, outside: set[str]) -> ChartEvent:
    if not isinstance(event, Arrow):
        return event
    label = event.label
    if event.target in outside:
        label = f"to {event.target}: {label}"
    if event.source in outside:
        label = f"from {event.source}: {label}"
    source = OUTSIDE if event.source in outside else event.source
    target = OUTSIDE if event.target in outside else event.target
    return msgspec.structs.replace(event, source=source, target=target, label=label)


_SAID: Final[dict[Fate, str]] = {
    "stored": "stored",
    "overflow": "not stored: its mailbox is full",
    "refused": "refused",
    "failed": "failed",
    "skipped": "taken out without a transition",
    "waiting": "waits in the mailbox",
    "lost": "never taken",
}


def said(event: ChartEvent) -> str:
    """An event's label with its fate."""
    if not isinstance(event, Arrow):
        return event.label
    fate = _SAID.get(event.fate, "")
    text = f"{fate}: {event.detail}" if fate and event.detail else fate or event.detail
    return f"{event.label} ({text})" if text else event.label
