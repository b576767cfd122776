"""`enginehost quarantine`: messages set aside because their engine fails on them."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.subcommands import SubcommandGroup
from host.cli.table import Column, leaf, render_table, render_tree
from host.cli.units import Count, show_time

COLUMNS = (
    Column("ID", number=True),
    Column("TIME"),
    Column("ENGINE"),
    Column("SENDER"),
    Column("POLICY"),
    Column("MESSAGE"),
    Column("REASON"),
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
    return render_table(COLUMNS, [_row(i) for i in items]) if items else "nothing is in quarantine"


def render_whole(items: Items) -> str:
    """Fields as a tree, then the traceback."""
    return "\n".join(_whole(i) for i in items)


def _whole(item: dict[str, object]) -> str:
    shown = {name: value for name, value in item.items() if name not in ("detail", "reason", "time")}
    return "\n".join(
        [f"at {show_time(item.get('time'))}", render_tree(shown, "  "), str(item.get("detail") or "").rstrip()]
    )


def _row(item: dict[str, object]) -> list[str]:
    return [
        str(item["id"]),
        show_time(item.get("time")),
        f"{item['engine']}#{item['mailbox']}" if item.get("mailbox") else str(item["engine"]),
        str(item.get("sender") or "-"),
        str(item.get("policy", "")),
        leaf(item.get("message")),
        str(item.get("reason", "")),
    ]


def _said(items: Items, what: str) -> str:
    return "\n".join(f"entry {i['id']} of {i['engine']} is {what}" for i in items)
