"""A node of real processes, run from one of `configs` as a user would: by the command line, in a fresh folder.

`up` and `down` are processes of their own; other commands run inside the test, by the same function, which saves the
tenth of a second that an interpreter takes to start.

Every process of the node carries a mark in its environment, inherited over each fork, so that what is left behind can
be told from what other tests and users run. Whatever happens in a test, the node is taken down and searched for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

import pytest
from deadline import DEADLINE_S

from host.cli.main import run as run_command_line

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MARK = "ENGINEHOST_WORKED_MARK"
POLL_S = 0.02


class CommandError(AssertionError):
    """A command of a test did not succeed; `code` is its exit code."""

    def __init__(self, arguments: tuple[str, ...], code: int, output: str) -> None:
        super().__init__(f"enginehost {' '.join(arguments)}: exit {code}\n{output}")
        self.code = code


class LiveNode:
    """A node that is up."""

    def __init__(self, config: Path, environment: dict[str, str]) -> None:
        self.config = config
        self.environment = environment

    def run(self, *arguments: str) -> list[dict[str, Any]]:
        """The items a command prints with `--json`, without a process for it. Raises CommandError."""
        return self._items(arguments, *_run_here(self._argv(arguments)))

    def run_apart(self, *arguments: str) -> list[dict[str, Any]]:
        """As `run`, in a process of its own, as a user does."""
        done = subprocess.run(
            [sys.executable, "-m", "host", *self._argv(arguments)],
            cwd=self.config.parent,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return self._items(arguments, done.returncode, done.stdout, done.stderr)

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return [*arguments, "--json", "-f", str(self.config)]

    def _items(self, arguments: tuple[str, ...], code: int, printed: str, said: str) -> list[dict[str, Any]]:
        if code:
            raise CommandError(arguments, code, printed + said)
        envelope = json.loads(printed)
        assert envelope["v"] == 1
        items: list[dict[str, Any]] = envelope["items"]
        return items

    def send(self, engine: str, tag: str, *options: str, **fields: str) -> dict[str, Any]:
        """One message; what was sent, or with `--wait TAG` among the options the answer."""
        [item] = self.run("send", engine, tag, *(f"{name}={value}" for name, value in fields.items()), *options)
        return item

    def ask(self, engine: str, tag: str, answer: str, **fields: str) -> dict[str, Any]:
        """The answer to a message, without its type."""
        item = self.send(engine, tag, "--wait", answer, **fields)
        assert item.pop("type") == answer
        return item

    def state(self, engine: str) -> Any:
        """The state of an engine."""
        [item] = self.run("state", "get", engine)
        return item["state"]

    def engines(self) -> dict[str, dict[str, Any]]:
        """What `ps` says, by name."""
        return {item["engine"]: item for item in self.run("ps")}

    def until_handled(self, **handled: int) -> None:
        """Wait until these engines have handled so many messages."""

        def counts() -> dict[str, int]:
            engines = self.engines()
            return {name: engines[name]["handled"] for name in handled}

        self.until(f"handled {handled}", counts, lambda found: all(found[name] >= n for name, n in handled.items()))

    def until_state(self, engine: str, state: Any) -> None:
        """Wait until an engine is in this state."""
        self.until(f"{engine} in state {state}", lambda: self.state(engine), lambda found: bool(found == state))

    def until(self, wanted: str, probe: Callable[[], Any], holds: Callable[[Any], bool] = bool) -> Any:
        """What `probe` finds once it holds. Raises AssertionError with the last finding when it takes too long."""
        deadline = time.monotonic() + DEADLINE_S
        while not holds(found := probe()):
            assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {wanted}; found {found}"
            time.sleep(POLL_S)
        return found


def _run_here(argv: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with redirect_stdout(StringIO()) as printed, redirect_stderr(StringIO()) as said:
        code = run_command_line(argv)
    return code, printed.getvalue(), said.getvalue()


Start = Callable[[str], LiveNode]
"""Starts the node of a file by its name; a fixture."""


@contextmanager
def live_node(config: Path, placement: str) -> Iterator[LiveNode]:
    """The node of a file, up, with its default placement replaced; afterwards down, with nothing left."""
    folder = Path(mkdtemp(prefix="eh-"))  # short: the paths of sockets below it are bounded
    mark = uuid4().hex
    try:
        node = LiveNode(_fresh_copy(config, folder, placement), _environment(folder, mark))
        node.run_apart("up", "-d")
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_RUNTIME_DIR", node.environment["XDG_RUNTIME_DIR"])
                yield node
        finally:
            node.run_apart("down")
        assert marked_processes(mark) == [], "processes are left"
        assert [path for path in (folder / "run").rglob("*") if path.is_socket()] == [], "sockets are left"
    finally:
        for pid in marked_processes(mark):
            os.kill(pid, 9)
        shutil.rmtree(folder)


def _fresh_copy(config: Path, folder: Path, placement: str) -> Path:
    text, count = re.subn(r"(?m)^  default: process", f"  default: {placement}", config.read_text(encoding="utf-8"))
    assert count == 1, f"{config.name} names its default placement"
    copy = folder / config.name
    copy.write_text(text, encoding="utf-8")
    return copy


def _environment(folder: Path, mark: str) -> dict[str, str]:
    run = folder / "run"
    run.mkdir(mode=0o700)
    return {**os.environ, "XDG_RUNTIME_DIR": str(run), MARK: mark}


def marked_processes(mark: str) -> list[int]:
    """The processes that carry this mark; those that are ending are given a moment."""
    deadline = time.monotonic() + DEADLINE_S
    while pids := [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if _carries(path, mark)]:
        if time.monotonic() > deadline:
            return pids
        time.sleep(POLL_S)
    return []


def _carries(environ: Path, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in environ.read_bytes()
    except OSError:  # ended meanwhile, or somebody else's
        return False
