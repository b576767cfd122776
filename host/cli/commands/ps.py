"""`enginehost ps`: the engines of the running node, in under 100 ms."""

from __future__ import annotations

import click

from host.chart.escapes import one_line
from host.cli.output import Items, clear, terminal_width
from host.cli.session import select_instance, show
from host.cli.settings import common
from host.cli.table import Column, render_table
from host.cli.units import show_bytes, show_count, show_rate
from host.live.control.client import Client

COLUMNS = (
    Column("ENGINE"),
    Column("FAMILY", shrinks=True),
    Column("STATE"),
    Column("PID", number=True),
    Column("PLACEMENT", drop=3),
    Column("MAIL", number=True),
    Column("IN/S", number=True),
    Column("OUT/S", number=True, drop=1),
    Column("HANDLED", number=True),
    Column("RESTARTS", number=True),
    Column("MEMORY", number=True, drop=2),
    Column("VERSION", drop=4),
)

VERSION_SHOWN = 8
"""Digits of the version digest that are shown; enough to notice a change."""


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
    table = render_table(COLUMNS, [_row(i) for i in items], terminal_width())
    return "\n".join([table, *_faults(items), *_waiting(items), *_slow_links(items), *_blocking(items)])


def _row(item: dict[str, object]) -> list[str]:
    memory = item.get("memory_bytes")
    return [
        str(item.get("engine", "")),
        str(item.get("family", "")),
        str(item.get("state", "")),
        str(item.get("pid") or "-"),
        str(item.get("placement", "")),
        show_count(_number(item, "mailbox_depth")),
        show_rate(_number(item, "in_rate")),
        show_rate(_number(item, "out_rate")),
        show_count(_number(item, "handled")),
        show_count(_number(item, "restarts")),
        show_bytes(memory) if isinstance(memory, int) and memory else "-",
        str(item.get("version") or "-")[:VERSION_SHOWN],
    ]


def _number(item: dict[str, object], key: str) -> float:
    value = item.get(key)
    return value if isinstance(value, int | float) else 0


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
