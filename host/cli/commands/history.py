"""`enginehost history`: the transitions of an engine, from its journal."""

from __future__ import annotations

from collections import deque
from itertools import islice

import click

from host.chart.escapes import one_line
from host.cli.journals import named_logs, told
from host.cli.output import each, emit
from host.cli.problem import CliError
from host.cli.settings import common
from host.cli.table import leaf
from host.cli.units import Count, show_time


@click.command("history")
@click.argument("engine")
@click.argument("journal", required=False, type=click.Path())
@click.option("--limit", type=Count(0), default=100, show_default=True, help="Show the newest N.")
@click.option("--from", "first", type=Count(1), metavar="N", help="Begin at turn N, the oldest first.")
@common
def command(engine: str, journal: str | None, limit: int, first: int | None) -> None:
    """Show the transitions of ENGINE in JOURNAL (a node's data folder), with time, trigger and outcome.

    Imports no family: messages are shown in their wire form.
    """
    from host.live.journal import operations

    logs = named_logs(journal)
    with told():
        turns = operations.history(logs, engine)
        if first is None:
            items = list(deque(turns, maxlen=limit))
        else:
            items = list(islice((turn for turn in turns if turn["turn"] >= first), limit))
    if not items:
        raise CliError("not_found", f"{logs.data} has no turns of {engine}")
    emit("turn", items, render_turns)


@each
def render_turns(item: dict[str, object]) -> str:
    """One line per turn."""
    if "timers" in item:
        cause = f"timers {leaf(item['timers'])}"
    elif "resumed" in item:
        cause = "answered"
    else:
        cause = f"{item['sender']} {item['n']}  {leaf(item['message'])}"
    outputs = item["outputs"]
    sent = f"  outputs {outputs:08x}" if isinstance(outputs, int) and outputs else ""
    return one_line(f"{item['turn']}  {show_time(item['time'])}  {cause}  {item['result']}{sent}")
