"""Commands with one request about an engine: `kill`, `restart`, `answer`, `timers`, `mailbox`."""

from __future__ import annotations

import click

from host.cli.fields import parse_target
from host.cli.output import Items, each
from host.cli.session import ask, complete_engine, show
from host.cli.settings import common
from host.cli.table import Column, leaf, or_dash, render_items
from host.cli.units import show_count, show_duration, show_names, show_time

TIMERS = (
    Column("ENGINE", "engine"),
    Column("TIMER", "name"),
    Column("NUMBER", "number", number=True),
    Column("DEADLINE", "deadline_ns", show_time),
    Column("IN", "in_ns", show_duration, number=True),
)
MAILBOXES = (
    Column("ENGINE", "engine"),
    Column("BOX", "mailbox", number=True),
    Column("WAITING", "waiting", show_count, number=True),
    Column("STORED", "stored_count", show_count, number=True),
    Column("CAPACITY", "capacity", lambda capacity: show_count(capacity) if capacity else "-", number=True),
    Column("POLICY", "policy", or_dash),
    Column("STATE", "state", leaf),
)

with_engine = click.argument("engine", shell_complete=complete_engine)


@click.command("kill")
@with_engine
@common
def kill(engine: str) -> None:
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


@click.command("restart")
@with_engine
@common
def restart(engine: str) -> None:
    """Start ENGINE again, with its group, if it is degraded, finished or in the pause before a restart.

    Its earlier restarts no longer count.
    """
    show(ask("restart", {"engine": engine}), each(lambda item: f"{item['engine']} is being started again"))


@click.command("answer")
@with_engine
@click.argument("choice")
@common
def answer(engine: str, choice: str) -> None:
    """Answer the choice that ENGINE waits for; `enginehost ps` lists the waiting engines and their options."""
    answered = each(lambda item: f"{item['engine']} continues with {item['choice']}")
    show(ask("answer", {"engine": engine, "choice": choice}), answered)


@click.command("timers")
@click.argument("engine", required=False, shell_complete=complete_engine)
@common
def timers(engine: str | None) -> None:
    """List pending timers, of ENGINE or of all engines, the next one first."""
    show(ask("timers", {"engine": engine}), render_timers)


def render_timers(items: Items) -> str:
    """The table, ordered by deadline."""
    return render_items(TIMERS, sorted(items, key=lambda i: i["deadline_ns"])) if items else "no timer is pending"


@click.command("mailbox")
@click.argument("target", metavar="ENGINE[#MAILBOX]", shell_complete=complete_engine)
@common
def mailbox(target: str) -> None:
    """Show the mailboxes of ENGINE: waiting and stored messages, bounds, state; the stored messages below."""
    engine, number = parse_target(target)
    show(ask("mailbox", {"engine": engine, "mailbox": number if "#" in target else None}), render_mailboxes)


def render_mailboxes(items: Items) -> str:
    """The table, then the stored messages by mailbox."""
    stored = [f"{i['engine']}#{i['mailbox']} stores {leaf(m)}" for i in items for m in i.get("stored") or []]
    return "\n".join([render_items(MAILBOXES, items), *stored])
