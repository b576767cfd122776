"""The command `aism` before any engine: its options, help, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from deadline import DEADLINE_S

from engines.agents.operations import OPERATIONS
from host.aism.call import Call, Options
from host.aism.request import fields_of, names_of
from host.aism.table import COMMANDS, Command, find
from host.aism.usage import Misuse, parameters, parse
from host.program import ROOT

HEAVY = ("click", "rich", "redis", "msgspec", "yaml", "markdown_it", "engines.model", "host.cli", "argparse")
LOADED = f"""
import sys, _enginehost
_enginehost._host()
from host.program import begin
begin()
from host.aism.main import main
try:
    main()
finally:
    sys.stderr.write(repr([name for name in {HEAVY} if name in sys.modules]))
"""


def aism(*words: str, code: int = 0) -> dict[str, Any]:
    """The object that a call prints; it must exit with `code`, and print nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", "import _enginehost; _enginehost.aism()", *words],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_help_lists_each_command() -> None:
    """False if an agent could not discover a command, or its arguments."""
    assert [one["name"] for one in aism("help")["data"]["commands"]] == [one.words for one in COMMANDS]
    lint = aism("help", "protocol", "lint")["data"]["commands"]
    assert [one["name"] for one in lint[0]["parameters"]] == ["file", "--strict"]


def test_an_unknown_command_suggests_the_nearest() -> None:
    """False if a slip in a command left an agent without a way on."""
    error = aism("protocl", "lint", "x", code=3)["error"]
    assert error["kind"] == "usage"
    assert error["recovery_suggestions"] == ["did you mean 'aism protocol lint'?"]


def test_the_first_word_alone_leads_to_its_commands() -> None:
    """False if `aism agent` named some other command, or `aism agent --help` were refused."""
    error = aism("agent", code=3)["error"]
    assert error["message"] == "'agent' needs another word"
    assert error["recovery_suggestions"][0].startswith("commands of 'agent': add, ls, show")
    assert aism("state", "curent", code=3)["error"]["message"] == "no command 'state curent'"
    listed = aism("agent", "--help")["data"]["commands"]
    assert {one["name"].partition(" ")[0] for one in listed} == {"agent"}


@pytest.mark.parametrize("words", [["--timeout", "5"], ["--expect-seq", "x"], ["--request-id", "a b"], ["--timeout"]])
def test_wrong_global_options_are_refused(words: list[str]) -> None:
    """False if a wrong option were taken for something else."""
    assert aism("help", *words, code=3)["error"]["kind"] == "usage"


def test_a_call_loads_no_library() -> None:
    """False if an agent's call took the time of imports that it does not need."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "help"], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert done.stderr == "[]"


def test_a_call_of_an_agent_imports_little_of_the_library() -> None:
    """False if all that `aism state current` imports has a module that takes longer than what the call itself does."""
    slow = ("typing", "re", "enum", "json", "socket", "contextlib", "inspect", "pathlib", "subprocess", "dataclasses")
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import _enginehost, host.program, host.aism.main, host.aism.request
print([name for name in {slow} if name in sys.modules])
"""
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    assert done.stdout == "[]\n"


def test_text_goes_to_people() -> None:
    """False if `--text` printed JSON, or an error of it went to stdout."""
    done = subprocess.run(
        [sys.executable, "-c", "import _enginehost; _enginehost.aism()", "hepl", "--text"],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "aism: no command 'hepl'\n  did you mean 'aism help'?\n"


def test_each_command_is_there_once() -> None:
    """False if two rows had the same words: help would show both, and only the first one would ever run."""
    words = [one.words for one in COMMANDS]
    assert sorted({one for one in words if words.count(one) > 1}) == []


def test_each_usage_can_be_read() -> None:
    """False if a row of the table could not be parsed by."""
    for one in COMMANDS:
        parameters(one.usage)


@pytest.mark.parametrize("one", [one for one in COMMANDS if ":" not in one.home], ids=lambda one: one.words)
def test_the_arguments_of_a_request_are_the_fields_of_its_operation(one: Command) -> None:
    """False if a command named no operation that there is, lacked a field of it, or had an argument that is none."""
    kinds = OPERATIONS[one.home].fields
    given = {parameter.name: parameter.is_required for parameter in parameters(one.usage)}
    names = {field: [name for name in names_of(field.removesuffix("?")) if name in given] for field in kinds}
    assert [field for field, found in names.items() if not field.endswith("?") and not any(map(given.get, found))] == []
    assert set(given) - {"--agent"} == {name for found in names.values() for name in found}


def test_the_fields_of_a_request_are_of_their_kinds() -> None:
    """False if a word became a value of another kind, or an argument that was not given became a field."""
    words = ["read", "--from", "@ann", "--max", "3", "--wait", "2s", "--peek", "--ack", "m1", "--ack", "m2"]
    call = called("message", *words)
    found = {name: value for name, value in fields_of(call, "message.read").items() if value is not None}
    assert found == {"from": "@ann", "max": 3, "wait": 2 * 10**9, "peek": True, "ack": ["m1", "m2"]}
    sent = fields_of(called("message", "send", "bob", "@@hi", "--field", "n=1", "--field", "s=x"), "message.send")
    assert (sent["to"], sent["text"], sent["fields"], sent["type"]) == ("bob", "@hi", {"n": 1, "s": "x"}, None)
    moved = fields_of(called("state", "transition", "on", "--context", '{"a": [1]}'), "state.transition")
    assert (moved["target"], moved["context"], moved["expect_seq"]) == ("on", {"a": [1]}, 7)


def called(*words: str) -> Call:
    """A call of a command with `--expect-seq 7`."""
    command, rest = find(list(words))
    assert command is not None
    return Call(command, parse(command.usage, rest), Options(True, expect_seq=7))


@pytest.mark.parametrize(
    ("usage", "words", "expected"),
    [
        ("<a> [<b>]", ["x"], {"a": ["x"]}),
        ("<a> [<b>]", ["x", "y"], {"a": ["x"], "b": ["y"]}),
        ("<a>...", ["x", "y"], {"a": ["x", "y"]}),
        ("<a> [<b>...]", ["x"], {"a": ["x"]}),
        ("[<a>...] <b>", ["x", "y", "z"], {"a": ["x", "y"], "b": ["z"]}),
        ("<a> [--f NAME=VALUE]...", ["--f", "k=v", "x", "--f=l=w"], {"a": ["x"], "--f": ["k=v", "l=w"]}),
        ("<a> [-n N] [--wait]", ["-n", "3", "x", "--wait"], {"a": ["x"], "-n": ["3"], "--wait": [""]}),
        ("<a>", ["--", "-x"], {"a": ["-x"]}),
        ("<a>", ["-"], {"a": ["-"]}),
        ("<to> <text>", ["a", ""], {"to": ["a"], "text": [""]}),
    ],
)
def test_arguments_are_parsed_by_usage(usage: str, words: list[str], expected: dict[str, list[str]]) -> None:
    """False if a usage line described another call than the one that works."""
    found = parse(usage, words)
    assert {one.name: found.all(one.name) for one in parameters(usage) if one.name in found} == expected


@pytest.mark.parametrize(
    ("usage", "words"),
    [("<a>", []), ("<a>", ["x", "y"]), ("<a>", ["--b"]), ("[--b]", ["--b=1"]), ("[--b X]", ["--b"]), ("--b X", []),
     ("[--b X]", ["--b", "1", "--b", "2"])],
)  # fmt: skip
def test_other_arguments_are_refused(usage: str, words: list[str]) -> None:
    """False if a wrong call ran."""
    with pytest.raises(Misuse):
        parse(usage, words)
