"""`enginehost reload`: new code for an engine that works."""

from __future__ import annotations

import re

import click

from host.cli.engines import complete_engine
from host.cli.output import Items
from host.cli.session import MARGIN_NS, ask, show
from host.cli.settings import common
from host.cli.units import duration, show_count, show_duration, show_names

TIMEOUT_NS = 30_000_000_000
"""Importing a family and migrating a large state take seconds at most; after this the old engine goes on."""

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@click.command("reload")
@click.argument("engine", shell_complete=complete_engine)
@click.option("--to", metavar="PACKAGE.MODULE:NAME", help="Another family; else the same one, from its edited source.")
@click.option("--timeout", type=duration, default=TIMEOUT_NS, metavar="DURATION", help="Then it is off (30s).")
@common
def command(engine: str, to: str | None, timeout: int) -> None:
    """Replace the code of ENGINE: a new process takes over state and queue, or the old one goes on untouched.

    Engines that share its process change it too, unmigrated; they are listed.
    """
    if to is not None and not REFERENCE.fullmatch(to):
        raise click.BadParameter(f"{to!r} is not package.module:NAME", param_hint="'--to'")
    args = {"engine": engine, "to": to, "timeout_ns": timeout}
    show(ask("reload", args, timeout_ns=timeout + MARGIN_NS), render_reloads)


def render_reloads(items: Items) -> str:
    """One line a reload: versions, pause, queue; and who shared it."""
    return "\n".join(_line(i) for i in items)


def _line(item: dict[str, object]) -> str:
    pause, queued, shared = item.get("pause_ns"), item.get("queued"), item.get("shared_with")
    parts = [f"{item['engine']}: {item.get('from')} -> {item.get('to')}"]
    if isinstance(pause, int):
        parts.append(f"pause {show_duration(pause)}")
    if isinstance(queued, int):
        parts.append(f"{show_count(queued)} queued and kept")
    if isinstance(shared, list) and shared:
        parts.append(f"paused with it: {show_names(shared)}")
    return ", ".join(parts)
