"""`enginehost reload`: new code for a running engine."""

from __future__ import annotations

import re

import click

from host.cli.engines import complete_engine
from host.cli.output import each
from host.cli.session import MARGIN_NS, ask, show
from host.cli.settings import common
from host.cli.units import duration, show_count, show_duration
from host.config.names import FAMILY

TIMEOUT_NS = 30_000_000_000
"""Importing a family and migrating a large state take seconds at most; after this the old process continues."""


@click.command("reload")
@click.argument("engine", shell_complete=complete_engine)
@click.option(
    "--to", metavar="PACKAGE.MODULE:NAME", help="Another family; default: the same one, from its edited source."
)
@click.option(
    "--timeout",
    type=duration,
    default=TIMEOUT_NS,
    metavar="DURATION",
    help="Time limit; if it passes, the old process continues (30s).",
)
@common
def command(engine: str, to: str | None, timeout: int) -> None:
    """Replace the code of ENGINE: a new process takes over state and queue, or the old one continues unchanged.

    Engines that share its process move to the new one too, unmigrated; they are listed.
    """
    if to is not None and not re.fullmatch(FAMILY, to):
        raise click.BadParameter(f"{to!r} is not package.module:NAME", param_hint="'--to'")
    args = {"engine": engine, "to": to, "timeout_ns": timeout}
    show(ask("reload", args, timeout_ns=2 * timeout + MARGIN_NS), render_reloads)


@each
def render_reloads(item: dict[str, object]) -> str:
    """One line per reload: versions, pause, queue, and the other engines of the process."""
    pause, queued, named, shared = (item.get(key) for key in ("pause_ns", "queued", "shared_with", "shared"))
    parts = [f"{item['engine']}: {item.get('from')} -> {item.get('to')}"]
    if isinstance(pause, int):
        parts.append(f"pause {show_duration(pause)}")
    if isinstance(queued, int):
        parts.append(f"{show_count(queued)} queued and kept")
    if isinstance(named, list) and named and isinstance(shared, int):
        more = f" and {show_count(shared - len(named))} more" if shared > len(named) else ""
        parts.append(f"paused with it: {', '.join(map(str, named))}{more}")
    return ", ".join(parts)
