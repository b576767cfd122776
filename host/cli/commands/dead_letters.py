"""`enginehost dead-letters`: undelivered messages."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.problem import CliError
from host.cli.session import ask, show, show_left_behind
from host.cli.settings import common
from host.cli.table import Column, leaf, render_table
from host.cli.units import show_count, show_time

COLUMNS = (Column("TIME"), Column("REASON"), Column("SENDER"), Column("TARGET"), Column("MESSAGE"))
COUNT_COLUMNS = (Column("REASON"), Column("COUNT", number=True))

LETTERS_KEPT = 1_000
"""A node keeps this many, the newest; counters include older ones."""


@click.command("dead-letters")
@click.argument("engine", required=False, shell_complete=complete_engine)
@click.option("--limit", type=click.IntRange(1, LETTERS_KEPT), default=20, show_default=True, help="Show the newest N.")
@click.option("--counts", is_flag=True, help="Show counters by reason instead, for the whole life of the node.")
@common
def command(engine: str | None, limit: int, counts: bool) -> None:
    """List undelivered messages with time, reason, sender and target, of ENGINE or of the whole node."""
    args = {"engine": engine, "limit": limit, "counts": counts}
    render = render_counts if counts else render_letters
    try:
        show(ask("dead_letters", args), render)
    except CliError as error:
        show_left_behind("dead_letters", args, "count" if counts else "dead_letter", render, error)


def render_letters(items: Items) -> str:
    """The table; below it, the output of failed actions."""
    if not items:
        return "no dead letters"
    details = [f"\n{i['reason']} at {i['target']}:\n{i['detail'].rstrip()}" for i in items if "\n" in _detail(i)]
    return "\n".join([render_table(COLUMNS, [_row(i) for i in items]), *details])


def render_counts(items: Items) -> str:
    """Reasons with their counts."""
    if not items:
        return "no dead letters"
    return render_table(COUNT_COLUMNS, [[str(i["reason"]), show_count(i["count"])] for i in items])


def _row(item: dict[str, object]) -> list[str]:
    detail = _detail(item)
    target = f"{item['target']}#{item['mailbox']}" if item.get("mailbox") else str(item["target"])
    message = leaf(item.get("message"))
    return [
        show_time(item.get("time")),
        str(item["reason"]),
        str(item.get("sender") or "-"),
        target,
        message if "\n" in detail or not detail else f"{message}  ({detail})",
    ]


def _detail(item: dict[str, object]) -> str:
    return str(item.get("detail") or "")
