"""`enginehost chart`: the sequence chart of a run, from its journal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import click
import msgspec

from host.chart.join import join
from host.chart.mermaid import CHARS_MAX, mermaid
from host.chart.model import Chart, participants_of
from host.chart.text import WIDTH, text
from host.cli.journals import named_logs, told
from host.cli.moments import Bound, BoundType
from host.cli.output import diagnose, emit, terminal_width, write
from host.cli.problem import CliError
from host.cli.settings import common, settings
from host.cli.units import Count, show_names, show_time

if TYPE_CHECKING:
    from host.live.journal.charts import LogMoments, Selection

LIMIT: Final = 200
"""Events of a chart: some screens of a terminal, and few enough for Mermaid."""


@click.command("chart")
@click.argument("journal", required=False, type=click.Path())
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="Only this engine; can be given repeatedly.")
@click.option("--from", "first", type=BoundType(last=False), help="Begin at turn N of the engine, or at a time.")
@click.option("--to", "last", type=BoundType(last=True), help="End with turn N of the engine, or at a time.")
@click.option("--limit", type=Count(1), default=LIMIT, show_default=True, help="Draw at most N events.")
@click.option("--text", "form", flag_value="text", default="text", help="For a terminal (default).")
@click.option("--mermaid", "form", flag_value="mermaid", help="As a Mermaid sequenceDiagram.")
@common
def command(
    journal: str | None, engines: tuple[str, ...], first: Bound | None, last: Bound | None, limit: int, form: str
) -> None:
    """Draw the sequence chart of the run in JOURNAL (a node's data folder).

    Times are like 12:30:05.250, or with a date 2026-01-31T12:30:05. Without --from, the newest events are drawn.
    Transitions run again with the code that made them, in a temporary process, as their outputs are not in a journal.
    """
    if form == "mermaid" and settings().json:
        raise click.UsageError("--json has the events themselves: leave --mermaid out")
    chart = _chart(journal, _selection(engines, first, last, limit), limit)
    if form == "mermaid":
        drawn = mermaid(chart)
        if len(drawn) > CHARS_MAX:
            diagnose(f"enginehost: {len(drawn)} characters, and most pages draw {CHARS_MAX}: give a smaller --limit")
        write(drawn)
        return
    emit("chart", [msgspec.to_builtins(chart)], lambda _: text(chart, terminal_width() or WIDTH, show_time))


def _selection(engines: tuple[str, ...], first: Bound | None, last: Bound | None, limit: int) -> Selection:
    from host.live.journal.charts import Selection

    for bound in (first, last):
        if bound is not None and bound.turn is not None and len(set(engines)) != 1:
            raise click.UsageError("--from and --to count turns of one engine: name it with --engine, or give times")
    return Selection(
        limit,
        tuple(dict.fromkeys(engines)),
        first.time_ns if first is not None else None,
        last.time_ns if last is not None else None,
        first.turn if first is not None else None,
        last.turn if last is not None else None,
    )


def _chart(journal: str | None, selection: Selection, limit: int) -> Chart:
    from host.live.journal.charts import LogMoments, log_moments
    from host.live.journal.child import run_in_child

    logs = named_logs(journal)
    with told():
        work = partial(log_moments, logs.folders, logs.node.node, logs.node.roots, selection)
        read = msgspec.convert(run_in_child(work), list[LogMoments])
    known = sorted({name for one in read for name in one.known})
    if unknown := [name for name in selection.engines if name not in known]:
        has = show_names(known) if known else "none"
        raise CliError("not_found", f"{logs.data} has nothing of {', '.join(unknown)}; its engines: {has}")
    chart = join([one.source for one in read], [note for one in read for note in one.notes])
    return _cut(chart, read, selection, limit)


def _cut(chart: Chart, read: Sequence[LogMoments], selection: Selection, limit: int) -> Chart:
    """At most `limit` events, and a note about those left out."""
    notes = list(chart.notes)
    is_long = len(chart.events) > limit
    events = chart.events[:limit] if selection.begins_at_bound else chart.events[-limit:]
    if is_long or any(one.was_cut for one in read):
        which, other = ("first", "later") if selection.begins_at_bound else ("newest", "earlier")
        notes.append(f"only the {which} {len(events)} events are drawn; {other} ones: --limit N, --from and --to")
    elif not events:
        notes.append("no events there")
    notes += [
        f"{one.source.name}: history is kept from {show_time(one.kept_from_ns)} on"
        for one in read
        if one.kept_from_ns and not selection.begins_at_bound and not one.was_cut
    ]
    inside = [one.name for one in chart.participants if not one.is_outside]
    return Chart(participants_of(events, inside), events, tuple(notes))
