"""`enginehost events`: starts, deaths, restarts and other events."""

from __future__ import annotations

import click

from host.chart.escapes import one_line
from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import show_stream
from host.cli.settings import common_following
from host.cli.table import leaf
from host.cli.units import show_duration, show_time


@click.command("events")
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option("-f", "--follow", is_flag=True, help="Also show new events, until Ctrl-C or the node's end.")
@click.option(
    "--limit", type=click.IntRange(0, 100_000), default=100, show_default=True, help="Begin with the newest N."
)
@common_following
def command(engine: str | None, follow: bool, limit: int) -> None:
    """Show starts, deaths, restarts, reloads and the like, of ENGINE or of the whole node."""
    show_stream("events", {"engine": engine, "follow": follow, "limit": limit}, "event", render_events)


def render_events(items: Items) -> str:
    """One line per event: time, engine, kind, then the fields of that kind."""
    return "\n".join(one_line(_line(i)) for i in items)


def _line(item: dict[str, object]) -> str:
    known = {"time", "kind", "engine"}
    shown = [_field(k, v) for k, v in item.items() if k not in known and v not in (None, "", [], {})]
    head = [show_time(item.get("time")), f"{item.get('engine') or 'node'}:", str(item.get("kind", ""))]
    return "  ".join([*head, *shown])


def _field(name: str, value: object) -> str:
    if name.endswith("_ns") and isinstance(value, int):
        return f"{name.removesuffix('_ns')}={show_duration(value)}"
    return f"{name}={leaf(value)}"
