"""`enginehost conform`: check the run in a journal against the rules, and against properties of a system."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from host.cli.journals import named_logs, told
from host.cli.output import Items, emit
from host.cli.settings import common
from host.cli.units import show_time
from host.live.control.protocol import EXIT_CODES

if TYPE_CHECKING:
    from engines.model.system_view import SystemView
    from host.check.properties import Predicate
    from host.node.journal.joined import Claims

JOINTS: Final = {"outcome": "the rules give: ", "state": "the rules give: ", "property": "after it, "}
"""How the second half of a deviation begins, by its kind; else with "but "."""


@click.command("conform")
@click.argument("journal", required=False, type=click.Path())
@click.option("--spec", metavar="MODULE:SYSTEM", help="Check what this system states of every state (`always`).")
@click.option("--always", multiple=True, metavar="P", help="P (module:function) holds after each turn.")
@click.option(
    "--root", "roots", multiple=True, type=click.Path(exists=True, file_okay=False), help="A folder to import from."
)
@click.option("--present", is_flag=True, help="By the present sources, whichever version of the code made a turn.")
@common
def command(
    journal: str | None, spec: str | None, always: tuple[str, ...], roots: tuple[str, ...], present: bool
) -> None:
    """Check the run in JOURNAL (a node's data folder), record by record.

    Every turn is run again by the rules that made it, and compared with its record: outcome, outputs, digests of the
    state, order, clocks, timers, and the messages between engines. The rules come from the code that the journal has
    kept, or else from the present sources. Properties see all engines of the journal together, after each turn that the
    present code can repeat. The first record that deviates is shown, and the exit code is 8.
    """
    from host.live.journal.child import run_in_child
    from host.live.journal.conformance import conformance

    logs = named_logs(journal)
    known = (*map(os.path.abspath, roots), *logs.node.roots)
    claims = partial(_claims, spec, always, known) if spec or always else None
    with told():
        items = run_in_child(partial(conformance, logs.folders, logs.node.node, known, claims, present=present))
    emit("conformance", items, render)
    if not items[0]["conforms"]:
        raise click.exceptions.Exit(EXIT_CODES["violated"])


def _claims(spec: str | None, always: tuple[str, ...], roots: tuple[str, ...]) -> Claims:
    """What is claimed of every state. Raises CheckError."""
    from engines.model.system import System
    from host.check.local import CheckError
    from host.check.subject import load_predicate, load_subject
    from host.node.journal.joined import Claims

    predicates = [load_predicate(path, roots) for path in always]
    if spec is None:
        return Claims(partial(_broken, predicates))
    system = load_subject(spec, {}, roots)
    if not isinstance(system, System):
        raise CheckError(f"{spec} is no System of engines, which states what holds of them: name one")
    if not (system.always or predicates):
        raise CheckError(f"{spec} states nothing of every state (`always`): name a property with --always")
    return Claims(partial(_broken, [*system.always, *predicates]), system.history, system.record)


def _broken(predicates: list[Predicate], state: SystemView) -> str:
    """The first property that does not hold. Raises CheckError for one that raises."""
    from host.check.local import CheckError
    from host.check.properties import PropertyError, holds, name_of

    try:
        broken = next((one for one in predicates if not holds(one, state)), None)
    except PropertyError as error:
        raise CheckError(str(error).partition("\n")[0]) from None
    return "" if broken is None else f"always {name_of(broken)} does not hold"


def render(items: Items) -> str:
    """The verdict, and the record that deviates."""
    item = items[0]
    turns, engines = item["turns"], item["engines"]
    extent = f"{turns:,} turn{'s' * (turns != 1)} of {engines} engine{'s' * (engines != 1)}"
    notes = [f"note: {note}" for note in item["notes"]]
    deviation = item["deviation"]
    if deviation is None:
        return "\n".join([f"conforms: {extent}", *notes])
    return "\n".join([*_shown(deviation), f"checked: {extent}", *notes])


def _shown(deviation: dict[str, Any]) -> list[str]:
    place = f"{deviation['log']}, {deviation['segment']}"
    place += f" at offset {deviation['offset']}, record {deviation['record']}" if deviation["record"] else ", snapshot"
    when = show_time(deviation["time_ns"] or None)
    return [
        f"deviates: {place}: {deviation['engine']}, turn {deviation['turn']}, {when}",
        f"  recorded: {deviation['recorded']}",
        f"  {JOINTS.get(deviation['kind'], 'but ')}{deviation['found']}",
        *(f"    {line}" for line in deviation["outputs"]),
        *(["  it was made by other code than is loaded here"] if deviation["is_by_other_code"] else []),
    ]
