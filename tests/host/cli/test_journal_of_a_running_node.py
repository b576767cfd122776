"""Commands on a journal that is not named: the data folder of the running node is meant, as by other commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from host.live.control.protocol import Request, Response
from host.live.journal.data_folder import pin

from .conftest import Cli, StartNode

COMMANDS = (
    ["replay"],
    ["chart"],
    ["conform"],
    ["journal", "verify"],
    ["history", "a"],
    ["state", "diff", "a", "--from", "0", "--to", "1"],
)
each_command = pytest.mark.parametrize("argv", COMMANDS, ids=[" ".join(argv) for argv in COMMANDS])


def answers(data: str) -> list[Response]:
    return [Response("status", [{"node": "clock", "data": data}])]


@each_command
def test_the_running_node_is_meant(start_node: StartNode, cli: Cli, tmp_path: Path, argv: list[str]) -> None:
    """False if a command asked for a name, though its help says which node is meant without one."""
    data = tmp_path / "kept"
    pin(str(data), "clock", (), 0)
    node = start_node("clock.yaml", lambda _: answers(str(data)))
    result = cli(*argv)
    assert [request.op for request in node.seen] == ["status"]
    assert "JOURNAL" not in result.err
    assert result.code == (0 if argv[0] in ("replay", "chart", "conform", "journal") else 4)
    assert not result.err or str(data) in result.err


@each_command
def test_several_nodes_are_named(start_node: StartNode, cli: Cli, argv: list[str]) -> None:
    """False if the journal of one of several were taken by chance."""

    def never(_: Request) -> list[Response]:
        raise AssertionError("asked")

    for name in ("a.yaml", "b.yaml"):
        start_node(name, never)
    result = cli(*argv)
    assert result.code == 9
    assert "2 nodes run here: a (a.yaml), b (b.yaml)" in result.err
    assert "name a JOURNAL" in result.err


@each_command
def test_without_a_node_the_choices_are_said(cli: Cli, argv: list[str]) -> None:
    """False if nobody were told how to name a journal."""
    result = cli(*argv)
    assert result.code == 5
    assert "no node runs at or below" in result.err
    assert (
        f"name a JOURNAL (the data folder of a node, `.enginehost{os.sep}NODE`), or its node file with -f" in result.err
    )
