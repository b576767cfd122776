"""`enginehost replay`: run the transitions in a journal again, exactly."""

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
@click.option("--verify", is_flag=True, help="Begin as early as possible; compare every snapshot and digest.")
@common
def command(journal: str | None, engine: str | None, until: int | None, verify: bool) -> None:
    """Run the transitions in JOURNAL (a node's data folder) again, and show the resulting engines.

    Outputs and outcomes are compared with the recorded ones. The first difference ends the replay with exit code 8 and
    is shown. Each turn is run by the version that made it, if the journal has kept its code, in a temporary process.
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
    """One block per engine."""
    return "\n".join(_state(item) for item in items) if items else "this journal has no engines"


def _state(item: dict[str, object]) -> str:
    head = (
        f"{item['engine']}  {item['family']}@{item['code']}  turn {item['turn']}  at {show_time(item['time'] or None)}"
    )
    shown = {k: item[k] for k in ("state", "mailboxes", "timers", "waiting", "unacked", "question") if item.get(k)}
    note = [f"  {line}" for line in other_code_note(item)]
    if item.get("diverged"):
        note.append(f"  the state differs from the recorded one: {item['diverged']}")
    if item.get("from_turn"):
        note.append(f"  replayed from turn {item['from_turn']}")
    return "\n".join([head, render_tree(shown, "  "), *note])
