"""`enginehost lint`: find what makes a family's behaviour depend on more than its input, before it runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click
import msgspec

from host.chart.escapes import one_line
from host.cli.node_file import load_node_file, node_file
from host.cli.output import Items, diagnose, emit
from host.cli.problem import CliError
from host.cli.settings import common, settings
from host.cli.units import duration
from host.live.control.protocol import EXIT_CODES

if TYPE_CHECKING:
    from host.config.spec import NodeSpec
    from host.live.inspection.lint import LintReport

TIMEOUT_NS = 60_000_000_000
"""Default time for the imports and trials of all families together."""

VIOLATED: Final = EXIT_CODES["violated"]


@click.command("lint")
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="A folder of modules, as in `roots` of a node file; repeatable.",
)
@click.option("--no-run", is_flag=True, help="Only read the code; call no guard and no action.")
@click.option("--timeout", type=duration, default=TIMEOUT_NS, metavar="DURATION", help="Time limit of a family (60s).")
@common
def command(targets: tuple[str, ...], roots: tuple[str, ...], no_run: bool, timeout: int) -> None:
    """Look for mistakes in TARGET: module:FAMILY, a module, a file, or a node file.

    Reads the code of rules and of what they call (clocks, chance, set order, I/O, …), searches for rules that compete,
    and runs made-up transitions again in processes with other hash seeds. Exit code 8 if anything is found.
    """
    from host.live.inspection.inspect import inquiry_of
    from host.live.inspection.lint import lint
    from host.live.inspection.lint_records import LintOrder

    nodes = _nodes(targets)
    known = [os.path.abspath(root) for root in roots] + [root for node in nodes for root in node.roots]
    inquiries = [inquiry_of(node) for node in nodes]
    named = [_named(target) for target in targets if not _is_node_file(target)]
    whole = [inquiry for inquiry, node in zip(inquiries, nodes, strict=True) if not named or _is_target(node, targets)]
    order = LintOrder(
        tuple(dict.fromkeys([*named, *(ref for inquiry in whole for ref in inquiry.families)])),
        tuple(dict.fromkeys(known)),
        tuple(engine for inquiry in inquiries for engine in inquiry.engines),
        not no_run,
        timeout,
    )
    report = lint(order)
    _report_absent(report)
    for remark in report.remarks:
        diagnose(f"enginehost: {one_line(remark)}")
    emit("finding", [msgspec.to_builtins(one) for one in report.findings], lambda items: render(items, report))
    if report.findings:
        click.get_current_context().exit(VIOLATED)


def render(items: Items, report: LintReport) -> str:
    """Each finding with its reason and remedy, then a count."""
    parts = [_block(item) for item in items]
    looked = f"{_counted(report.families, 'family', 'families')}, {report.transitions} transitions run again"
    return "\n".join([*parts, f"{_counted(len(items), 'finding', 'findings')} in {looked}"])


def _block(item: dict[str, object]) -> str:
    place = f"{_shown(str(item['file']))}:{item['line']}" if item["line"] else str(item["file"])
    why = [f"    why: {one_line(item['why'])}"] if item["why"] else []
    head = f"{one_line(place)}: {item['kind']}: {one_line(item['what'])}"
    return "\n".join([head, *why, f"    do:  {one_line(item['remedy'])}"])


def _shown(file: str) -> str:
    """A path below this folder without the folder."""
    folder = os.getcwd().rstrip("/") + "/"
    return file.removeprefix(folder)


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _nodes(targets: tuple[str, ...]) -> list[NodeSpec]:
    """The node files among the targets, and that of `--file`."""
    paths = [target for target in targets if _is_node_file(target)]
    if not targets and settings().file is None:
        raise click.UsageError("name what to lint: module:FAMILY, a module, a file, or a node file")
    if settings().file is not None:
        paths.insert(0, node_file(None))
    for path in paths:
        if not os.path.isfile(path):
            raise CliError("not_found", f"{path}: no such file")
    return [load_node_file(path) for path in dict.fromkeys(paths)]


def _is_node_file(target: str) -> bool:
    return target.endswith((".yaml", ".yml"))


def _is_target(node: NodeSpec, targets: tuple[str, ...]) -> bool:
    return any(_is_node_file(target) and os.path.realpath(target) == node.path for target in targets)


def _named(target: str) -> str:
    """A target for the child: a family, a module, or the absolute path of a file."""
    if not target.endswith(".py") and "/" not in target:
        parts = target.replace(":", ".", 1).split(".")
        if not all(part.isidentifier() for part in parts):
            raise click.UsageError(f"`{one_line(target)}` is no module:FAMILY, module, file or node file")
        return target
    if not os.path.isfile(target) or not target.endswith(".py"):
        raise CliError("not_found", f"{target}: no such Python file")
    return os.path.abspath(target)


def _report_absent(report: LintReport) -> None:
    """A target that is not there is an error; a module without a family only if there is nothing else."""
    wrong = [one for one in report.absent if not one.is_empty or not report.families]
    if wrong:
        items = tuple({"message": one.reason, "target": one.target} for one in wrong)
        raise CliError("not_found", "; ".join(one.reason for one in wrong), items)
    for one in report.absent:
        diagnose(f"enginehost: {one_line(one.reason)}")
