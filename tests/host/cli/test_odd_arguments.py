"""Every command with arguments that nobody means: a sentence and a documented exit code, never an internal error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from host.cli.main import COMMANDS, root
from host.cli.problem import INTERRUPTED
from host.live.control.protocol import EXIT_CODES, Request, Response

from .conftest import Cli, StartNode

NOT_UTF8 = "caf\udce9"
"""As Python has the argument whose bytes are `caf\\xe9`."""

ODD = ["", "-", "-1", "a#99999999999999999999", "9" * 30, "25d", "106000d", "\x1b[2J\n", "größe", NOT_UTF8, "/dev/null"]
"""For every argument and option of every command."""

ODD_FIELDS = [
    "0=1",
    "größe=3",
    "x=@",
    "x=@/",
    "x=b64:é",
    "x=" + "[" * 3_000,
    "x=" + "9" * 5_000,
    "x=[" + "9" * 30 + "]",
    "x=[" + "9" * 400 + "]",
    "x=[1e999]",
    'x="\\ud800"',
    "x=" + NOT_UTF8,
]

ODD_PATHS = [*ODD, "/" + "x" * 5_000, "a\nb", "."]

OWN_WORK = {"bench", "doctor", "down", "up", "version"}
"""Start or stop processes, or look at the machine; what they take is tried apart."""


def _commands() -> Iterator[tuple[str, ...]]:
    with root.make_context("enginehost", ["ps"], resilient_parsing=True) as context:
        for name in COMMANDS:
            found = root.get_command(context, name)
            if isinstance(found, click.Group):
                yield from ((name, below) for below in found.commands)
            elif name not in OWN_WORK:
                yield (name,)


def _options(argv: tuple[str, ...]) -> list[str]:
    with root.make_context("enginehost", list(argv), resilient_parsing=True) as context:
        found = root.get_command(context, argv[0])
        if isinstance(found, click.Group):
            found = found.commands[argv[1]]
        assert found is not None
        return [p.opts[0] for p in found.params if isinstance(p, click.Option) and not p.is_flag]


COMMAND_LINES = list(_commands())


def answer(request: Request) -> list[Response]:
    """A node that has nothing and takes everything."""
    return [Response("nothing", [{"node": "a", "data": "/nowhere"}] if request.op == "status" else [])]


def check(cli: Cli, *argv: str) -> None:
    result = cli(*argv)
    assert result.code in {*EXIT_CODES.values(), INTERRUPTED}, (argv, result)
    assert "internal error" not in result.err, (argv, result.err)
    assert "Traceback" not in result.err, (argv, result.err)
    assert result.code == 0 or result.err, argv


@pytest.fixture
def node(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node for commands to talk to, and no standard input."""
    start_node("a.yaml", answer)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("command", COMMAND_LINES, ids=" ".join)
def test_an_odd_argument_is_a_sentence_and_a_documented_code(cli: Cli, command: tuple[str, ...]) -> None:
    """False if an argument at fault ended in an internal error, or a code that `--help` does not list."""
    for odd in ODD:
        check(cli, *command, odd)
        check(cli, *command, "a", odd)
        for option in _options(command):
            check(cli, *command, "a", f"{option}={odd}")


@pytest.mark.parametrize("timeout", ["25d", "106000d"])
def test_imports_may_take_as_long_as_can_be_written(cli: Cli, project: Path, timeout: str) -> None:
    """False if a good duration were an internal error."""
    (project / "a.yaml").write_text("node: a\nengines: {e: {family: 'engines.benchmark.oneway:SINK'}}\n")
    assert cli("validate", "a.yaml", "--timeout", timeout).err == ""


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("odd", ODD_FIELDS, ids=range(len(ODD_FIELDS)))
def test_an_odd_field_is_a_sentence_and_a_documented_code(cli: Cli, odd: str) -> None:
    """False if a field at fault ended in an internal error."""
    check(cli, "send", "a", "T", odd)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("odd", ODD_PATHS, ids=range(len(ODD_PATHS)))
def test_an_odd_file_or_command_is_a_sentence_and_a_documented_code(cli: Cli, odd: str) -> None:
    """False if the common options, or a command's name, ended in an internal error."""
    for argv in (("-f", odd, "ps"), ("--json", "ps", "-f", odd), (odd,), ("validate", odd), ("bench", "--from", odd)):
        check(cli, *argv)
    check(cli, "down", f"--drain={odd}", "-f", "b.yaml")


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"type":"T","x":' + "[" * 3_000 + "]" * 3_000 + "}", "nested deeper than 100 levels"),
        ('{"type":"T","x":' + "[" * 500 + "]" * 500 + "}", "nested deeper than 100 levels"),
        ('{"type":"T","x":1e999}', "Number out of range"),
        ('{"type":"T","x":' + "9" * 400 + "}", "Number out of range"),
        ('{"type":"T","x":"\\ud800"}', "not JSON"),
        ("[]", "not a JSON object"),
        ("\xff", "not JSON"),
    ],
)
def test_odd_standard_input_is_a_usage_error(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, said: str
) -> None:
    """False if a message from another program ended in an internal error."""
    (tmp_path / "in").write_bytes(text.encode("latin-1"))
    with open(tmp_path / "in") as file:
        monkeypatch.setattr("sys.stdin", file)
        result = cli("send", "a", "--json", "-")
    assert (result.code, said in result.err) == (2, True), result.err


@pytest.mark.usefixtures("node")
def test_a_number_beyond_64_bits_is_a_fraction(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """False if a float of 30 digits were taken as text and refused as JSON."""
    (tmp_path / "in").write_text('{"type":"T","x":' + "9" * 30 + "}")
    with open(tmp_path / "in") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert cli("send", "a", "--json", "-").code == 0


def test_a_folder_that_is_gone_is_said(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if the message named neither the folder nor what to do."""
    (project / "gone").mkdir()
    monkeypatch.chdir(project / "gone")
    (project / "gone").rmdir()
    for argv in (["ps"], ["down"], ["state", "get", "x"]):
        result = cli(*argv)
        assert (result.code, result.err) == (1, "enginehost: the current folder is gone: change to another one\n")


def test_a_node_in_a_folder_that_is_not_utf8_is_refused(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """False if a folder's name were an internal error."""
    folder = project / NOT_UTF8
    folder.mkdir()
    (folder / "a.yaml").write_text("node: a\nengines: {e: {family: 'a.b:C'}}\n")
    monkeypatch.chdir(folder)
    result = cli("validate", "a.yaml")
    assert result.code == 2
    assert re.search(r"caf\\xe9/.*' is not UTF-8", result.err)
