"""`enginehost bench`: measurements, made by the package `bench`."""

from __future__ import annotations

import importlib

import click

from host.cli.output import Items, emit
from host.cli.settings import common
from host.cli.table import Column, render_table
from host.cli.units import show_count, show_duration

COLUMNS = (
    Column("SUITE"),
    Column("PEER"),
    Column("UNIT"),
    Column("MEDIAN", number=True),
    Column("MIN", number=True),
    Column("MAX", number=True),
    Column("ROUNDS", number=True),
)


@click.command("bench")
@click.argument("suites", nargs=-1, required=True, metavar="SUITE...")
@click.option("--rounds", type=click.IntRange(1, 1000), metavar="N", help="Measure each peer so often.")
@common
def command(suites: tuple[str, ...], rounds: int | None) -> None:
    """Measure SUITE (oneway, pingpong, startup, …) here: engines, the raw limit below them and peers, in turns.

    Starts processes of its own and disturbs no running node. Look at ratios, not at figures of different machines.
    """
    options = {} if rounds is None else {"rounds": rounds}
    items = importlib.import_module("bench.main").run(suites, options)
    emit("bench", items, render_results)


def render_results(items: Items) -> str:
    """One line a suite and peer."""
    return render_table(COLUMNS, [_row(i) for i in items])


def _row(item: dict[str, object]) -> list[str]:
    unit = str(item["unit"])
    figures = [_figure(item[k], unit) for k in ("median", "min", "max")]
    return [str(item["suite"]), str(item["peer"]), unit, *figures, str(item["rounds"])]


def _figure(value: object, unit: str) -> str:
    if not isinstance(value, int | float):
        return "-"
    return show_duration(round(value)) if unit == "ns" else show_count(value)
