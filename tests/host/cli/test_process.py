"""The command as a process: pipes, Ctrl-C, completion."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from deadline import DEADLINE_S, killed_at_last

from host.live.control.protocol import Request, Response

from .conftest import StartNode, answer_ps

COMMAND = (sys.executable, "-m", "host")


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *argv],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={**os.environ, **environment},
    )


def test_no_command_shows_the_help_and_is_a_usage_error() -> None:
    """If false, a script with an empty variable would seem to succeed."""
    result = run()
    assert (result.returncode, result.stdout) == (2, "")
    assert "Commands:" in result.stderr


def test_a_closed_pipe_is_silent() -> None:
    """If false, `enginehost … | head` would end in a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    for argv in (("--help",), ("version",), ("--json", "nonsense")):
        with (
            subprocess.Popen([*COMMAND, *argv], stdout=writer, stderr=subprocess.PIPE, text=True) as process,
            killed_at_last(process),
        ):
            assert "Traceback" not in process.communicate(timeout=DEADLINE_S)[1]
        assert process.returncode == 141
    os.close(writer)


def test_ctrl_c_is_one_word_and_130(start_node: StartNode) -> None:
    """If false, Ctrl-C on `logs -f` would end in a traceback."""
    asked = threading.Event()

    def answer(_: Request) -> list[Response]:
        asked.set()
        return [Response("log", [{"time": 0, "engine": "a", "text": "one", "fields": {}}], last=False)]

    start_node("a.yaml", answer)
    with (
        subprocess.Popen(
            [*COMMAND, "logs", "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
        killed_at_last(process),
    ):
        assert asked.wait(DEADLINE_S)
        assert process.stdout is not None
        assert process.stdout.readline().endswith("a:  one\n")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=DEADLINE_S)[1] == "enginehost: interrupted\n"
    assert process.returncode == 130


def test_ps_of_a_real_process(start_node: StartNode) -> None:
    """If false, the command works in tests only."""
    start_node("a.yaml", answer_ps)
    result = run("ps")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ENGINE", "server", "bob"]


def complete(words: str, cword: int) -> list[str]:
    result = run(_ENGINEHOST_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(cword))
    return [line.partition(",")[2] for line in result.stdout.split()]


def test_the_shell_completes_commands_options_and_engines(start_node: StartNode) -> None:
    """If false, the tab key would do nothing."""
    start_node("a.yaml", answer_ps)
    assert complete("enginehost rel", 1) == ["reload"]
    assert complete("enginehost state ", 2) == ["diff", "get"]
    assert complete("enginehost nonsense x", 2) == []
    assert "--wait" in complete("enginehost send --w", 2)
    assert complete("enginehost reload se", 2) == ["server"]
