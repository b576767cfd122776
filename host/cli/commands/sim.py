"""`enginehost sim`: run a node in virtual time, under many seeds, and make a failure small."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from host.cli.node_file import check_node_file, load_node_file, node_file
from host.cli.output import diagnose, each, emit
from host.cli.problem import CliError
from host.cli.progress import progress_line
from host.cli.settings import common
from host.cli.units import show_count, show_duration
from host.config.units import UnitError, parse_quantity

if TYPE_CHECKING:
    from host.sim.script import ScriptLine
    from host.sim.search import RunResult, Trial

SEEDS: Final = "1..100"
SEEDS_MAX: Final = 10_000_000
PROGRESS_S: Final = 0.5
PROGRESS_FILE_S: Final = 10.0
"""Between two lines of progress, where no terminal shows them."""


class SeedRange(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic since click 8.4
    """Type of an option for one seed or a range of them, `1..10000`."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """A range; one seed is a range of one."""
        if isinstance(value, range):
            return value
        first, dots, last = str(value).partition("..")
        if not first.isdecimal() or not (last or first).isdecimal() or bool(dots) != bool(last):
            self.fail(f"{value!r} is no seed and no range such as 1..1000", param, ctx)
        found = range(int(first), int(last or first) + 1)
        if not 1 <= len(found) <= SEEDS_MAX:
            self.fail(f"{value!r}: from 1 to {SEEDS_MAX} seeds, the first one first", param, ctx)
        return found


def _until(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    if value == "idle":
        return None
    try:
        return parse_quantity(value, "_ns")
    except UnitError as error:
        raise click.BadParameter(f"{error}; or `idle`") from error


@click.command("sim")
@click.argument("config", required=False, type=click.Path())
@click.option("--seed", "seeds", type=SeedRange(), metavar="N|A..B", help=f"Seeds to run ({SEEDS}).")
@click.option("--faults", default="", metavar="TEXT", help="What can go wrong: crash=0.01,delay=0..5ms,…")
@click.option("--send", "sends", multiple=True, metavar="MESSAGE", help="Send 'ENGINE TYPE FIELD=VALUE…' at the start.")
@click.option(
    "--script", type=click.Path(), metavar="FILE", help="Perform a script; without --seed, compare its output."
)
@click.option("--rewrite", is_flag=True, help="Write the script's output into its file.")
@click.option("--check", "always", multiple=True, metavar="MODULE:FUNCTION", help="A property that always holds.")
@click.option(
    "--finally", "finally_", multiple=True, metavar="MODULE:FUNCTION", help="A property that holds at the end."
)
@click.option(
    "--until",
    default="idle",
    callback=_until,
    metavar="idle|DURATION",
    help="When a run ends (idle: no mail, no timer).",
)
@click.option("--only", metavar="FAULTS", help="Of the seed's faults, only these, as a failure lists them.")
@click.option("--keep", metavar="LINES", help="Of the messages or the script, only these lines.")
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Processes that run seeds (one a processor).")
@click.option("--trace", is_flag=True, help="Show all that happens in the run of one seed.")
@common
def command(
    config: str | None,
    seeds: range | None,
    faults: str,
    sends: tuple[str, ...],
    script: str | None,
    rewrite: bool,
    always: tuple[str, ...],
    finally_: tuple[str, ...],
    until: int | None,
    only: str | None,
    keep: str | None,
    workers: int | None,
    trace: bool,
) -> None:
    """Simulate the node of CONFIG: its engines and its host, in virtual time, with faults by seed.

    Each seed is a run of its own. The first one in which a property does not hold is run again with fewer faults and
    messages, and printed with the command that replays it; the exit code is then 8. Starts no process.
    """
    path = node_file(config)
    with _told(path):
        if (rewrite or script is not None) and seeds is None:
            _play(path, script, faults, rewrite=rewrite)
            return
        trial = _trial(path, faults, _lines(sends, script), until, always, finally_)
        chosen = seeds or SeedRange().convert(SEEDS, None, None)
        if only is not None or keep is not None or trace:
            found = _one(trial, chosen, only, keep, trace=trace)
            _report(trial, [found], 0.0, _replay(path, found), keep_size=True)
            return
        began_s = _cpu_s()
        results, failed = _search(trial, chosen, workers or len(os.sched_getaffinity(0)))
        _report(trial, results, _cpu_s() - began_s, _replay(path, failed) if failed is not None else "")


@each
def render_simulation(item: dict[str, Any]) -> str:
    """What was run, and how it ended."""
    if "property" not in item:
        rate = f" ({show_count(item['triggers_per_s'])} a CPU second)" if item["triggers_per_s"] else ""
        runs = f"{item['seeds']} run{'' if item['seeds'] == 1 else 's'}"
        return f"{runs}, {show_count(item['triggers'])} triggers{rate}: {'no' if not item['failures'] else 'a'} failure"
    detail = f": {item['detail']}" if item["detail"] else ""
    lines = [
        f"seed {item['seed']}: {item['property']} does not hold{detail}",
        f"  after {show_duration(item['at_ns'])}, {show_count(item['triggers'])} triggers",
        f"  faults: {', '.join(item['faults']) or 'none'}",
    ]
    if item["messages"]:
        lines += ["  messages:", *(f"    {message}" for message in item["messages"])]
    return "\n".join([*lines, f"  replay: {item['replay']}"])


def _trial(
    path: str, faults: str, lines: list[ScriptLine], until: int | None, always: Sequence[str], finally_: Sequence[str]
) -> Trial:
    from host.sim.families import Families
    from host.sim.faults import parse_faults
    from host.sim.properties import load_property
    from host.sim.search import Named, Trial

    spec = load_node_file(path)
    holds, ends = (tuple(Named(ref, load_property(ref, spec.roots)) for ref in refs) for refs in (always, finally_))
    return Trial(spec, parse_faults(faults), tuple(lines), until, holds, ends, Families(spec.roots, {}))


def _lines(sends: Sequence[str], script: str | None) -> list[ScriptLine]:
    from host.sim.script import parse_script

    text = "".join(f"send {send}\n" for send in sends)
    if script is not None:
        text += _read(script)
    return parse_script(text)


def _one(trial: Trial, seeds: range, only: str | None, keep: str | None, *, trace: bool) -> RunResult:
    from host.sim.search import run_trial

    if len(seeds) != 1:
        raise click.UsageError("--only, --keep and --trace are about one run: give one --seed")
    ids = None if only is None else [part for part in only.split(",") if part]
    if keep is not None and not all(part.isdecimal() for part in keep.split(",") if part):
        raise click.UsageError("--keep takes the numbers of lines: 1,3")
    numbers = None if keep is None else [int(part) for part in keep.split(",") if part]
    found = run_trial(trial, seeds[0], ids, numbers, trace=trace)
    if trace:
        diagnose(found.trace)
    return found


def _cpu_s() -> float:
    """CPU time of this process, and of its children that have ended."""
    return sum(os.times()[:4])


def _search(trial: Trial, seeds: range, workers: int) -> tuple[list[RunResult], RunResult | None]:
    """All runs up to the first failure, which is made small."""
    from host.cli.seeds import run_all
    from host.sim.search import shrink

    results: list[RunResult] = []
    triggers = 0
    with _progress() as show, closing(run_all(trial, seeds, workers)) as runs:
        for result in runs:
            results.append(result)
            triggers += result.triggers
            show(f"seed {result.seed}, {len(results)} of {len(seeds)} runs, {show_count(triggers)} triggers")
            if result.failed:
                runs.close()
                show(f"seed {result.seed}: {result.failed} does not hold; looking for a smaller run")
                results[-1] = shrink(trial, result)
                return results, results[-1]
    return results, None


def _replay(path: str, found: RunResult) -> str:
    """The command that runs this again: the one that was given, with the seed and what is left of faults and lines."""
    context = click.get_current_context()
    given = context.params
    parts = ["enginehost", "sim", path, "--seed", str(found.seed)]
    until = given["until"]
    for name, values in (
        ("--faults", [given["faults"]] if given["faults"] else []),
        ("--send", given["sends"]),
        ("--script", [given["script"]] if given["script"] else []),
        ("--check", given["always"]),
        ("--finally", given["finally_"]),
        ("--until", [] if until is None else [f"{until}ns"]),
    ):
        for value in values:
            parts += [name, value]
    parts += ["--only", ",".join(found.faults)]
    if found.kept:
        parts += ["--keep", ",".join(map(str, found.kept))]
    return shlex.join([*parts, "--trace"])


def _report(trial: Trial, results: list[RunResult], took_s: float, replay: str, *, keep_size: bool = False) -> None:
    """Print how it ended. Raises `CliError` for a failure."""
    triggers = sum(result.triggers for result in results)
    failed = [result for result in results if result.failed]
    rate = 0 if keep_size or not took_s else round(triggers / took_s)
    summary = {"seeds": len(results), "failures": len(failed), "triggers": triggers, "triggers_per_s": rate}
    items = [summary, *(_item(trial, result, replay) for result in failed)]
    if not failed:
        emit("simulation", items, render_simulation)
        return
    text = render_simulation(items)
    message = f"seed {failed[0].seed}: {failed[0].failed} does not hold"
    raise CliError("violated", message, tuple(items), text)


def _item(trial: Trial, result: RunResult, replay: str) -> dict[str, Any]:
    texts = {line.number: line.text for line in trial.lines}
    return {
        "seed": result.seed,
        "property": result.failed,
        "detail": result.detail,
        "at_ns": result.at_ns,
        "triggers": result.triggers,
        "faults": list(result.faults),
        "messages": [texts[number] for number in result.kept],
        "replay": replay,
    }


def _play(path: str, script: str | None, faults: str, *, rewrite: bool) -> None:
    """Perform a script once, and compare what it brings about with what its file says."""
    from host.sim.faults import parse_faults
    from host.sim.script import parse_script, play, rendered
    from host.sim.world import World

    if script is None:
        raise click.UsageError("--rewrite needs a --script")
    written = _read(script)
    plan = parse_faults(faults if "loss" in faults else f"loss=0,{faults}")
    found = rendered(play(World(load_node_file(path), faults=plan, trace=True), parse_script(written)))
    if rewrite:
        Path(script).write_text(found, encoding="utf-8")
    elif found != written:
        difference = "".join(unified_diff(written.splitlines(True), found.splitlines(True), script, "this run"))
        raise CliError("violated", f"{script}: the output differs (--rewrite accepts it)", text=difference)
    emit("script", [{"script": script, "lines": found.count("\n")}], lambda items: f"{script}: as written")


def _read(script: str) -> str:
    try:
        return Path(script).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CliError("usage", f"{script}: a script is text in UTF-8; byte {error.start} is not") from error


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Errors of a simulation as `CliError`; mistakes of the node file with their places, all at once."""
    from engines.model import BirthError, LoadError
    from host.node.births import BirthRefusedError
    from host.sim.families import SimError
    from host.sim.faults import FaultError

    try:
        yield
    except FaultError as error:
        raise CliError("usage", f"--faults: {error}") from error
    except (LoadError, BirthRefusedError, BirthError) as error:
        check_node_file(path)
        raise CliError("configuration", str(error)) from error
    except SimError as error:
        raise CliError("configuration", str(error)) from error


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Shows a line on a terminal, rewritten twice a second; elsewhere one line every ten seconds."""
    from rich.console import Console

    console = Console(stderr=True)
    is_rewritten = console.is_terminal and not console.is_dumb_terminal
    pause_s = PROGRESS_S if is_rewritten else PROGRESS_FILE_S
    next_s = time.monotonic() + pause_s
    with progress_line(console) as line:

        def show(text: str) -> None:
            nonlocal next_s
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + pause_s
                (line if is_rewritten else diagnose)(text)

        yield show
