"""`enginehost answer`: answer the choice that an engine waits for."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common


@click.command("answer")
@click.argument("engine", shell_complete=complete_engine)
@click.argument("choice")
@common
def command(engine: str, choice: str) -> None:
    """Answer the choice that ENGINE waits for; `enginehost ps` lists the waiting engines and their options."""
    show(ask("answer", {"engine": engine, "choice": choice}), render_answers)


def render_answers(items: Items) -> str:
    """One line per answer."""
    return "\n".join(f"{i['engine']} continues with {i['choice']}" for i in items)
