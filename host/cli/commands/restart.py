"""`enginehost restart`: an engine whose process is not started again by itself."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common


@click.command("restart")
@click.argument("engine", shell_complete=complete_engine)
@common
def command(engine: str) -> None:
    """Start ENGINE again, which is degraded or finished; nothing is held against it any more. Its group comes along."""
    show(ask("restart", {"engine": engine}), render)


def render(items: Items) -> str:
    """Who it was."""
    return "\n".join(f"{i['engine']} is being started again" for i in items)
