"""`enginehost logs`: notes of engines and output of their processes."""

from __future__ import annotations

import click

from host.chart.escapes import one_line
from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import show_stream
from host.cli.settings import common_following
from host.cli.table import leaf
from host.cli.units import show_time


@click.command("logs")
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option("-f", "--follow", is_flag=True, help="Also show new lines, until Ctrl-C or the node's end.")
@click.option(
    "--limit", type=click.IntRange(0, 100_000), default=100, show_default=True, help="Begin with the newest N."
)
@common_following
def command(engine: str | None, follow: bool, limit: int) -> None:
    """Show the notes and output of ENGINE or of all engines. With --json --follow, one envelope per batch of lines."""
    show_stream("logs", {"engine": engine, "follow": follow, "limit": limit}, "log", render_lines)


def render_lines(items: Items) -> str:
    """One line per note: time, engine, text, fields."""
    return "\n".join(one_line(_line(i)) for i in items)


def _line(item: dict[str, object]) -> str:
    fields = item.get("fields")
    shown = [f"{k}={leaf(v)}" for k, v in fields.items()] if isinstance(fields, dict) else []
    head = [show_time(item.get("time")), f"{item.get('engine') or 'node'}:", str(item.get("text", ""))]
    return "  ".join([*head, *shown])
