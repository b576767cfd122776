"""`enginehost timers`: pending timers."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.table import Column, render_table
from host.cli.units import show_duration, show_time

COLUMNS = (
    Column("ENGINE"),
    Column("TIMER"),
    Column("NUMBER", number=True),
    Column("DEADLINE"),
    Column("IN", number=True),
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
    return render_table(COLUMNS, [_row(i) for i in sorted(items, key=lambda i: i["deadline_ns"])])


def _row(item: dict[str, object]) -> list[str]:
    left = item.get("in_ns")
    return [
        str(item["engine"]),
        str(item["name"]),
        str(item.get("number", "")),
        show_time(item["deadline_ns"]),
        show_duration(left) if isinstance(left, int) else "-",
    ]
