"""The node file that a command names, loaded and checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

from host.cli.problem import CliError
from host.cli.settings import settings
from host.config.problems import ConfigErrors
from host.config.spec import NodeSpec

if TYPE_CHECKING:
    from host.live.inspection.inspect_records import FamilyReport


IMPORT_NS: Final = 20_000_000_000
"""Time for the import of one family, as a supervisor gives. With less, a busy machine would look like a mistake."""


def node_file(argument: str | None) -> str:
    """The path given as CONFIG or with `--file`. Raises usage errors."""
    option = settings().file
    if argument and option and os.path.realpath(argument) != os.path.realpath(option):
        raise click.UsageError(f"two node files: {argument} and {option}")
    path = argument or option
    if path is None:
        raise click.UsageError("name a node file: CONFIG")
    if os.path.isdir(path):
        raise CliError("not_found", f"{path} is a folder: name the node file in it")
    if not os.path.exists(path):
        raise CliError("not_found", f"{path}: no such file")
    return path


def load_node_file(path: str) -> NodeSpec:
    """The node that the file describes. Imports its families only if the file is wrong, to report their mistakes too.

    Raises `CliError` with an item for each mistake.
    """
    from host.config.load import load_node

    try:
        return load_node(path)
    except ConfigErrors as e:
        check_node_file(path)
        raise _configuration_error(path, e) from e


def check_node_file(path: str, timeout_ns: int = IMPORT_NS) -> tuple[NodeSpec, dict[str, FamilyReport]]:
    """The node and reports of its families, which another process imports. Raises like `load_node_file`."""
    from host.live.inspection.inspect import validate_node

    try:
        return validate_node(path, deadline_ns=timeout_ns)
    except ConfigErrors as e:
        raise _configuration_error(path, e) from e


def _configuration_error(path: str, errors: ConfigErrors) -> CliError:
    """All mistakes: as text with their lines and carets, and as items with file, line, column, suggestion."""
    problems = errors.problems
    items = tuple(
        {"message": p.text, "file": p.file, "line": p.line, "column": p.column, "suggestion": p.suggestion}
        for p in problems
    )
    count = f"{len(problems)} mistake{'' if len(problems) == 1 else 's'}"
    return CliError("configuration", f"{path}: {count}", items, str(errors))
