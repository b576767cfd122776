"""`enginehost state`: the state of an engine, now or between two turns of its journal."""

from __future__ import annotations

import click

from host.chart.escapes import one_line
from host.cli.output import Items, each, emit
from host.cli.session import ask, complete_engine, show
from host.cli.settings import common
from host.cli.subcommands import SubcommandGroup
from host.cli.table import other_code_note, render_tree
from host.cli.units import Count, show_time


@click.group("state", cls=SubcommandGroup, no_args_is_help=False)
def command() -> None:
    """Show the state of an engine, or compare two states."""


@command.command("get")
@click.argument("engine", shell_complete=complete_engine)
@common
def get(engine: str) -> None:
    """Show state, mailbox states and acquaintances of ENGINE, all at one moment between two transitions."""
    show(ask("state", {"engine": engine}), render_states)


@command.command("diff")
@click.argument("engine")
@click.argument("journal", required=False, type=click.Path())
@click.option("--from", "first", type=Count(0), required=True, metavar="N", help="The turn before.")
@click.option("--to", "second", type=Count(0), required=True, metavar="M", help="The turn after.")
@common
def diff(engine: str, journal: str | None, first: int, second: int) -> None:
    """Show the differences in ENGINE between turn N and turn M, by replay of its journal.

    Each state is the one of the version that made it: after a reload, fields may be there in one of them only.

    JOURNAL is the data folder of a node; with --file CONFIG it can be omitted.
    """
    from host.cli.journals import log_with, named_logs, told
    from host.live.journal.child import run_in_child
    from host.live.journal.replays import difference

    logs = named_logs(journal)
    with told():
        path = log_with(logs, engine)[1]
        items = run_in_child(lambda: difference(path, logs.node.node, logs.node.roots, engine, first, second))
    emit("difference", items, render_differences)


def render_differences(items: Items) -> str:
    """One line per difference."""
    lines = [one_line(f"{i['where']}: {i['from']} -> {i['to']}") for i in items]
    return "\n".join([*lines, *other_code_note(items[0])]) if lines else "nothing is different"


@each
def render_states(item: dict[str, object]) -> str:
    """One block per engine: a line with name, family and time, then its contents."""
    head = [str(item.get("engine", "")), str(item.get("family", ""))]
    if isinstance(now := item.get("now_ns"), int):
        head.append(f"at {show_time(now)}")
    parts = {k: item[k] for k in ("state", "mailboxes", "acquaintances") if k in item}
    return "  ".join(head) + "\n" + render_tree(parts, "  ")
