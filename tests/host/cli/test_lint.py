"""`enginehost lint`: targets, exit codes, JSON, and families that would take the command down with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from host.live.control.protocol import EXIT_CODES

from .conftest import Cli, Result

ROOT = Path(__file__).resolve().parents[3]
PLANTED = ROOT / "tests" / "engines" / "model" / "planted"
VIOLATED = EXIT_CODES["violated"]

FAMILY = """\
from engines.model import Arrived, Effects, Family, Message, Value, rule
{head}

class Ask(Message):
    number: int = 0

class Seen(Value):
    last: int = 0

@rule
def act(ask: Ask, t: Arrived[Ask, None, Seen]) -> Effects[Seen, None]:
    {body}

FAMILY = Family("planted", accepts=Ask, state=Seen()).rules(act)
"""

SWALLOWED = """try:
        count = 0
        while True: count += 1
    except BaseException:
        while True: pass"""
"""A rule that catches the first end of its time and runs on."""

FINALIZED = """class Slow:
        def __del__(self) -> None:
            while True: pass
    Slow()
    while True: pass"""
"""A rule whose time ends in a finalizer, which drops exceptions, and that runs on."""


def write(project: Path, name: str, body: str, head: str = "") -> None:
    (project / f"{name}.py").write_text(FAMILY.format(body=body, head=head), encoding="utf-8")


def kinds(result: Result) -> set[str]:
    return {item["kind"] for item in result.envelope["items"]}


def test_a_finding_is_printed_with_place_reason_and_remedy(project: Path, cli: Cli) -> None:
    """False if an author had to look elsewhere for what to do, or a script could not see that something was found."""
    write(project, "one", "return Seen(time.time_ns())", "import time")
    result = cli("lint", "one:FAMILY", "--root", ".", "--no-run")
    assert result.code == VIOLATED
    assert result.out == (
        "one.py:12: clock: act reads a clock: time.time_ns()\n"
        "    why: each run reads another time\n"
        "    do:  take the time from the trigger (`t.now_ns`), or set a timer\n"
        "1 finding in 1 family, 0 transitions run again\n"
    )


def test_json_has_the_findings_as_items(project: Path, cli: Cli) -> None:
    """False if an editor or a gate could not read the findings."""
    write(project, "one", "return Seen(id(ask))")
    result = cli("lint", "one:FAMILY", "--root", ".", "--no-run", "--json")
    assert result.code == VIOLATED
    [item] = result.envelope["items"]
    assert result.envelope["kind"] == "finding"
    assert set(item) == {"file", "line", "kind", "what", "why", "remedy", "rule", "family"}
    assert (item["file"], item["line"], item["kind"]) == (str(project / "one.py"), 12, "identity")


def test_a_clean_family_ends_with_code_0(project: Path, cli: Cli) -> None:
    """False if the command could not be a gate."""
    write(project, "one", "return Seen(t.now_ns)")
    result = cli("lint", "one", "--root", ".")
    assert (result.code, result.err) == (0, "")
    assert result.out == "0 findings in 1 family, 48 transitions run again\n"
    assert cli("lint", "one", "--root", ".", "--json").envelope["items"] == []


@pytest.mark.parametrize("target", ["one:FAMILY", "one", "one.py", "./one.py", "node.yaml"])
def test_each_form_of_a_target_finds_the_family(target: str, project: Path, cli: Cli) -> None:
    """False if a family could not be named by its module, its file, or the node file that uses it."""
    write(project, "one", "return Seen(id(ask))")
    (project / "node.yaml").write_text('node: a\nroots: [.]\nengines:\n  a: {family: "one:FAMILY"}\n')
    argv = ["lint", target, "--no-run", "--json"]
    result = cli(*argv) if target == "node.yaml" else cli(*argv, "--root", ".")
    assert kinds(result) == {"identity"}
    assert result.code == VIOLATED
    if target != "node.yaml":
        assert cli(*argv, "-f", "node.yaml").code == VIOLATED


def test_code_comes_from_the_roots_only(project: Path, cli: Cli) -> None:
    """False if naming a file made the command import from anywhere."""
    write(project, "one", "return Seen(id(ask))")
    for target in ("one:FAMILY", "one", "one.py"):
        result = cli("lint", target)
        assert result.code == EXIT_CODES["not_found"], target
        assert "root" in result.err
        assert "Traceback" not in result.err
    (project / "other").mkdir()
    assert cli("lint", "one.py", "--root", "other").code == EXIT_CODES["not_found"]


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([], "usage"),
        (["one:"], "usage"),
        (["one two"], "usage"),
        (["--root", "nowhere", "one"], "usage"),
        (["nowhere.py"], "not_found"),
        (["nowhere.yaml"], "not_found"),
        (["one:NOTHING", "--root", "."], "not_found"),
        (["empty", "--root", "."], "not_found"),
    ],
)
def test_a_wrong_command_line_is_a_sentence(argv: list[str], code: str, project: Path, cli: Cli) -> None:
    """False if a slip ended with code 0, or with the code of a finding."""
    write(project, "one", "return Seen(0)")
    (project / "empty.py").write_text("")
    result = cli("lint", *argv)
    assert result.code == EXIT_CODES[code], result
    assert result.err
    assert "Traceback" not in result.err


def test_a_family_that_is_not_well_defined_is_found(project: Path, cli: Cli) -> None:
    """False if the definition check, or a module that does not import, were no finding with its place."""
    write(project, "one", "return Seen(0)", "import nothing_of_this_name")
    (project / "two.py").write_text(FAMILY.format(head="", body="return Seen(0)").replace("last: int", "last: list"))
    (project / "three.py").write_text("def f(:\n")
    result = cli("lint", "one", "two", "three", "--root", ".", "--json")
    assert result.code == VIOLATED
    found = {(Path(item["file"]).name, item["line"], item["kind"]) for item in result.envelope["items"]}
    assert {("one.py", 2, "definition"), ("two.py", 8, "definition"), ("three.py", 1, "definition")} <= found
    assert {kind for _, _, kind in found} == {"definition"}


@pytest.mark.storm
def test_planted_faults_show_in_the_run_under_another_seed(cli: Cli) -> None:
    """False if the run in another process found no clock, no chance and no order of a set."""
    names = ("WALL_CLOCK", "RANDOM", "SET_ORDER", "HASH", "IDENTITY", "COUNTER", "CLEAN")
    result = cli("lint", *(f"planted_faults:{name}" for name in names), "--root", str(PLANTED), "--json")
    found = {item["family"] for item in result.envelope["items"] if item["kind"] == "difference"}
    assert found == {f"planted_faults:{name}" for name in names if name != "CLEAN"}


def all_modules() -> list[str]:
    files = [path for path in sorted((ROOT / "engines").rglob("*.py")) if "model" not in path.parts]
    return [str(path) for path in files if path.name != "__init__.py"]


@pytest.mark.storm
def test_every_family_of_the_house_is_clean(cli: Cli) -> None:
    """False if an example taught what this command finds."""
    result = cli("lint", *all_modules())
    assert (result.code, result.out.partition(",")[0]) == (0, result.out.partition(",")[0]), result.out
    assert result.out.startswith("0 findings in ")
    assert int(result.out.split()[3]) >= 30


@pytest.mark.storm
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("while True: pass", "each of 48 transitions took too much time or memory"),
        (SWALLOWED, "each of 48 transitions took too much time or memory"),
        (FINALIZED, "each of 48 transitions took too much time or memory"),
        ("return Seen(len(bytes(1 << 40)))", "each of 48 transitions took too much time or memory"),
        ("return Seen(len(bytes(ask.number + 1)))", "of 48 transitions took too much time or memory"),
        ("__import__('os')._exit(3)  # lint: accept process: for the test", "ended the process that looked at it"),
    ],
)
def test_a_family_cannot_take_the_command_down(body: str, told: str, project: Path, cli: Cli) -> None:
    """False if a rule that loops, asks for all memory or ends its process were passed over in silence."""
    write(project, "one", body)
    result = cli("lint", "one", "--root", ".")
    assert told in result.out + result.err
    assert result.code in (0, VIOLATED)


@pytest.mark.storm
def test_a_module_that_never_returns_gets_the_blame(project: Path, cli: Cli) -> None:
    """False if the command hung with it, or said that nothing was found."""
    write(project, "one", "return Seen(0)", "import time; time.sleep(1000)")
    result = cli("lint", "one", "--root", ".", "--timeout", "1s")
    assert result.code == VIOLATED
    assert "one took longer than 1 s" in result.out


@pytest.mark.storm
def test_many_modules_may_take_longer_than_one_may(project: Path, cli: Cli) -> None:
    """False if the last of a house was blamed for the time that all before it took."""
    for name in ("one", "two", "three", "four"):
        write(project, name, "return Seen(0)", "import time; time.sleep(1.2)")
    result = cli("lint", "one", "two", "three", "four", "--root", ".", "--no-run", "--timeout", "4s")
    assert result.out.startswith("0 findings in 4 families"), result.out


@pytest.mark.storm
def test_values_of_the_node_file_are_tried(project: Path, cli: Cli) -> None:
    """False if a family whose values cannot be made up could not be searched at all."""
    text = FAMILY.replace("Message, Value", "Config, Message, Value").replace("[Ask, None,", "[Ask, Terms,")
    text = text.replace('Family("planted",', 'Family("planted", config=Terms,')
    head = (
        "class Terms(Config):\n    word: str\n"
        "    def __post_init__(self) -> None:\n        if self.word != 'xyzzy': raise ValueError('the word')\n"
    )
    (project / "one.py").write_text(text.format(head=head, body="return Seen(0)"))
    node = 'node: a\nroots: [.]\nengines:\n  a: {family: "one:FAMILY", config: {word: xyzzy}}\n'
    (project / "node.yaml").write_text(node)
    assert kinds(cli("lint", "one", "--root", ".", "--json")) == {"unsearched"}
    assert cli("lint", "node.yaml").code == 0
    assert cli("lint", "one", "-f", "node.yaml").code == 0


def test_a_link_to_a_root_is_followed(project: Path, cli: Cli) -> None:
    """False if a file reached through a link lay outside its own root."""
    (project / "real").mkdir()
    write(project / "real", "one", "return Seen(id(ask))")
    os.symlink(project / "real", project / "link")
    for file, root in (("link/one.py", "real"), ("real/one.py", "link")):
        assert kinds(cli("lint", file, "--root", root, "--no-run", "--json")) == {"identity"}


def test_what_a_family_prints_is_not_in_the_result(project: Path, cli: Cli) -> None:
    """False if a module's own output spoiled the JSON."""
    write(project, "one", "return Seen(0)", "print('noise')")
    result: Any = cli("lint", "one", "--root", ".", "--json", "--no-run")
    assert result.code == 0
    assert result.envelope["items"] == []
