"""`enginehost kill`: kill an engine's process, without warning."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import each
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.units import show_names


@click.command("kill")
@click.argument("engine", shell_complete=complete_engine)
@common
def command(engine: str) -> None:
    """Kill the process of ENGINE (SIGKILL), like a crash. Its restart policy then applies.

    Other engines in the process die too, and are listed.
    """
    show(ask("kill", {"engine": engine}), render_killed)


@each
def render_killed(item: dict[str, object]) -> str:
    """One line per process."""
    shared = item.get("shared_with")
    with_it = f", and with it {show_names(shared)}" if isinstance(shared, list) and shared else ""
    return f"{item['engine']}: process {item['pid']} is killed{with_it}"
