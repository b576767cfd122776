"""`enginehost timers`: pending timers."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.table import Column, render_items
from host.cli.units import show_duration, show_time

COLUMNS = (
    Column("ENGINE", "engine"),
    Column("TIMER", "name"),
    Column("NUMBER", "number", number=True),
    Column("DEADLINE", "deadline_ns", show_time),
    Column("IN", "in_ns", show_duration, number=True),
)


@click.command("timers")
@click.argument("engine", required=False, shell_complete=complete_engine)
@common
def command(engine: str | None) -> None:
    """List pending timers, of ENGINE or of all engines, the next one first."""
    show(ask("timers", {"engine": engine}), render_timers)


def render_timers(items: Items) -> str:
    """The table, ordered by deadline."""
    if not items:
        return "no timer is pending"
    return render_items(COLUMNS, sorted(items, key=lambda i: i["deadline_ns"]))
