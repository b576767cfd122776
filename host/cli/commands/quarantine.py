"""`enginehost quarantine`: messages set aside because their engine fails on them."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items, each
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.subcommands import SubcommandGroup
from host.cli.table import Column, leaf, or_dash, render_items, render_tree
from host.cli.units import Count, show_mailbox, show_time

COLUMNS = (
    Column("ID", "id", number=True),
    Column("TIME", "time", show_time),
    Column("ENGINE", show=lambda item: show_mailbox(item, "engine")),
    Column("SENDER", "sender", or_dash),
    Column("POLICY", "policy"),
    Column("MESSAGE", "message", leaf),
    Column("REASON", "reason"),
)


@click.group("quarantine", cls=SubcommandGroup, no_args_is_help=False)
def command() -> None:
    """List, show, replay or discard messages set aside because their engine fails on them."""


@command.command("ls")
@click.argument("engine", required=False, shell_complete=complete_engine)
@common
def ls(engine: str | None) -> None:
    """List the messages in quarantine, of ENGINE or of the whole node."""
    show(ask("quarantine", {"do": "ls", "engine": engine}), render_entries)


@command.command("show")
@click.argument("entry", type=Count(1))
@common
def show_entry(entry: int) -> None:
    """Show ENTRY: the message, the traceback, digests of the engine's state and code at that time."""
    show(ask("quarantine", {"do": "show", "id": entry}), render_whole)


@command.command("replay")
@click.argument("entry", type=Count(1))
@common
def replay(entry: int) -> None:
    """Send the message of ENTRY to its engine again, for instance after a reload. A parked engine continues."""
    show(ask("quarantine", {"do": "replay", "id": entry}), lambda items: _said(items, "sent again"))


@command.command("discard")
@click.argument("entry", type=Count(1))
@common
def discard(entry: int) -> None:
    """Delete ENTRY. A parked engine continues."""
    show(ask("quarantine", {"do": "discard", "id": entry}), lambda items: _said(items, "discarded"))


def render_entries(items: Items) -> str:
    """The table."""
    return render_items(COLUMNS, items) if items else "nothing is in quarantine"


@each
def render_whole(item: dict[str, object]) -> str:
    """Fields as a tree, then the traceback."""
    shown = {name: value for name, value in item.items() if name not in ("detail", "reason", "time")}
    return "\n".join(
        [f"at {show_time(item.get('time'))}", render_tree(shown, "  "), str(item.get("detail") or "").rstrip()]
    )


def _said(items: Items, what: str) -> str:
    return "\n".join(f"entry {i['id']} of {i['engine']} is {what}" for i in items)
