"""A node that is not there: a ROUTER in a thread that speaks the control protocol, in a runtime folder of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from deadline import DEADLINE_S

from host.cli.main import run
from host.live.control.instances import Instance, instance_folders
from host.live.control.protocol import Request, Response

Answers = Callable[[Request], list[Response]]


def engine_item(name: str, **fields: Any) -> dict[str, Any]:
    """An item of `ps` with every key."""
    item = {"engine": name, "family": f"engines.examples.{name}:{name.upper()}", "state": "running", "pid": 4711}
    item |= {"placement": "process", "mailbox_depth": 0, "in_rate": 0.0, "out_rate": 0.0, "handled": 0, "restarts": 0}
    item |= {"version": "0123456789abcdef", "slot": 1, "waits_for": [], "wait": "adaptive", "native": True}
    item |= {"memory_bytes": 9 << 20, "fault": ""}
    return item | fields


def answer_ps(request: Request) -> list[Response]:
    """A node with two engines that answers `ps`."""
    assert request.op == "ps"
    busy = {"mailbox_depth": 12_345, "in_rate": 1_234_567.0, "out_rate": 7.25, "handled": 98_765_432, "restarts": 2}
    return [Response("engine", [engine_item("server", **busy), engine_item("bob", placement="core 1", pid=5)])]


class FakeNode:
    """Answers requests as `answers` says, until closed. `seen` keeps what was asked."""

    def __init__(self, config: Path, answers: Answers, *, digest: str = "d1", pid: int | None = None) -> None:
        self.config = str(config.resolve())
        self.seen: list[Request] = []
        self._answers = answers
        folder = Path(instance_folders(self.config)[0])
        folder.mkdir(parents=True, exist_ok=True)
        instance = Instance(config.stem, self.config, digest, pid or os.getpid(), 1, str(folder))
        (folder / "node.json").write_bytes(msgspec.json.encode(instance))
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.bind(f"ipc://{folder}/control")
        self._end = self._context.socket(zmq.PAIR)
        self._end.bind("inproc://end")
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        if self._context.closed:
            return
        with self._context.socket(zmq.PAIR) as end:
            end.connect("inproc://end")
            end.send(b"")
            self._thread.join(DEADLINE_S)
        self._end.close(0)
        self._router.close(0)
        self._context.term()

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._end, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._end in ready:
                return
            peer, empty, body = self._router.recv_multipart()
            request = msgspec.msgpack.decode(body, type=Request)
            self.seen.append(request)
            for response in self._answers(request):
                self._router.send_multipart([peer, empty, msgspec.msgpack.encode(response)])


class Result(msgspec.Struct):
    """What a command line left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.out)
        return found


Cli = Callable[..., Result]
StartNode = Callable[..., FakeNode]


@pytest.fixture
def project(own_place: Path) -> Path:
    """The folder a command is typed in."""
    return own_place


@pytest.fixture
def start_node(project: Path) -> Iterator[StartNode]:
    """Start a fake node for a file below the project: `start_node("a.yaml", answers)`."""
    with contextlib.ExitStack() as stack:

        def start(name: str, answers: Answers = lambda _: [], **fields: Any) -> FakeNode:
            config = project / name
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text(f"node: {config.stem}\n")
            node = FakeNode(config, answers, **fields)
            stack.callback(node.close)
            return node

        yield start


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process: `cli("ps", "--json")`."""

    def call(*argv: str) -> Result:
        code = run(argv)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call
