"""`enginehost state get`: the environment of an engine."""

from __future__ import annotations

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import ask, show
from host.cli.settings import common
from host.cli.table import render_tree
from host.cli.units import show_time


@click.group("state", no_args_is_help=False)
def command() -> None:
    """Look at the state of an engine."""


@command.command("get")
@click.argument("engine", shell_complete=complete_engine)
@common
def get(engine: str) -> None:
    """Show state, mailbox states and acquaintances of ENGINE, all of the same moment between two transitions."""
    show(ask("state", {"engine": engine}), render_states)


def render_states(items: Items) -> str:
    """One block an engine: a line that says who and when, then what it holds."""
    return "\n".join(_state(i) for i in items)


def _state(item: dict[str, object]) -> str:
    head = [str(item.get("engine", "")), str(item.get("family", ""))]
    if isinstance(now := item.get("now_ns"), int):
        head.append(f"at {show_time(now)}")
    parts = {k: item[k] for k in ("state", "mailboxes", "acquaintances") if k in item}
    return "  ".join(head) + "\n" + render_tree(parts, "  ")
