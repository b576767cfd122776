"""`enginehost dead-letters`: undelivered messages."""

from __future__ import annotations

import click

from host.cli.output import Items
from host.cli.problem import CliError
from host.cli.session import ask, complete_engine, show, show_left_behind
from host.cli.settings import common
from host.cli.table import Column, leaf, or_dash, render_items
from host.cli.units import show_count, show_mailbox, show_time

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
    return "\n".join([render_items(COLUMNS, items), *details])


def render_counts(items: Items) -> str:
    """Reasons with their counts."""
    if not items:
        return "no dead letters"
    return render_items(COUNT_COLUMNS, items)


def _message(item: dict[str, object]) -> str:
    """The message, with a detail that fits into its line."""
    detail, message = _detail(item), leaf(item.get("message"))
    return message if "\n" in detail or not detail else f"{message}  ({detail})"


def _detail(item: dict[str, object]) -> str:
    return str(item.get("detail") or "")


COLUMNS = (
    Column("TIME", "time", show_time),
    Column("REASON", "reason"),
    Column("SENDER", "sender", or_dash),
    Column("TARGET", show=lambda item: show_mailbox(item, "target")),
    Column("MESSAGE", show=_message),
)
COUNT_COLUMNS = (Column("REASON", "reason"), Column("COUNT", "count", show_count, number=True))
