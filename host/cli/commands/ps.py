"""`enginehost ps`: the engines of the running node, in under 100 ms."""

from __future__ import annotations

import click

from host.chart.escapes import one_line
from host.cli.output import Items, clear, terminal_width
from host.cli.session import select_instance, show
from host.cli.settings import common
from host.cli.table import Column, or_dash, render_items
from host.cli.units import show_bytes, show_count, show_rate
from host.live.control.client import Client

VERSION_SHOWN = 8
"""Digits of the version digest that are shown; enough to notice a change."""

COLUMNS = (
    Column("ENGINE", "engine"),
    Column("FAMILY", "family", shrinks=True),
    Column("STATE", "state"),
    Column("PID", "pid", or_dash, number=True),
    Column("PLACEMENT", "placement", drop=3),
    Column("MAIL", "mailbox_depth", show_count, number=True),
    Column("IN/S", "in_rate", show_rate, number=True),
    Column("OUT/S", "out_rate", show_rate, number=True, drop=1),
    Column("HANDLED", "handled", show_count, number=True),
    Column("RESTARTS", "restarts", show_count, number=True),
    Column("MEMORY", "memory_bytes", lambda size: show_bytes(size) if size else "-", number=True, drop=2),
    Column("VERSION", "version", lambda version: or_dash(version)[:VERSION_SHOWN], drop=4),
)

WATCH_NS = 1_000_000_000
"""Interval of `--watch`."""


@click.command("ps")
@click.option("--watch", is_flag=True, help="Refresh every second, until Ctrl-C or the node's end.")
@common
def command(watch: bool) -> None:
    """List the engines of the running node: process, waiting mail, rates, restarts, code version.

    A narrow terminal shows only the more important columns.

    Below the table: reasons of failed engines, engines that wait for an answer, and notes if links are not native
    or receivers sleep at once.
    """
    with Client(select_instance().control) as client:
        show(client.request("ps"), render_engines)
        while watch and not client.wait_ended(WATCH_NS):
            response = client.request("ps")
            clear()
            show(response, render_engines)


def render_engines(items: Items) -> str:
    """The table, then notes."""
    table = render_items(COLUMNS, items, terminal_width())
    return "\n".join([table, *_faults(items), *_waiting(items), *_slow_links(items), *_blocking(items)])


def _faults(items: Items) -> list[str]:
    return [
        f"{i['engine']}: {one_line(str(i['fault']).strip().splitlines()[0])}"
        for i in items
        if str(i.get("fault", "")).strip()
    ]


def _waiting(items: Items) -> list[str]:
    return [
        f"{i['engine']} waits for a choice: {', '.join(map(str, i['waits_for']))}"
        f"  (enginehost answer {i['engine']} CHOICE)"
        for i in items
        if i.get("waits_for")
    ]


def _slow_links(items: Items) -> list[str]:
    if all(i.get("native", True) for i in items):
        return []
    return ["links are ZeroMQ, not shared memory (enginehost doctor shows why)"]


def _blocking(items: Items) -> list[str]:
    if all(i.get("wait") != "block" for i in items):
        return []
    return ["idle receivers sleep at once (transport: {wait: block})"]
