"""Where the first workers of a node come from, and when they come from elsewhere."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import msgspec
import pytest
from live_nodes import World, until

from host.config.spec import EngineSpec
from host.live.packets import Channel
from host.live.supervisor.nursery import Nursery
from host.live.supervisor.zygote_start import StartedZygote
from host.live.zygote import Ahead, Fork, Log

MODULE = """
import os, threading
with open({trace!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
print("a module speaks", flush=True)
{more}
from counting import COUNTER
"""
THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
OPENED = "opened = open(os.devnull)"


def family(world: World, more: str = "") -> tuple[list[EngineSpec], Path]:
    """Three engines of a family whose module writes down who imports it, and where."""
    trace = world.folder / "trace"
    (world.roots / "traced.py").write_text(MODULE.format(trace=str(trace), more=more))
    return [EngineSpec(name, "traced:COUNTER") for name in "abc"], trace


def importers(trace: Path) -> list[int]:
    return [int(line) for line in trace.read_text().split()]


def test_families_are_imported_once_for_the_first_workers_and_by_each_later_one(world: World) -> None:
    """Each of many workers imports and holds the same, or one that is restarted runs what was imported long ago."""
    engines, trace = family(world)
    with world.up(world.spec(*engines)) as node:
        workers = {name: item["pid"] for name, item in node.ps().items()}
        (template,) = importers(trace)
        assert template not in workers.values()
        until(lambda: template not in world.processes(), "the end of who looked at families")
        os.kill(workers["a"], signal.SIGKILL)
        until(lambda: node.events("restarted", "a"), "the restart")
        assert importers(trace) == [template, node.ps()["a"]["pid"]]
        assert [node.total(name) for name in "abc"] == [0, 0, 0]
        log = Path(node.spec.data, "supervisor.log").read_text()
        assert log.count("a module speaks") == 2


@pytest.mark.parametrize("more", [THREAD, OPENED])
def test_what_a_fork_does_not_copy_is_done_by_each_process(world: World, more: str) -> None:
    """An engine runs without the thread its module started, or shares an open file with others."""
    engines, trace = family(world, more)
    with world.up(world.spec(*engines)) as node:
        workers = {item["pid"] for item in node.ps().values()}
        assert set(importers(trace)[1:]) == workers


def test_a_template_that_is_gone_is_not_missed() -> None:
    """A node does not start because a process that only makes its start faster was killed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gone, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.close()
    heard = Channel(theirs, msgspec.msgpack.Decoder(Log | Ahead | Fork))
    nursery = Nursery(StartedZygote(0, ours), 0, Ahead((), ()))
    nursery.use_template(gone)
    asked = nursery.bear(Fork("worker", "a", "a"), 0)
    assert not nursery.has_lost(asked)
    packets = [heard.receive() for _ in range(3)]
    assert [type(found[0]) for found in packets if found] == [Log, Ahead, Fork]
    for found in packets:
        assert found is not None
        for descriptor in found[1]:
            os.close(descriptor)
    heard.close()
    assert nursery.has_lost(asked)
    nursery.close()
