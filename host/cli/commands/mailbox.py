"""`enginehost mailbox`: the mailboxes of an engine."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.fields import parse_target
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.table import Column, leaf, or_dash, render_items
from host.cli.units import show_count

COLUMNS = (
    Column("ENGINE", "engine"),
    Column("BOX", "mailbox", number=True),
    Column("WAITING", "waiting", show_count, number=True),
    Column("STORED", "stored_count", show_count, number=True),
    Column("CAPACITY", "capacity", lambda capacity: show_count(capacity) if capacity else "-", number=True),
    Column("POLICY", "policy", or_dash),
    Column("STATE", "state", leaf),
)


@click.command("mailbox")
@click.argument("target", metavar="ENGINE[#MAILBOX]", shell_complete=complete_engine)
@common
def command(target: str) -> None:
    """Show the mailboxes of ENGINE: waiting and stored messages, bounds, state; the stored messages below."""
    engine, number = parse_target(target)
    args = {"engine": engine, "mailbox": number if "#" in target else None}
    show(ask("mailbox", args), render_mailboxes)


def render_mailboxes(items: Items) -> str:
    """The table, then the stored messages by mailbox."""
    stored = [f"{i['engine']}#{i['mailbox']} stores {leaf(m)}" for i in items for m in i.get("stored") or []]
    return "\n".join([render_items(COLUMNS, items), *stored])
