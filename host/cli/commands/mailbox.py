"""`enginehost mailbox`: the mailboxes of an engine."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.fields import parse_target
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.table import Column, leaf, render_table
from host.cli.units import show_count

COLUMNS = (
    Column("ENGINE"),
    Column("BOX", number=True),
    Column("WAITING", number=True),
    Column("STORED", number=True),
    Column("CAPACITY", number=True),
    Column("POLICY"),
    Column("STATE"),
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
    return "\n".join([render_table(COLUMNS, [_row(i) for i in items]), *stored])


def _row(item: dict[str, object]) -> list[str]:
    stored, waiting, capacity = item.get("stored_count"), item.get("waiting"), item.get("capacity")
    return [
        str(item["engine"]),
        str(item["mailbox"]),
        show_count(waiting if isinstance(waiting, int) else 0),
        show_count(stored if isinstance(stored, int) else 0),
        show_count(capacity) if isinstance(capacity, int) else "-",
        str(item.get("policy") or "-"),
        leaf(item.get("state")),
    ]
