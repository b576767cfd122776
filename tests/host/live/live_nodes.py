"""Nodes of real processes for tests: started as the command line starts them, and searched for what they leave.

Every process of a node carries the mark of its test in its environment, inherited over each fork, so what is left can
be told from what other tests and other users run.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from deadline import DEADLINE_NS, DEADLINE_S

from host.config.spec import EngineSpec, NodeSpec
from host.live.control.client import Client
from host.live.control.instances import running_instance
from host.live.control.launch import Launch
from host.live.control.protocol import Response

MARK = "ENGINEHOST_TEST_MARK"
FAMILIES = Path(__file__).parent / "families"

T = TypeVar("T")


class LiveNode:
    """A node that is up."""

    def __init__(self, launch: Launch, spec: NodeSpec, client: Client) -> None:
        self.launch = launch
        self.spec = spec
        self.client = client
        self.pid = launch.process.pid

    def ask(self, op: str, timeout_s: float = DEADLINE_S, **args: Any) -> list[Any]:
        """The items of one operation."""
        return self.client.request(op, args, timeout_ns=int(timeout_s * 1e9)).items

    def ps(self) -> dict[str, Any]:
        """Engines by name."""
        return {item["engine"]: item for item in self.ask("ps")}

    def states(self) -> dict[str, str]:
        """States by engine."""
        return {name: item["state"] for name, item in self.ps().items()}

    def halt(self, engine: str) -> None:
        """Have an engine's process stand still. Returns once it does."""
        process = psutil.Process(self.ps()[engine]["pid"])
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: process.status() == psutil.STATUS_STOPPED, f"{engine} standing still")

    def go_on(self, engine: str) -> None:
        """Have an engine's process go on."""
        os.kill(self.ps()[engine]["pid"], signal.SIGCONT)

    def send(self, engine: str, tag: str, wait: str | None = None, **fields: Any) -> Any:
        """One message; the answer when waited for."""
        written = {name: ["json", value] for name, value in fields.items()}
        args = {
            "engine": engine,
            "mailbox": 0,
            "tag": tag,
            "fields": written,
            "wait": wait,
            "timeout_ns": DEADLINE_NS,
        }
        return self.client.request("send", args).items[0]

    def total(self, engine: str) -> int:
        """What a counter has counted."""
        return int(self.send(engine, "Ask", wait="Total")["count"])

    def events(self, kind: str, engine: str = "") -> list[Any]:
        """Events of one kind."""
        return [e for e in self.ask("events", limit=10_000) if e["kind"] == kind and engine in ("", e["engine"])]

    def end(self) -> int:
        """Take it down; the supervisor's exit code."""
        self.ask("down", drain_ns=0)
        return self.launch.process.wait(DEADLINE_S)


class World:
    """One test's nodes, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = folder / "roots"
        shutil.copytree(FAMILIES, self.roots, ignore=shutil.ignore_patterns("__pycache__"))

    def spec(self, *engines: EngineSpec, node: str = "test", **rest: Any) -> NodeSpec:
        """A node of this test's families."""
        path = self.folder / f"{node}.yaml"
        path.touch()
        data = str(self.folder / node)
        return NodeSpec(node, str(path), "digest", engines, roots=(str(self.roots),), data=data, **rest)

    @contextmanager
    def up(self, spec: NodeSpec) -> Iterator[LiveNode]:
        """A node that is ready; at the end it goes, if it has not gone yet."""
        with Launch(spec, attached=False) as launch:
            try:
                responses = self.responses(launch)
                assert not responses[-1].error, responses
                instance = running_instance(spec.path)
                assert instance is not None
                with Client(instance.control) as client:
                    yield LiveNode(launch, spec, client)
            finally:
                launch.process.send_signal(signal.SIGTERM)
                launch.process.send_signal(signal.SIGTERM)
                launch.process.wait(DEADLINE_S)

    def responses(self, launch: Launch) -> list[Response]:
        """All that a start reports."""
        return list(launch.progress(DEADLINE_NS))

    def processes(self) -> list[int]:
        """Living processes of this test's nodes."""
        mark = f"{MARK}={self.folder}".encode()
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _is_marked(pid, mark)]

    def shown(self, pid: int) -> tuple[str, str]:
        """What `ps` and `top` show of a process."""
        proc = Path("/proc", str(pid))
        return (proc / "cmdline").read_text().rstrip("\0"), (proc / "comm").read_text().strip()

    def titled(self, title: str) -> list[int]:
        """Those of `processes` that `ps` shows as this."""
        found = []
        for pid in self.processes():
            with suppress(ProcessLookupError, FileNotFoundError):
                if self.shown(pid)[0] == title:
                    found.append(pid)
        return found

    def sessions(self, program: str) -> list[int]:
        """The sessions of those of `processes` that run this program."""
        found = []
        for pid in self.processes():
            with suppress(ProcessLookupError, FileNotFoundError):
                if self.shown(pid)[1] == program:
                    found.append(os.getsid(pid))
        return found

    def left(self) -> list[str]:
        """What nodes have left: processes, shared memory, files of the runtime folder."""
        runtime = self.folder / "run" / "enginehost"
        folders = os.listdir(runtime) if runtime.exists() else []
        return [*map(str, self.processes()), *folders, *(n for n in os.listdir("/dev/shm") if "enginehost" in n)]


@contextmanager
def new_world() -> Iterator[World]:
    """A folder short enough for socket paths; whatever a test does, nothing of its nodes may be left."""
    with tempfile.TemporaryDirectory(prefix="eh", dir="/tmp") as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(Path(name, "run")))
        patch.setenv(MARK, name)
        made = World(Path(name))
        yield made
        until(lambda: not made.processes(), f"end of all processes, left: {made.left()}")


def counter(name: str, **rest: Any) -> EngineSpec:
    """An engine that counts."""
    return EngineSpec(name, "counting:COUNTER", **rest)


def in_child(run: Callable[[], None]) -> None:
    """`run` in a process of its own, where it has to return."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def until(found: Callable[[], T], what: str, within_s: float = DEADLINE_S) -> T:
    """The first true value of `found`, asked again and again until the deadline; for a third of the time at most, since
    asking may be a process each time."""
    deadline = time.monotonic() + within_s
    began = time.monotonic()
    while not (value := found()):
        now = time.monotonic()
        assert now < deadline, f"{what}: not within {within_s:g} s"
        time.sleep(max(0.005, 2 * (now - began)))
        began = time.monotonic()
    return value


def is_alive(pid: int) -> bool:
    """Whether a process runs. It may go at any moment; one that only waits to be reaped has ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _is_marked(pid: str, mark: bytes) -> bool:
    try:
        return mark in Path("/proc", pid, "environ").read_bytes().split(b"\0")
    except OSError:
        return False
