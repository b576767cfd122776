"""A process cannot be had, for want of descriptors or of room on the disk: it comes once it can."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, counter, until

from host.config.spec import SupervisionSpec
from host.live.control.protocol import ControlError

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)


@contextmanager
def no_descriptors(node: LiveNode) -> Iterator[None]:
    """The supervisor can open nothing."""
    node.ps()  # has it import what it needs for that
    limits = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (1, limits[1]))
    yield
    resource.prlimit(node.pid, resource.RLIMIT_NOFILE, limits)


def test_a_restart_without_descriptors_is_tried_again(world: World) -> None:
    """False if a slot was starting for ever, without a process, and nobody could restart it."""
    with world.up(world.spec(counter("a"), supervision=FREE)) as node:
        before = node.ps()["a"]["pid"]
        with no_descriptors(node):
            os.kill(before, signal.SIGKILL)
            until(lambda: node.events("birth_failed", "a"), "a birth that fails")
        until(lambda: node.states()["a"] == "running", "the restart")
        assert node.total("a") == 0
        assert node.events("internal_error") == []


@pytest.mark.storm
def test_a_reload_without_descriptors_leaves_the_engine_as_it_is(world: World) -> None:
    """False if an engine could never be reloaded again, and nothing that its process said was heard."""
    with world.up(world.spec(counter("a"), supervision=FREE)) as node:
        node.send("a", "Add", amount=9)
        with no_descriptors(node), pytest.raises(ControlError, match="open files"):
            node.ask("reload", engine="a", timeout_ns=DEADLINE_NS)
        assert node.total("a") == 9
        assert node.ask("reload", engine="a", timeout_ns=DEADLINE_NS)[0]["engine"] == "a"
        assert node.total("a") == 9
        assert node.events("internal_error") == []


@pytest.mark.storm
def test_a_spawn_without_descriptors_is_refused(world: World) -> None:
    """False if an engine that does not live is reported as spawned, or not reported as refused."""
    with world.up(world.spec(counter("a"), supervision=FREE, spawned="process")) as node:
        node.send("a", "Add")
        with no_descriptors(node):
            node.send("a", "Breed")
            (refused,) = until(lambda: node.events("spawn_refused"), "the refusal")
            assert node.events("spawned", refused["engine"]) == []
        assert refused["engine"] == "a/child"
        assert node.events("spawned") == []
        assert "open files" in node.ask("dead_letters")[0]["detail"]
        assert node.total("a") == 1
        assert node.events("internal_error") == []


@pytest.mark.storm
def test_a_child_whose_log_has_no_folder_comes_once_it_can_have_one(world: World) -> None:
    """False if it was never told what to be."""
    with world.up(world.spec(counter("a", durability="crash"), supervision=FREE, spawned="process")) as node:
        journal = world.folder / "test" / "journal"
        journal.rename(journal.with_name("aside"))
        journal.touch()
        node.send("a", "Breed")
        until(lambda: node.events("birth_failed", "a/child"), "a birth that fails")
        journal.unlink()
        journal.with_name("aside").rename(journal)
        until(lambda: node.states().get("a/child") == "running", "the child")
        assert node.events("internal_error") == []
