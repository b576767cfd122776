"""`enginehost validate`: everything that can be wrong with a node file, at once, without starting it."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from host.cli.node_file import check_node_file, node_file
from host.cli.output import Items, emit, terminal_width
from host.cli.settings import common
from host.cli.table import Column, render_table
from host.cli.units import duration

TIMEOUT_NS = 20_000_000_000
"""For the imports of all families together, unless told."""

COLUMNS = (Column("ENGINE"), Column("FAMILY", shrinks=True), Column("PLACEMENT"), Column("ACCEPTS"))


@click.command("validate")
@click.argument("config", required=False, type=click.Path())
@click.option("--timeout", type=duration, default=TIMEOUT_NS, metavar="DURATION", help="Bounds the imports (20s).")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of node files instead, for editors; no CONFIG.")
@common
def command(config: str | None, timeout: int, schema: bool) -> None:
    """Check CONFIG and the families it names; list the engines it makes, and what can be sent to them.

    Starts nothing: families are imported by a process that is thrown away.
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
    """The schema itself, as a file for an editor; with --json as the one item of the envelope."""
    from host.config.schema import editor_schema

    if config is not None:
        raise click.UsageError("--schema is about every node file: leave CONFIG out")
    emit(
        "schema", [editor_schema()], lambda items: msgspec.json.format(msgspec.json.encode(items[0]), indent=2).decode()
    )


def render_valid(items: Items) -> str:
    """The engines, and that all is well."""
    rows = [[i["engine"], i["family"], i["placement"], _tags(i["accepts"])] for i in items]
    table = render_table(COLUMNS, rows, terminal_width())
    return f"{table}\nvalid: {len(items)} engine{'' if len(items) == 1 else 's'}"


def _accepts(interface: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"mailbox": box["number"], "tags": list(box["accepts"])} for box in interface.get("boxes", ())]


def _tags(accepts: list[dict[str, Any]]) -> str:
    """Tags as one sends them: those of mailbox 0 bare, the others with their number."""
    shown = [(f"#{box['mailbox']} " if box["mailbox"] else "") + ", ".join(box["tags"]) for box in accepts]
    return "; ".join(shown)
