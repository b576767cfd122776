"""`enginehost validate`: report every mistake in a node file, without starting the node."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from host.cli.node_file import IMPORT_NS, check_node_file, node_file
from host.cli.output import Items, emit, terminal_width
from host.cli.settings import common
from host.cli.table import Column, render_items
from host.cli.units import duration


@click.command("validate")
@click.argument("config", required=False, type=click.Path())
@click.option(
    "--timeout", type=duration, default=IMPORT_NS, metavar="DURATION", help="Time limit for each import (20s)."
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of node files for editors; takes no CONFIG.")
@common
def command(config: str | None, timeout: int, schema: bool) -> None:
    """Check CONFIG and its families; list the engines, and the messages that they accept.

    Starts nothing: a temporary process imports the families.
    """
    if schema:
        _show_schema(config)
        return
    spec, families = check_node_file(node_file(config), timeout)
    items = [
        {"node": spec.node, "engine": e.name, "family": e.family, "placement": str(e.placement)}
        | {"device": families[e.family].device, "accepts": _accepts(families[e.family].interface)}
        for e in spec.engines
    ]
    emit("engine", items, render_valid)


def _show_schema(config: str | None) -> None:
    """The schema, as a file for an editor; with --json, as the only item of the envelope."""
    from host.config.schema import editor_schema

    if config is not None:
        raise click.UsageError("--schema is the same for every node file: omit CONFIG")
    emit(
        "schema", [editor_schema()], lambda items: msgspec.json.format(msgspec.json.encode(items[0]), indent=2).decode()
    )


def render_valid(items: Items) -> str:
    """The engines, then the number of valid ones."""
    columns = (Column("ENGINE", "engine"), Column("FAMILY", "family", shrinks=True), Column("PLACEMENT", "placement"))
    table = render_items((*columns, Column("ACCEPTS", "accepts", _tags)), items, terminal_width())
    return f"{table}\nvalid: {len(items)} engine{'' if len(items) == 1 else 's'}"


def _accepts(interface: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"mailbox": box["number"], "tags": list(box["accepts"])} for box in interface.get("boxes", ())]


def _tags(accepts: list[dict[str, Any]]) -> str:
    """Tags by mailbox: those of mailbox 0 without a number, the others with it."""
    shown = [(f"#{box['mailbox']} " if box["mailbox"] else "") + ", ".join(box["tags"]) for box in accepts]
    return "; ".join(shown)
