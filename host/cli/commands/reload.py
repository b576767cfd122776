"""`enginehost reload`: new code for a running engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

from host.cli.node_file import load_node_file
from host.cli.output import diagnose, each
from host.cli.problem import CliError
from host.cli.session import MARGIN_NS, complete_engine, select_instance, show
from host.cli.settings import common
from host.cli.units import duration, show_count, show_duration
from host.config.names import FAMILY
from host.live.control.client import Client
from host.live.control.instances import Instance, running_instance
from host.live.control.protocol import ControlError, Response

TIMEOUT_NS = 30_000_000_000
"""Importing a family and migrating a large state take seconds at most; after this the old process continues."""

PAUSE_NS = 5_000_000_000
"""A batch and the migration of some hundred megabytes."""

REHEARSED = 10_000
"""What lies behind a snapshot of a log, roughly, and takes the new code a second or two."""

PROBATION_TRIGGERS_MAX = 2**53
"""As in the node file."""

REHEARSED_MAX = 1_000_000
"""Takes minutes, and a gigabyte."""


def probation_length(value: str) -> dict[str, int]:
    """A duration, or a count of messages, as arguments of the request."""
    if value.isascii() and value.isdigit():
        return {"probation_triggers": click.IntRange(0, PROBATION_TRIGGERS_MAX)(value)}
    try:
        return {"probation_ns": duration(value)}
    except click.BadParameter as error:
        text = f"{value!r} is neither a duration such as 30s nor a count of messages such as 1000"
        raise click.BadParameter(text) from error


@click.command("reload")
@click.argument("engines", metavar="ENGINE", nargs=-1, shell_complete=complete_engine)
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
@click.option(
    "--rehearse",
    type=click.IntRange(0, REHEARSED_MAX),
    default=REHEARSED,
    metavar="COUNT",
    help=f"The last messages and timers that the new code has to handle as the present code did ({REHEARSED}).",
)
@click.option(
    "--pause-max",
    type=duration,
    default=PAUSE_NS,
    metavar="DURATION",
    help="Refuse a reload for whose migration the engine would stand still for longer (5s).",
)
@click.option(
    "--probation",
    type=probation_length,
    metavar="DURATION|COUNT",
    help="Watch the new code for so long, or so many messages, and go back by itself if something fails.",
)
@click.option(
    "--transition-max",
    type=duration,
    metavar="DURATION",
    help="On probation, a transition that takes longer is a failure too.",
)
@click.option("--dry-run", is_flag=True, help="Everything but the cut: report what would happen.")
@click.option("--group", is_flag=True, help="Several ENGINEs at one boundary: all get their new code, or none does.")
@click.option(
    "--watch", is_flag=True, help="Reload every engine whose source is saved, until the node ends; no ENGINE."
)
@common
def command(
    engines: tuple[str, ...],
    to: str | None,
    timeout: int,
    rehearse: int,
    pause_max: int,
    probation: dict[str, int] | None,
    transition_max: int | None,
    dry_run: bool,
    group: bool,
    watch: bool,
) -> None:
    """Replace the code of ENGINE: a new process takes over state and queue, or the old one continues unchanged.

    Engines that share its process move to the new one too, unmigrated; they are listed.
    """
    if to is not None and not re.fullmatch(FAMILY, to):
        raise click.BadParameter(f"{to!r} is not package.module:NAME", param_hint="'--to'")
    args = {
        "to": to,
        "timeout_ns": timeout,
        "rehearse": rehearse,
        "pause_ns": pause_max,
        "is_trial": dry_run,
        "transition_max_ns": transition_max,
        **(probation or {}),
    }
    if watch and (engines or to or dry_run or group):
        raise click.UsageError("--watch reloads what was saved: it takes no ENGINE, --to, --dry-run or --group")
    if group and to:
        raise click.UsageError("--group reloads edited sources: it takes no --to")
    if watch:
        _watch(args, timeout)
    elif not engines:
        raise click.UsageError("name an ENGINE, or watch all with --watch")
    elif group:
        show(_reload(select_instance(), {"together": engines, **args}, timeout), render_reloads)
    elif len(engines) > 1:
        raise click.UsageError("one ENGINE at a time, or several at one boundary with --group")
    else:
        show(_reload(select_instance(), {"engine": engines[0], **args}, timeout), render_reloads)


def _reload(instance: Instance, args: dict[str, Any], timeout_ns: int) -> Response:
    """Raises `CliError` with the detail of a refusal as text, which a line has no room for."""
    with Client(instance.control) as client:
        try:
            return client.request("reload", args, timeout_ns=2 * timeout_ns + MARGIN_NS)
        except ControlError as error:
            message, _, detail = error.message.partition("\n")
            items = tuple(error.items) or (({"detail": detail},) if detail else ())
            raise CliError(error.error, message, items, detail) from error


def _watch(args: dict[str, Any], timeout_ns: int) -> None:
    from host.cli.watch import SourceWatch

    instance = select_instance()
    roots = load_node_file(instance.config).roots
    with Client(instance.control) as client:
        watch = SourceWatch(client, roots, lambda name: show(again(name), render_reloads))

        def again(name: str) -> Response:
            return _reload(instance, {"engine": name, **args}, timeout_ns)

        diagnose(f"watching {', '.join(roots) or 'nothing: the node file has no roots'}")
        try:
            watch.run()
        except ControlError as error:
            if running_instance(instance.config) is not None:
                raise
            diagnose(f"the node has ended ({error})")


@each
def render_reloads(item: dict[str, Any]) -> str:
    """Versions, pause, queue, and the other engines of the process in a line, then what was found on the way."""
    pause, queued, named, shared = (item.get(key) for key in ("pause_ns", "queued", "shared_with", "shared"))
    parts = [f"{item['engine']}: {item.get('from')} -> {item.get('to')}"]
    if item.get("tried"):
        parts.insert(0, "dry run, nothing replaced")
    if isinstance(pause, int):
        parts.append(f"{'stood still for' if item.get('tried') else 'pause'} {show_duration(pause)}")
    if others := [one for one in item.get("together") or () if one != item["engine"]]:
        parts.append(f"at one boundary with {', '.join(others)}")
    if item.get("followed"):
        parts.append("followed")
    elif item.get("not_followed"):
        parts.append(f"migrated at the cut, because {item['not_followed']}")
    if isinstance(queued, int):
        parts.append(f"{show_count(queued)} queued and kept")
    if item.get("probation"):
        parts.append(f"on probation for {item['probation']}")
    elif item.get("is_other_code") is False:
        parts.append("the same code as before")
    if isinstance(named, list) and named and isinstance(shared, int):
        more = f" and {show_count(shared - len(named))} more" if shared > len(named) else ""
        parts.append(f"paused with it: {', '.join(map(str, named))}{more}")
    return "\n".join([", ".join(parts), *(f"  {line}" for line in _findings(item))])


def _findings(item: dict[str, Any]) -> Iterator[str]:
    before, after = item.get("interface", ("", ""))
    if before != after:
        yield f"interface {before} -> {after}: {'; '.join(item.get('changes', ())) or 'types'}"
    if item.get("state"):
        yield f"state: {item['state']}"
        yield f"way back: {_way_back(item)}"
    for result in item.get("rehearsal", ()):
        yield f"rehearsal of {result['engine']}: {_rehearsed(result)}"


def _way_back(item: dict[str, Any]) -> str:
    """What a later return to the version before costs."""
    if item.get("forward_only"):
        return f"none, forward only: {item['forward_only']}"
    return "instant, loses nothing" if item["state"] == "as it is" else "instant, drops what only the new state has"


def _rehearsed(result: dict[str, Any]) -> str:
    if result["lost"]:
        return f"not possible: {result['lost']}"
    intended = f", {show_count(result['intended'])} with an intended difference" if result["intended"] else ""
    added = f"; not carried over by the migration: {', '.join(result['added'])}" if result["added"] else ""
    repaired = f", {show_count(result['repaired'])} that failed before" if result.get("repaired") else ""
    return f"{show_count(result['turns'])} turns{intended}{repaired}{added}"
