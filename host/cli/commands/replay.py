"""`enginehost replay`: run what a journal recorded once more, exactly."""

from __future__ import annotations

from functools import partial

import click

from host.cli.journals import log_with, named_logs, told
from host.cli.output import Items, emit
from host.cli.settings import common
from host.cli.table import other_code_note, render_tree
from host.cli.units import Count, show_time


@click.command("replay")
@click.argument("journal", required=False, type=click.Path())
@click.option("--engine", help="Only this engine.")
@click.option("--until", type=Count(0), metavar="N", help="Stop after turn N of the engine.")
@click.option("--verify", is_flag=True, help="From as early as possible; compare every snapshot and digest.")
@common
def command(journal: str | None, engine: str | None, until: int | None, verify: bool) -> None:
    """Run the transitions in JOURNAL (a node's data folder) once more, and show what the engines are then.

    Outputs and outcomes are compared with those recorded; the first that differ end the replay with exit code 8, both
    are shown. Families come from the code as it is now, in a process that is thrown away.
    """
    from host.live.journal.child import run_in_child
    from host.live.journal.replays import states

    if until is not None and engine is None:
        raise click.UsageError("--until counts the turns of one engine: name it with --engine")
    logs = named_logs(journal)
    node = logs.node
    paths = [log_with(logs, engine)[1]] if engine is not None else list(logs.folders.values())
    items = []
    with told():
        for path in paths:
            work = partial(states, path, node.node, node.roots, engine, until, verify=verify)
            items += run_in_child(work)
    emit("state", items, render_states)


def render_states(items: Items) -> str:
    """One block an engine."""
    return "\n".join(_state(item) for item in items) if items else "no engine has a stream here"


def _state(item: dict[str, object]) -> str:
    time = item["time"]
    moment = show_time(time) if isinstance(time, int) and time else "-"
    head = f"{item['engine']}  {item['family']}  turn {item['turn']}  at {moment}"
    shown = {k: item[k] for k in ("state", "mailboxes", "timers", "waiting", "unacked", "question") if item.get(k)}
    note = [f"  {line}" for line in other_code_note(item)]
    if item.get("diverged"):
        note.append(f"  this is not the state it was: {item['diverged']}")
    if item.get("from_turn"):
        note.append(f"  run again from turn {item['from_turn']} on")
    return "\n".join([head, render_tree(shown, "  "), *note])
