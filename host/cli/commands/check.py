"""`enginehost check`: explore every state of an engine system, and say whether its properties hold."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console

from host.cli.fields import parse_fields, parse_target
from host.cli.journals import told
from host.cli.node_file import load_node_file
from host.cli.output import Items, diagnose, emit, terminal_width
from host.cli.problem import INTERRUPTED as INTERRUPTED_CODE
from host.cli.problem import CliError
from host.cli.progress import progress_line
from host.cli.settings import common_without_node
from host.cli.units import Count, duration, show_duration, show_rate
from host.live.control.protocol import EXIT_CODES

if TYPE_CHECKING:
    from host.check.node_system import Given
    from host.check.run import CheckReport, CheckRequest
    from host.check.search import Counts, Violation

EVERY_S: Final = 0.2
"""Seconds between two changes of the line of progress."""

NS_PER_S: Final = 10**9

DECIDED: Final = {"holds": "holds", "violated": "DOES NOT HOLD", "undecided": "undecided"}


@click.command("check")
@click.argument("subject", metavar="MODULE:NAME|CONFIG")
@click.option("--always", multiple=True, metavar="P", help="P (module:function) holds in each state.")
@click.option("--sometimes", multiple=True, metavar="P", help="P holds in at least one state.")
@click.option("--eventually", multiple=True, metavar="P", help="On each fair run, P holds sooner or later.")
@click.option(
    "--leads-to", type=(str, str), multiple=True, metavar="P Q", help="Whenever P holds, Q does then or later."
)
@click.option(
    "--network",
    type=click.Choice(["ordered", "unordered", "lossy", "duplicating"]),
    help="How messages travel; default: as the system says.",
)
@click.option("--crashes", type=Count(0), default=0, metavar="N", help="At most N node faults in a run (0).")
@click.option(
    "--timers",
    type=click.Choice(["untimed", "bounded"]),
    help="Timers elapse at any time, or at their deadlines; default: as the system says.",
)
@click.option(
    "--tick", "ticks", type=duration, multiple=True, metavar="DURATION", help="With bounds: a clock may step so."
)
@click.option("--until", type=duration, metavar="DURATION", help="With bounds: no clock goes further.")
@click.option("--depth", type=Count(0), metavar="N", help="Go at most N steps.")
@click.option("--states", type=Count(1), metavar="N", help="End after about N states.")
@click.option("--for", "limit", type=duration, metavar="DURATION", help="End after this time.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, metavar="N", help="Processes that explore (1).")
@click.option("--walks", type=Count(0), default=0, metavar="N", help="Take N random walks instead of exploring all.")
@click.option("--seed", type=Count(0), default=0, metavar="N", help="The seed of the walks (0).")
@click.option("--samples", type=Count(1), default=3, metavar="N", help="Messages of each type for a family alone (3).")
@click.option(
    "--send", "sends", multiple=True, metavar="'ENGINE TAG …'", help="With CONFIG: a message in transit, as for `send`."
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the system.")
@click.option(
    "--root", "roots", multiple=True, type=click.Path(exists=True, file_okay=False), help="A folder to import from."
)
@click.option(
    "--symmetry",
    "symmetric",
    multiple=True,
    metavar="NAME,NAME…",
    help="Names that can be exchanged; `declared`: those that the system declares.",
)
@click.option(
    "--test", "test_path", type=click.Path(dir_okay=False), metavar="FILE", help="Write a test that fails alike."
)
@click.option(
    "--chart",
    "chart_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write a sequence chart of it: Mermaid if FILE ends in .mmd, else text.",
)
@click.option(
    "--journal",
    "journal_path",
    type=click.Path(),
    metavar="FOLDER",
    help="Write it as the logs of a node, for `replay`, `journal`, `chart` and `conform`.",
)
@click.option("--por", is_flag=True, help="Of steps that do not concern each other take one order (safety only).")
@click.option("--ignore-idle", is_flag=True, help="A delivery that changes nothing is no step, as in Stateright.")
@click.option("--allow-failures", is_flag=True, help="A rule that raises is no violation.")
@common_without_node
def command(subject: str, params: tuple[str, ...], roots: tuple[str, ...], limit: int | None, **options: Any) -> None:
    """Explore every state that a system of engines can reach, by the very rules that run live.

    MODULE:NAME is a System, a function that returns one, or a family, which is then checked alone: with any message it
    accepts coming at any time. CONFIG is a node file: its engines, with the messages of --send in transit, or with any.
    Properties are functions of the system's state, named by import path; without options, those that the system
    states itself. A violation is shown with the shortest way to it, and the exit code is 8.
    """
    from host.check.local import CheckError
    from host.check.run import INTERRUPTED, CheckRequest, check
    from host.check.search import Bounds

    bounds = Bounds(options["depth"], options["states"], None if limit is None else limit / NS_PER_S)
    for path in (options["test_path"], options["chart_path"], options["journal_path"]):
        if path is not None and not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
            raise click.UsageError(f"{path} cannot be written")
    node = load_node_file(subject) if ":" not in subject and os.path.exists(subject) else None
    if options["sends"] and node is None:
        raise click.UsageError("--send is for a node file")
    request = CheckRequest(
        subject=subject,
        node=node,
        sends=tuple(_given(text) for text in options["sends"]),
        params=dict(_pair(text) for text in params),
        roots=(*map(os.path.abspath, roots), *(node.roots if node is not None else ())),
        always=options["always"],
        sometimes=options["sometimes"],
        eventually=options["eventually"],
        leads_to=options["leads_to"],
        network=options["network"],
        faults=options["crashes"],
        timers=options["timers"],
        ticks_ns=options["ticks"],
        until_ns=options["until"],
        bounds=bounds,
        workers=options["workers"],
        reduces=options["por"],
        walks=options["walks"],
        seed=options["seed"],
        samples=options["samples"],
        symmetric=tuple(tuple(group.split(",")) for group in options["symmetric"] if group != "declared"),
        uses_declared_symmetry="declared" in options["symmetric"],
        ignores_idle=options["ignore_idle"],
        allows_failures=options["allow_failures"],
    )
    try:
        with progress_line(Console(stderr=True)) as show:
            report = check(request, _shown_now_and_then(show))
    except CheckError as error:
        raise CliError("usage", str(error)) from None
    emit("check", [item_of(subject, report)], render)
    shown = [violation for violation in report.found.violations if violation.path]
    if shown:
        try:
            _keep(request, report, shown[0], options["test_path"], options["chart_path"])
            if options["journal_path"] is not None:
                _record(request, report, shown[0], options["journal_path"])
        except CheckError as error:
            raise CliError("violated", str(error)) from None
    if report.found.ended == INTERRUPTED:
        raise click.exceptions.Exit(INTERRUPTED_CODE)
    if report.found.violations:
        raise click.exceptions.Exit(EXIT_CODES["violated"])


def _keep(
    request: CheckRequest, report: CheckReport, violation: Violation, test_path: str | None, chart_path: str | None
) -> None:
    """Write the way to a violation as a test and as a chart, where that is asked for. Raises CheckError."""
    from host.chart.mermaid import mermaid
    from host.chart.text import WIDTH, text
    from host.check.written import chart_of, test_text

    if test_path is not None:
        _write(test_path, test_text(request, report, violation))
        diagnose(f"{test_path} fails as long as this way violates the property")
    if chart_path is not None:
        chart = chart_of(report, violation)
        drawn = mermaid(chart) if chart_path.endswith(".mmd") else text(chart, terminal_width() or WIDTH, str)
        _write(chart_path, drawn + "\n")


def _record(request: CheckRequest, report: CheckReport, violation: Violation, path: str) -> None:
    """Write the way to a violation as the journal of a node. Raises `CliError`, and CheckError if there is none."""
    from host.check.recorded import record
    from host.check.trace import trace_of
    from host.check.written import engine_space
    from host.live.journal.new_logs import NewLogs
    from host.live.journal.writer import LogStopped

    space = engine_space(report, "journal")
    trace = trace_of(space, violation.path, violation.loop)
    try:
        with told(), NewLogs(path, space.system.name, request.roots, lambda: space.system.clock_ns) as logs:
            record(space, trace, logs.open)
            logs.finish()
    except (LogStopped, OSError) as error:
        raise CliError("failed", f"no journal: {path}: {error}") from None
    diagnose(f"{path} has it as the logs of a node: enginehost replay {shlex.quote(path)}")
    if trace.loop is not None:
        diagnose(f"its last {_count(len(trace.steps) - trace.loop, 'step')} repeat for ever, and are there once")


def _write(path: str, content: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def _given(text: str) -> Given:
    """A message to send, as a line of `send`: ENGINE TAG FIELD=VALUE…"""
    from host.check.node_system import Given

    try:
        target, tag, *fields = shlex.split(text)
    except ValueError:
        raise click.UsageError(f"--send is 'ENGINE TAG FIELD=VALUE …': {text!r}") from None
    engine, mailbox = parse_target(target)
    return Given(engine, mailbox, tag, {name: field.value for name, field in parse_fields(fields).items()})


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--param is NAME=VALUE: {text!r}")
    return name, value


def _shown_now_and_then(show: Callable[[str], None]) -> Callable[[Counts], None]:
    """Shows the counts as they grow; `show` sets the line."""
    started = last = time.monotonic()

    def progress(counts: Counts) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY_S:
            last = now
            rate = show_rate(counts.transitions / (now - started))
            show(f"{counts.states:,} states, {counts.depth} steps deep, {rate} transitions/s")

    return progress


def item_of(subject: str, report: CheckReport) -> dict[str, Any]:
    """The result as `--json` prints it."""
    found, counts = report.found, report.found.counts
    return {
        "subject": subject,
        "system": report.system.name,
        "states": counts.states,
        "transitions": counts.transitions,
        "depth": counts.depth,
        "exhaustive": report.is_exhaustive,
        "ended": found.ended,
        "shortest": report.is_shortest,
        "seconds": report.seconds,
        "collision_chance": found.collision_chance,
        "properties": [
            {"property": one.property, "decided": one.decided, "steps": one.steps} for one in report.verdicts
        ],
        "violations": [_violation(report, one) for one in found.violations],
        "dead_letters": dict(report.space.dropped),
    }


def _violation(report: CheckReport, violation: Violation) -> dict[str, Any]:
    from host.check.trace import lines, trace_of

    shown = {"property": violation.property, "what": violation.what, "steps": len(violation.path) - 1}
    if not violation.path:
        return shown | {"steps": None, "loop": None, "lines": []}
    trace = trace_of(report.space, violation.path, violation.loop)
    return shown | {"loop": violation.loop, "lines": list(lines(report.space, trace))}


def render(items: Items) -> str:
    """The properties and what is known of them, the ways to violations, the extent of the search."""
    item = items[0]
    width = max((len(one["property"]) for one in item["properties"]), default=0)
    text = [f"{one['property']:<{width}}  {_decision(one)}" for one in item["properties"]]
    for violation in item["violations"]:
        text += ["", *_violated(violation, item["shortest"])]
    extent = (
        f"{item['system']}: {_count(item['states'], 'state')}, {_count(item['transitions'], 'transition')}, "
        f"{_count(item['depth'], 'step')} deep,"
    )
    how = "all that can be reached" if item["exhaustive"] else f"not all: {item['ended']}"
    took = show_duration(int(item["seconds"] * NS_PER_S))
    rate = show_rate(item["transitions"] / max(item["seconds"], 1e-9))
    chance = f"; chance that two states were taken for one: {item['collision_chance']:.0e}"
    text += ["", f"{extent} {how}", f"{took}, {rate} transitions/s{chance}"]
    if item["dead_letters"]:
        text += [f"dead letters: {reason}" for reason in item["dead_letters"]]
    return "\n".join(text).lstrip("\n")


def _decision(one: dict[str, Any]) -> str:
    nearest = f" (first after {_count(one['steps'], 'step')})" if one["steps"] is not None else ""
    return DECIDED[one["decided"]] + nearest


def _violated(violation: dict[str, Any], is_shortest: bool) -> list[str]:
    head, _, rest = violation["what"].partition("\n")
    said = f"{violation['property']}: {head}"
    if violation["steps"] is None:
        return [said]
    if not violation["steps"]:
        return [f"{said}, already in the first state", *rest.splitlines()]
    way = _count(violation["steps"], "step")
    which = "the shortest way there" if is_shortest else "a way there"
    return [f"{said}; {which}, {way}:", *violation["lines"], *rest.splitlines()]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
