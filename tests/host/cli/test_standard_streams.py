"""Standard streams that are closed or full: cron, daemons and desktops start programs so."""

from __future__ import annotations

import shlex
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from host.live.control.protocol import Request, Response
from host.program import command

from .conftest import StartNode, answer_ps

LATE_S = 60
NODE = "node: streams\nengines:\n  a: {family: 'engines.examples.greeting:GREETEE'}\n"

everything_closed = pytest.mark.parametrize(
    "streams", ["<&- >&- 2>&-", *(pytest.param(one, marks=pytest.mark.storm) for one in ("<&-", ">&-", "2>&-"))]
)


def shell(arguments: str, streams: str = "", before: str = "") -> subprocess.CompletedProcess[str]:
    """The command as a shell runs it with these redirections."""
    line = f"{before}{shlex.join(command('host.__main__'))} {arguments} {streams}"
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=LATE_S, check=False)


def answer(request: Request) -> list[Response]:
    """A node that takes messages."""
    if request.op == "ps":
        return answer_ps(request)
    if request.args["tag"] == "Wrong":
        return [Response("error", error="refused", message="no")]
    return [Response("sent", [{"engine": "a"}])]


@everything_closed
@pytest.mark.parametrize(("arguments", "code"), [("ps", 0), ("send a Tag", 0), ("send a Wrong", 10), ("nonsense", 2)])
def test_a_closed_stream_changes_no_exit_code(start_node: StartNode, streams: str, arguments: str, code: int) -> None:
    """False if a program without a terminal reports failures of things that were done, or the wrong ones."""
    start_node("a.yaml", answer)
    done = shell(arguments, streams)
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (code, False)


def test_closed_standard_input_is_empty(start_node: StartNode) -> None:
    """False if reading it is an internal error."""
    start_node("a.yaml", answer)
    done = shell("send a Tag --json -", "<&-")
    assert (done.returncode, "standard input: " in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ("send a Tag --json", 0, "enginehost: standard output: No space left on device (send: done)\n"),
        ("ps", 1, "enginehost: standard output: No space left on device\n"),
        ("send a Wrong --json", 10, "enginehost: no\n"),
        ("--help", 1, "enginehost: No space left on device\n"),
    ],
)
def test_a_full_standard_output_fails_what_only_shows(
    start_node: StartNode, arguments: str, code: int, word: str
) -> None:
    """False if a script sends a message twice because a log was full, or takes an empty list for the truth."""
    start_node("a.yaml", answer)
    done = shell(arguments, ">/dev/full")
    assert (done.returncode, done.stderr) == (code, word)


def test_a_full_standard_error_is_no_failure(start_node: StartNode) -> None:
    """False if an exit code is lost with its message."""
    start_node("a.yaml", answer)
    assert shell("send a Wrong", "2>/dev/full").returncode == 10


@pytest.mark.storm
@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "2>&-", ">/dev/full", "| true"])
def test_up_and_down_do_what_they_do(project: Path, streams: str) -> None:
    """False if a node that is up is said to have failed, or none is up where there is no standard error."""
    (project / "node.yaml").write_text(NODE)
    try:
        assert shell("up node.yaml -d", streams).returncode == 0
        assert "a " in shell("ps").stdout
    finally:
        assert shell("down", streams).returncode == 0
    assert shell("ps").returncode == 5


def test_an_attached_node_outlives_a_full_standard_output(project: Path) -> None:
    """False if a log on a full disk takes the node with it."""
    (project / "node.yaml").write_text(NODE)
    with open("/dev/full", "w") as full:
        line = [*command("host.__main__"), "up", "node.yaml"]
        up = subprocess.Popen(line, stdout=full, stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    try:
        assert any("the node keeps running" in line for line in islice(up.stderr, 2))  # one may be about links
        assert shell("ps").returncode == 0
    finally:
        shell("down")
        assert up.wait(LATE_S) == 0
        up.stderr.close()


def test_an_attached_node_shows_what_engines_print(project: Path) -> None:
    """False if the author of an engine prints to find a mistake, and sees nothing."""
    (project / "speaking.py").write_text(
        "from engines.examples.greeting import GREETEE\nimport sys\nprint('imported here', file=sys.stderr)\n"
    )
    (project / "node.yaml").write_text("node: streams\nroots: [.]\nengines: {a: {family: 'speaking:GREETEE'}}\n")
    with subprocess.Popen([*command("host.__main__"), "up", "node.yaml"], stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert any("imported here" in line for line in up.stdout)
        shell("down")
        assert up.wait(LATE_S) == 0
