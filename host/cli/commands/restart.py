"""`enginehost restart`: restart a degraded or finished engine."""

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
    """Restart ENGINE, which is degraded or finished, with its group. Its earlier restarts no longer count."""
    show(ask("restart", {"engine": engine}), render)


def render(items: Items) -> str:
    """One line per engine."""
    return "\n".join(f"{i['engine']} is being started again" for i in items)
