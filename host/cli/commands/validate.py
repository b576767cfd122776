"""`enginehost validate`: everything that can be wrong with a node file, at once, without starting it."""

from __future__ import annotations

import click

from host.cli.node_file import load_node_file, node_file
from host.cli.output import Items, emit
from host.cli.settings import common
from host.cli.table import Column, render_table

COLUMNS = (Column("ENGINE"), Column("FAMILY"), Column("PLACEMENT"))


@click.command("validate")
@click.argument("config", required=False, type=click.Path())
@common
def command(config: str | None) -> None:
    """Check CONFIG and the families it names; list the engines it makes. Starts nothing."""
    spec = load_node_file(node_file(config))
    items = [
        {"node": spec.node, "engine": e.name, "family": e.family, "placement": str(e.placement)} for e in spec.engines
    ]
    emit("engine", items, render_valid)


def render_valid(items: Items) -> str:
    """The engines, and that all is well."""
    table = render_table(COLUMNS, [[i["engine"], i["family"], i["placement"]] for i in items])
    return f"{table}\nvalid: {len(items)} engine{'' if len(items) == 1 else 's'}"
