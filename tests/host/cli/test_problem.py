"""Exceptions, exit codes and the envelope of errors."""

from __future__ import annotations

import click
import pytest

from host.cli.problem import EXIT_TEXTS, CliError, CommandProblem, find_problem
from host.live.control.protocol import EXIT_CODES, ControlError

from .conftest import Cli

TABLE = {
    "ok": 0,
    "failed": 1,
    "usage": 2,
    "configuration": 3,
    "not_found": 4,
    "not_running": 5,
    "timeout": 6,
    "not_ready": 7,
    "violated": 8,
    "conflict": 9,
    "refused": 10,
}
"""What scripts rely on; written out a second time so that a change of the code fails here."""


def test_the_exit_codes_are_those_scripts_rely_on() -> None:
    """If false, scripts would misread a failure."""
    assert EXIT_CODES == TABLE
    assert EXIT_TEXTS.keys() == TABLE.keys()


def test_help_prints_every_exit_code(cli: Cli) -> None:
    """If false, a user would not find what a code means."""
    result = cli("--help")
    assert result.code == 0
    for name, code in TABLE.items():
        assert f"\n{code:>5}  {EXIT_TEXTS[name]}\n" in result.out
    assert "\n  130  interrupted by Ctrl-C\n" in result.out


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CliError("not_ready", "x"), 7, "x"),
        (ControlError("refused", "y"), 10, "y"),
        (ControlError("from_a_newer_node", "z"), 1, "z"),
        (click.UsageError("no"), 2, "no (see: enginehost --help)"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (FileNotFoundError(2, "No such file or directory", "a.yaml"), 1, "a.yaml: No such file or directory"),
        (
            UnicodeEncodeError("utf-8", "caf\udce9", 3, 4, "surrogates not allowed"),
            2,
            r"'caf\xe9' is not UTF-8; names and texts must be",
        ),
        (ValueError("v"), 1, "internal error: ValueError: v (--debug shows where)"),
    ],
)
def test_every_exception_is_a_line_and_a_code(error: BaseException, code: int, message: str) -> None:
    """If false, a user would see a traceback, or a script another code."""
    problem = find_problem(error)
    assert (problem.exit_code, problem.message) == (code, message)


def test_error_items_say_what_when_and_which_code() -> None:
    """If false, a program could not tell errors apart without parsing text."""
    base = {"error": "conflict", "message": "several", "exit_code": 9}
    assert CommandProblem("conflict", "several").error_items() == [base]
    assert CommandProblem("conflict", "several", ({"node": "a"},)).error_items() == [{**base, "node": "a"}]
