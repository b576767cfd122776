"""`enginehost quarantine`: messages set aside because their engine fails on them."""

from __future__ import annotations

import click

from host.cli.output import Items, each
from host.cli.session import ask, complete_engine, show
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


def _dealing(name: str, text: str, said: str) -> None:
    done = each(lambda item: f"entry {item['id']} of {item['engine']} is {said}")

    @command.command(name, help=text)
    @click.argument("entry", type=Count(1))
    @common
    def deal(entry: int) -> None:
        show(ask("quarantine", {"do": name, "id": entry}), done)


AGAIN = "Send the message of ENTRY to its engine again, for instance after a reload. A parked engine continues."
_dealing("replay", AGAIN, "sent again")
_dealing("discard", "Delete ENTRY. A parked engine continues.", "discarded")


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
