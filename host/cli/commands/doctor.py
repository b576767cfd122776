"""`enginehost doctor`: check that this machine can run a node."""

from __future__ import annotations

import click
import msgspec

from host.cli.output import Items, emit
from host.cli.settings import common_without_node
from host.cli.table import GAP

MARKS = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}


@click.command("doctor")
@common_without_node
def command() -> None:
    """Check Python, kernel, native lane, libraries, limits, runtime folder; exit code 1 if a node cannot run."""
    from host.live.machine import examine

    items = [msgspec.to_builtins(finding) for finding in examine()]
    emit("check", items, render_findings)
    if any(i["level"] == "bad" for i in items):
        raise click.exceptions.Exit(1)


def render_findings(items: Items) -> str:
    """One line per check, advice below a failed one, a verdict at the end."""
    width = max(len(i["check"]) for i in items)
    return "\n".join([*(_lines(i, width) for i in items), "", _verdict(items)])


def _lines(item: dict[str, str], width: int) -> str:
    line = GAP.join([MARKS[item["level"]], item["check"].ljust(width), item["value"]])
    if item["level"] == "ok":
        return line
    return f"{line}\n{' ' * (4 + width + 2 * len(GAP))}-> {item['advice']}"


def _verdict(items: Items) -> str:
    bad = [i["check"] for i in items if i["level"] == "bad"]
    warned = [i["check"] for i in items if i["level"] == "warn"]
    if bad:
        return f"a node cannot run here: {', '.join(bad)}"
    return f"a node can run here, with restrictions: {', '.join(warned)}" if warned else "a node can run here"
