"""What a node that is down, or never came up, left: events, log lines and dead letters are read from the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli, Result
from .test_astray import run

NODE = "node: left\nroots: [.]\nengines:\n  a: {family: 'saying:SAYER'}\n"
SAYING = """
from typing import Never
from engines.model import Arrived, Effects, Family, Message, Note, rule

class Say(Message):
    data: bytes = b"\\xff"

@rule
def say(m: Say, t: Arrived[Say, None, None]) -> Effects[None, Never]:
    \"\"\"None; a note, or an error.\"\"\"
    if m.data == b"":
        raise ValueError("nothing said")
    return Note("said")

SAYER = Family("sayer", state=None, accepts=Say).rules(say)
"""


@pytest.fixture
def left(project: Path) -> Path:
    """The folder of a node that noted something, buried something, and is down."""
    (project / "node.yaml").write_text(NODE)
    (project / "saying.py").write_text(SAYING)
    assert run("up", "node.yaml", "-d").returncode == 0
    assert run("send", "a", "Say").returncode == 0
    assert run("send", "a", "Say", "data=0x").returncode != 0
    assert run("down").returncode == 0
    return project


def items(result: Result) -> list[dict[str, Any]]:
    assert result.code == 0, result.err
    assert result.err.startswith("the node is down; shown from ")
    found: list[dict[str, Any]] = result.envelope["items"]
    return found


def test_a_node_that_is_down_can_be_read(left: Path, cli: Cli) -> None:
    """False if why a node went down is in files that no command shows."""
    for option in ((), ("--file", "node.yaml")):
        kinds = [item["kind"] for item in items(cli("events", "--json", *option))]
        assert (kinds[-1], "up" in kinds) == ("down", True)
        assert [item["text"] for item in items(cli("logs", "a", "--json", *option))][-1] == "said"
        (letter,) = items(cli("dead-letters", "--json", *option))
        assert (letter["target"], letter["message"]) == ("a", {"type": "Say", "data": "0x"})
        assert "nothing said" in letter["detail"]
        assert items(cli("dead-letters", "--counts", "--json", *option)) == [{"reason": letter["reason"], "count": 1}]
    assert len(items(cli("events", "--limit", "1", "--json"))) == 1
    assert items(cli("logs", "nobody", "--json")) == []
    assert "said" in cli("logs").out


def test_it_is_found_from_above_and_chosen_among_several(left: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if another folder is needed than while the node ran, or one of several is taken by chance."""
    monkeypatch.chdir(left.parent)
    assert items(cli("events", "--json"))
    (left / ".enginehost" / "other").mkdir()
    (left / ".enginehost" / "other" / "events.jsonl").write_text('{"time": 1, "kind": "down"}\n{"time": 2, "ki')
    several = cli("events")
    assert (several.code, "choose one with --file CONFIG" in several.err) == (9, True)
    assert items(cli("events", "--json", "--file", str(left / "node.yaml")))[-1]["kind"] == "down"


def test_following_and_what_left_nothing_is_not_running(left: Path, cli: Cli, tmp_path: Path) -> None:
    """False if a follower of a node that is down waits for ever, or an empty list is taken for the truth."""
    assert cli("events", "--follow").code == 5
    (left / "fresh").mkdir()
    (left / "fresh" / "node.yaml").write_text(NODE)
    for name in ("events", "logs", "dead-letters"):
        assert cli(name, "--file", str(left / "fresh" / "node.yaml")).code == 5


def test_a_node_that_did_not_start_can_be_read(project: Path, cli: Cli) -> None:
    """False if the output of a start that failed is gone with it."""
    (project / "node.yaml").write_text(NODE)
    (project / "saying.py").write_text(SAYING.replace('Family("sayer"', 'print("so far") or 1/0 or Family("sayer"'))
    assert run("up", "node.yaml", "-d").returncode != 0
    assert "so far" in [item["text"] for item in items(cli("logs", "--json"))]
