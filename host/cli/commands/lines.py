"""`enginehost events` and `enginehost logs`: what happened, and what engines and their processes printed."""

from __future__ import annotations

from collections.abc import Callable

import click

from host.chart.escapes import one_line
from host.cli.output import each
from host.cli.session import complete_engine, show_stream
from host.cli.settings import common_following
from host.cli.table import leaf
from host.cli.units import show_duration, show_time

NEWEST = click.IntRange(0, 100_000)


@each
def render_events(item: dict[str, object]) -> str:
    """One line per event: time, engine, kind, then the fields of that kind."""
    known = {"time", "kind", "engine"}
    shown = [_field(k, v) for k, v in item.items() if k not in known and v not in (None, "", [], {})]
    return _line(item, "kind", shown)


@each
def render_lines(item: dict[str, object]) -> str:
    """One line per note: time, engine, text, fields."""
    fields = item.get("fields")
    return _line(item, "text", [f"{k}={leaf(v)}" for k, v in fields.items()] if isinstance(fields, dict) else [])


def _line(item: dict[str, object], text: str, shown: list[str]) -> str:
    head = [show_time(item.get("time")), f"{item.get('engine') or 'node'}:", str(item.get(text, ""))]
    return one_line("  ".join([*head, *shown]))


def _field(name: str, value: object) -> str:
    if name.endswith("_ns") and isinstance(value, int):
        return f"{name.removesuffix('_ns')}={show_duration(value)}"
    return f"{name}={leaf(value)}"


def _stream(name: str, kind: str, new: str, render: Callable[..., str], text: str) -> click.Command:
    @click.command(name, help=text)
    @click.argument("engine", required=False, shell_complete=complete_engine)
    @click.option("-f", "--follow", is_flag=True, help=f"Also show new {new}, until Ctrl-C or the node's end.")
    @click.option("--limit", type=NEWEST, default=100, show_default=True, help="Begin with the newest N.")
    @common_following
    def command(engine: str | None, follow: bool, limit: int) -> None:
        show_stream(name, {"engine": engine, "follow": follow, "limit": limit}, kind, render)

    return command


EVENTS = "Show starts, deaths, restarts, reloads and the like, of ENGINE or of the whole node."
LOGS = "Show the notes and output of ENGINE or of all engines. With --json --follow, one envelope per batch of lines."
events = _stream("events", "event", "events", render_events, EVENTS)
logs = _stream("logs", "log", "lines", render_lines, LOGS)
