"""`enginehost bench`: measurements, made by the package `bench`."""

from __future__ import annotations

import importlib
from typing import Any, Final

import click

from host.cli.output import Items, diagnose, emit, terminal_width
from host.cli.settings import common_without_node
from host.live.control.protocol import EXIT_CODES

MISSED: Final = EXIT_CODES["violated"]


@click.command("bench")
@click.argument("suites", nargs=-1, metavar="SUITE...")
@click.option("--all", "everything", is_flag=True, help="Run every suite.")
@click.option("--quick", is_flag=True, help="A fifth of the work, in three rounds.")
@click.option("--rounds", type=click.IntRange(1, 1000), metavar="N", help="Rounds per peer.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write a self-contained report.")
@click.option(
    "--from", "kept", type=click.Path(), metavar="FILE", help="Measure nothing: show a run saved with --json."
)
@click.option(
    "--compare", type=click.Path(), metavar="FILE", help="Show ratios to a run saved with --json, with intervals."
)
@click.option("--gate", type=click.Path(), metavar="FILE", help="Exit with code 8 if a figure misses its bound.")
@common_without_node
def command(
    suites: tuple[str, ...],
    everything: bool,
    quick: bool,
    rounds: int | None,
    html: str | None,
    kept: str | None,
    compare: str | None,
    gate: str | None,
) -> None:
    """Measure SUITE (oneway, pingpong, startup, …) here: engines, the raw limit below them, and peers, in turn.

    Starts its own processes and disturbs no running node. Compare ratios, not figures of different machines.
    """
    if bool(suites) + everything + (kept is not None) != 1:
        raise click.UsageError(f"name suites, or --all, or --from FILE; suites: {', '.join(_bench('suites').NAMES)}")
    gates = _bench("gate").load_gates(gate) if gate is not None else []
    earlier = _bench("stored").load_run(compare) if compare is not None else None
    items = _bench("stored").load_run(kept) if kept is not None else _measured(suites, quick, rounds)
    if earlier is not None:
        items = _bench("compare").compared(items, earlier)
    if html is not None:
        _bench("report").write_report(html, items)
    emit("bench", items, render_results)
    _finish(items, _bench("gate").judge(gates, items) if gates else [])


def render_results(items: Items) -> str:
    """One line per suite and peer."""
    table: str = _bench("show").render_table(list(items), terminal_width())
    return table


def _measured(suites: tuple[str, ...], quick: bool, rounds: int | None) -> list[dict[str, Any]]:
    main = _bench("main")
    effort = main.QUICK if quick else main.FULL
    items: list[dict[str, Any]] = main.run(suites, main.Effort(rounds or effort.rounds, effort.share))
    return items


def _finish(items: list[dict[str, Any]], judged: list[Any]) -> None:
    """Report the gates and failed measurements; both have their exit codes."""
    for each in judged:
        diagnose(each.sentence())
    if not all(each.held for each in judged):
        raise click.exceptions.Exit(MISSED)
    failed = [f"{item['suite']} {item['peer']}" for item in items if item["failed"]]
    if failed:
        diagnose(f"some peers failed, see their notes: {', '.join(failed)}")
        raise click.exceptions.Exit(1)


def _bench(module: str) -> Any:
    """A module of `bench`, imported on demand: the command line starts without it."""
    return importlib.import_module(f"bench.{module}")
