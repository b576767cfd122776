"""The client: deadlines, streams, and the death of a node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import killed_at_last

from host.live.control.client import Client
from host.live.control.instances import instance_folders, listening_pid
from host.live.control.protocol import PROTOCOL, ControlError, Request, Response

from .conftest import FakeNode, StartNode

SOON_NS = 50_000_000
LATE_NS = 10_000_000_000
YEARS_NS = 2**63 - 1

MORTAL = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
    router.bind("ipc://" + sys.argv[1])
    print("bound", flush=True)
    router.recv_multipart()
    sys.exit(3)
"""
"""A node that dies of its first request."""


def control(node: FakeNode) -> str:
    return instance_folders(node.config)[0] + "/control"


@pytest.fixture
def mortal(project: Path) -> Iterator[str]:
    """The control socket of a process that dies when asked."""
    path = str(project / "control")
    with (
        subprocess.Popen([sys.executable, "-c", MORTAL, path], stdout=subprocess.PIPE) as process,
        killed_at_last(process),
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"bound\n"
        yield path


def test_a_request_brings_its_answer(start_node: StartNode) -> None:
    """If false, nothing works."""
    node = start_node("a.yaml", lambda r: [Response("echo", [r.op, r.args])])
    with Client(control(node)) as client:
        assert client.request("state", {"engine": "x"}).items == ["state", {"engine": "x"}]
        assert client.request("ps").items == ["ps", {}]


def test_an_error_is_raised_with_what_the_node_said(start_node: StartNode) -> None:
    """If false, a refusal would look like a result."""
    node = start_node("a.yaml", lambda _: [Response("error", [{"engine": "x"}], error="refused", message="no")])
    with Client(control(node)) as client, pytest.raises(ControlError) as caught:
        client.request("reload")
    assert (caught.value.error, caught.value.message, caught.value.items) == ("refused", "no", [{"engine": "x"}])


def test_silence_ends_at_the_deadline(start_node: StartNode) -> None:
    """If false, a stopped node would hang every command."""
    node = start_node("a.yaml")
    with Client(control(node)) as client, pytest.raises(ControlError) as caught:
        client.request("ps", timeout_ns=SOON_NS)
    assert caught.value.error == "timeout"


def test_a_supervisor_that_is_stopped_is_called_stopped(mortal: str) -> None:
    """False if a user were left to guess why a node does not answer."""
    with Client(mortal) as client:
        os.kill(client.pid, signal.SIGSTOP)
        os.waitpid(client.pid, os.WUNTRACED)
        with pytest.raises(ControlError) as caught:
            client.request("ps", timeout_ns=SOON_NS)
    assert caught.value.error == "timeout"
    assert f"the supervisor (pid {client.pid}) is stopped; kill -CONT lets it go on" in caught.value.message


def test_a_wait_may_be_longer_than_poll_can_count(start_node: StartNode) -> None:
    """False if 25 days of waiting for an answer were an internal error."""
    node = start_node("a.yaml", lambda r: [Response("echo", [r.op])])
    with Client(control(node)) as client:
        assert client.request("ps", timeout_ns=YEARS_NS).items == ["ps"]


def test_the_end_of_a_node_may_be_waited_for_longer_than_poll_can_count(mortal: str) -> None:
    """False if `down --drain 25d` stopped the node and then failed."""
    with Client(mortal) as client:
        os.kill(client.pid, signal.SIGKILL)
        assert client.wait_ended(YEARS_NS)


def test_the_death_of_the_node_ends_a_wait_at_once(mortal: str) -> None:
    """If false, a command would wait out its deadline for a node that is gone."""
    with Client(mortal) as client:
        with pytest.raises(ControlError) as caught:
            client.request("ps", timeout_ns=LATE_NS)
        assert caught.value.error == "not_running"
        assert client.wait_ended(LATE_NS)
    assert listening_pid(mortal) is None


def test_the_death_of_the_node_ends_a_stream(mortal: str) -> None:
    """If false, `logs -f` would never end after `down`."""
    with Client(mortal) as client:
        assert list(client.follow("logs", {"follow": True})) == []


def test_a_stream_ends_with_its_last_answer(start_node: StartNode) -> None:
    """If false, `logs` without -f would hang, or lose lines."""
    parts = [Response("log", [1], last=False), Response("log", [2], last=False), Response("log", [3])]
    node = start_node("a.yaml", lambda _: parts)
    with Client(control(node)) as client:
        assert [r.items for r in client.follow("logs", {}, timeout_ns=LATE_NS)] == [[1], [2], [3]]


def test_nobody_listens(project: Path) -> None:
    """If false, "not running" would come as a time-out."""
    with pytest.raises(ControlError) as caught:
        Client(str(project / "control"))
    assert caught.value.error == "not_running"


def test_another_protocol_is_refused(start_node: StartNode) -> None:
    """If false, old and new versions would misread each other."""

    def answer(_: Request) -> list[Response]:
        return [Response("engine", v=PROTOCOL + 1)]

    node = start_node("a.yaml", answer)
    with Client(control(node)) as client, pytest.raises(ControlError) as caught:
        client.request("ps")
    assert caught.value.error == "refused"
    assert "restart the node" in caught.value.message
