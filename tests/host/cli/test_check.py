"""`enginehost check`: what it prints and writes, its exit codes, and what it says of a mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from host.live.control.protocol import EXIT_CODES

from .conftest import Cli

VIOLATED = EXIT_CODES["violated"]
TWO_PHASE = "engines.protocols.two_phase_commit:SYSTEM"

OWN = """\
from engines.protocols.two_phase_commit import RESOURCE, SYSTEM, Stage, stages
from engines.model import Arrived, Family, Message, rule

def never_commits(view):
    return Stage.COMMITTED not in stages(view)

def decided(view):
    return view.state("transaction").stage is not Stage.WORKING

def prepared(view):
    return view.state("rm0").stage is Stage.PREPARED

def raises(view):
    return view.state("nobody")

def leaves(view):
    raise SystemExit(0)

NUMBER = 4

def BROKEN():
    raise ValueError("no such size")

def WRONG():
    return 4

def NEEDS(size: int):
    return SYSTEM(size)
"""


@pytest.fixture
def own(project: Path) -> Path:
    """A folder with a module of one's own."""
    (project / "own.py").write_text(OWN, encoding="utf-8")
    return project


def tried(folder: Path) -> int:
    """What pytest comes to at the file that was written, without the plugins of this run."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "test_it.py"]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, check=False).returncode


def test_what_holds_is_said_with_the_extent(cli: Cli) -> None:
    """False if a person could not tell what was checked, or whether all of it was."""
    result = cli("check", TWO_PHASE)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[:3] == [
        "always consistent     holds",
        "sometimes all_commit  holds (first after 10 steps)",
        "sometimes all_abort   holds (first after 3 steps)",
    ]
    assert "two-phase-commit: 288 states, 761 transitions, 10 steps deep, all that can be reached" in lines


def test_json_has_all_of_it(cli: Cli) -> None:
    """False if a script could not read the counts, or an early end."""
    item = cli("check", TWO_PHASE, "--param", "resource_managers=5", "--json").envelope["items"][0]
    assert (item["states"], item["exhaustive"], item["violations"]) == (8_832, True, [])
    assert item["seconds"] > 0
    early = cli("check", TWO_PHASE, "--depth", "3", "--json").envelope["items"][0]
    assert (early["depth"], early["exhaustive"], early["ended"]) == (3, False, "the bound of 3 steps was reached")


def test_a_violation_is_shown_and_written_as_test_and_chart(own: Path, cli: Cli) -> None:
    """False if the way to a violation were not the shortest, or what was written did not fail like it."""
    result = cli(
        "check", TWO_PHASE, "--root", ".", "--always", "own:never_commits", "--test", "test_it.py", "--chart", "it.mmd"
    )
    assert result.code == VIOLATED
    assert "always never_commits: does not hold; the shortest way there, 8 steps:" in result.out
    assert (own / "it.mmd").read_text(encoding="utf-8").startswith("sequenceDiagram\n")
    assert tried(own) == 1
    mended = OWN.replace("Stage.COMMITTED not in stages(view)", "True")
    (own / "own.py").write_text(mended, encoding="utf-8")
    assert tried(own) == 0


def test_a_run_that_may_end_without_what_was_promised_is_a_violation(own: Path, cli: Cli) -> None:
    """False if nobody being obliged to decide passed for a decision."""
    result = cli("check", TWO_PHASE, "--root", ".", "--eventually", "own:decided")
    assert result.code == VIOLATED
    assert "eventually decided: does not hold: a fair run can end here" in result.out
    leads = cli("check", TWO_PHASE, "--root", ".", "--leads-to", "own:prepared", "own:decided", "--test", "test_it.py")
    assert leads.code == VIOLATED
    assert "prepared leads to decided: does not hold" in leads.out
    assert tried(own) == 1


def test_a_property_that_raises_is_named_with_its_place(own: Path, cli: Cli) -> None:
    """False if a mistake in a property ended in a traceback of the checker, or passed."""
    result = cli("check", TWO_PHASE, "--root", ".", "--always", "own:raises")
    assert result.code == VIOLATED
    assert "`raises` raised KeyError" in result.out
    assert 'own.py", line 14, in raises' in result.out


def test_a_property_that_exits_is_a_violation(own: Path, cli: Cli) -> None:
    """False if a property could end the check without a verdict, and with the exit code of one that holds."""
    result = cli("check", TWO_PHASE, "--root", ".", "--always", "own:leaves")
    assert result.code == VIOLATED
    assert "`leaves` raised SystemExit: 0" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch:SYSTEM",), "there is no module nosuch below the code roots"),
        (("own:NOTHING", "--root", "."), "own has no NOTHING; it has RESOURCE"),
        (("own:NUMBER", "--root", "."), "own:NUMBER is int; wanted: a System"),
        (("own:BROKEN", "--root", "."), "own:BROKEN raised ValueError: no such size"),
        (("own:WRONG", "--root", "."), "own:WRONG returned int, not a System"),
        (("own:NEEDS", "--root", "."), "own:NEEDS needs --param size=…"),
        (("own:NEEDS", "--root", ".", "--param", "size=x"), "--param size of own:NEEDS is of type int: not 'x'"),
        ((TWO_PHASE, "--param", "servers=3"), "has no parameter 'servers'; it takes resource_managers"),
        ((TWO_PHASE, "--param", "servers"), "--param is NAME=VALUE: 'servers'"),
        (("just-a-name",), "'just-a-name' is no import path: write package.module:NAME"),
        (("colorsys:rgb_to_yiq",), "colorsys lies outside the code roots"),
        ((TWO_PHASE, "--symmetry", "rm0,rm9"), "rm9 is said to be symmetric, and is no engine of the system"),
    ],
)
def test_a_wrong_argument_is_said_with_what_to_do(
    own: Path, cli: Cli, arguments: tuple[str, ...], message: str
) -> None:
    """False if a slip ended in a traceback, or in words that do not name it."""
    assert own.is_dir()
    result = cli("check", *arguments)
    assert result.code == EXIT_CODES["usage"]
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_family_alone_meets_all_it_accepts(cli: Cli) -> None:
    """False if a family could not be checked before there is a system to put it in."""
    item = cli("check", "engines.protocols.two_phase_commit:RESOURCE", "--json").envelope["items"][0]
    assert (item["states"], item["exhaustive"]) == (4, True)


CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def test_a_node_file_is_a_system(cli: Cli) -> None:
    """False if the engines, parameters and states of a node file were not those that are explored."""
    item = cli("check", str(CONFIGS / "broadcast.yaml"), "--send", "first Announce", "--json").envelope["items"][0]
    assert (item["system"], item["states"], item["exhaustive"]) == ("broadcast", 38, True)
    posts = ("--send", "posts Post name=m2 needs='[\"m3\"]'", "--send", "posts Post name=m3")
    assert cli("check", str(CONFIGS / "causal.yaml"), *posts, "--json").envelope["items"][0]["exhaustive"]
    devices = cli("check", str(CONFIGS / "devices.yaml"), "--depth", "2", "--json").envelope["items"][0]
    assert devices["states"] > 3, "the devices have twins, and anything may be sent to them"


@pytest.mark.parametrize(
    ("send", "message"),
    [
        ("nobody Announce", "the node has no engine 'nobody'; it has first, second, third"),
        ("first Announced", "mailbox 0 of first takes no Announced; it takes Announce, Tell"),
        ("first#3 Announce", "mailbox 3 of first takes no Announce; it takes nothing"),
        ("first Tell value=x", "Tell to first: value: expected a whole number, found the text `x`"),
        ("first", "--send is 'ENGINE TAG FIELD=VALUE …': 'first'"),
    ],
)
def test_a_wrong_message_is_said(cli: Cli, send: str, message: str) -> None:
    """False if a slip in a message were explored as something else, or ended in a traceback."""
    result = cli("check", str(CONFIGS / "broadcast.yaml"), "--send", send)
    assert result.code == EXIT_CODES["usage"]
    assert message in result.err
