"""What a child said right before its end: heard once, whoever is killed before it is acknowledged."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, NodeSpec, SupervisionSpec, TransportSpec
from host.live.journal.data_folder import find_logs, log_folder
from host.live.journal.operations import history
from host.live.journal.over import is_over
from host.live.journal.recovery import Recovered, boot_id, recover
from host.live.worker.loading import loader
from transport.native import native_available

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
LOCALS = ["zmq", *(["lane"] if native_available() else [])]
CHILDREN = 2
WORDS = 5
"""Of each child, the first of them said before the listener stands still, where they met."""

modes = pytest.mark.parametrize("mode", ["crash", "durable"])
links = pytest.mark.parametrize("local", LOCALS)


def family(world: World, mode: Any, local: Any) -> NodeSpec:
    parent = EngineSpec("parent", "parting:PARENT", durability=mode)
    listener = EngineSpec("listener", "parting:LISTENER", durability=mode)
    return world.spec(parent, listener, supervision=FREE, spawned="process", transport=TransportSpec(local=local))


def bear(node: LiveNode) -> list[str]:
    """The names of new children, whose processes are up."""
    node.send("parent", "Bear", count=CHILDREN)

    def born() -> list[str]:
        return sorted(name for name, item in node.ps().items() if name not in ("parent", "listener") and item["pid"])

    until(lambda: len(born()) == CHILDREN, "the children")
    return born()


def bid(node: LiveNode, child: str, first: int, count: int, *, leave: bool) -> None:
    order = {"to": "listener", "first": first, "count": count, "leave": leave}
    node.send("parent", "Bid", child=child, order=order)


def heard(node: LiveNode) -> list[tuple[str, int]]:
    """Words that the listener noted, by sender; those of one sender as they came."""
    words = node.ask("state", engine="listener")[0]["state"]["words"]
    return sorted([(sender, number) for sender, number in words], key=lambda word: word[0])


def log(world: World, slot: str) -> Recovered:
    folder = log_folder(str(world.folder / "test"), slot)
    return recover(folder, "test", loader((str(world.roots),), check=False), boot_id())


def unheard(world: World, child: str) -> list[int]:
    """Numbers of words that the log of a child that ended keeps; of one that lives, none.

    The first may be among them though it was heard: who stands still has not acknowledged all that it read.
    """
    leaving = log(world, child).replay.leaving.get(child)
    return [] if leaving is None else [n for n, _ in leaving.kept.unacked["listener", 0]]


def is_marked(world: World, child: str) -> bool:
    return is_over(log_folder(str(world.folder / "test"), child).path)


def part(world: World, node: LiveNode, *, have_met: bool) -> list[str]:
    """Children that ended and whose last words nobody acknowledged, since the listener's process stands still.

    Over ZeroMQ the words of those that met the listener wait in its socket, those of others in the child's process.
    """
    children = bear(node)
    if have_met:
        for child in children:
            bid(node, child, 1, 1, leave=False)
        until(lambda: len(heard(node)) == len(children), "the first words")
    node.halt("listener")
    first = 2 if have_met else 1
    for child in children:
        bid(node, child, first, WORDS + 1 - first, leave=True)
    waiting = list(range(first, WORDS + 1))
    until(lambda: all(unheard(world, child)[-len(waiting) :] == waiting for child in children), "ends in the logs")
    return children


def kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_all(world: World, node: LiveNode) -> None:
    """The supervisor first: nobody is to be started again meanwhile."""
    kill(node.pid, *world.processes())
    until(lambda: not world.processes(), "the end of all processes")


def hears_all_once(world: World, node: LiveNode, children: list[str]) -> None:
    """Every word of `children` arrives, in order; then their logs are over."""
    words = [(child, n) for child in sorted(children) for n in range(1, WORDS + 1)]
    until(lambda: len(heard(node)) >= len(words), "the last words")
    assert heard(node) == words
    until(lambda: all(is_marked(world, child) for child in children), "the marks")
    assert heard(node) == words
    until(lambda: set(node.ps()) == {"parent", "listener"}, "the end of the children")
    assert [letter for letter in node.ask("dead_letters") if letter["sender"] in children] == []


def restarts(node: LiveNode) -> int:
    return len(node.events("restarted"))


def turns(world: World, child: str) -> int:
    """How many messages a child ever handled."""
    return len(list(history(find_logs(str(world.folder / "test")), child)))


@pytest.mark.storm
@modes
@links
@pytest.mark.parametrize("have_met", [True, False])
def test_last_words_outlive_a_kill_of_everything(world: World, mode: str, local: str, have_met: bool) -> None:
    """False if what nobody had acknowledged were lost, came twice, or made the child handle its mail again."""
    spec = family(world, mode, local)
    with world.up(spec) as node:
        children = part(world, node, have_met=have_met)
        kill_all(world, node)
    assert all(unheard(world, child) for child in children), "they had been acknowledged, and the kill showed nothing"
    assert len(log(world, "listener").replay.streams["listener"].env.state.words) == have_met * CHILDREN
    with world.up(spec) as node:
        hears_all_once(world, node, children)
        node.end()
    assert [turns(world, child) for child in children] == [1 + have_met] * CHILDREN
    with world.up(spec) as node:
        assert len(heard(node)) == CHILDREN * WORDS
        assert {event["engine"] for event in node.events("started")}.isdisjoint(children)
        node.end()
    assert [turns(world, child) for child in children] == [1 + have_met] * CHILDREN


@pytest.mark.storm
@modes
@links
@pytest.mark.parametrize(("have_met", "others"), [(True, []), (False, []), (True, ["listener"]), (True, ["parent"])])
def test_last_words_outlive_a_kill_of_who_said_them(
    world: World, mode: str, local: str, have_met: bool, others: list[str]
) -> None:
    """False if nobody said again what is in a child's log, or its next process were not up before somebody heard it."""
    with world.up(family(world, mode, local)) as node:
        children = part(world, node, have_met=have_met)
        killed = [*children, *others]
        before = restarts(node)
        kill(*(item["pid"] for name, item in node.ps().items() if name in killed))
        until(lambda: restarts(node) == before + len(killed), "their next processes")
        with suppress(ProcessLookupError):
            os.kill(node.ps()["listener"]["pid"], signal.SIGCONT)
        hears_all_once(world, node, children)
        node.end()
    assert [turns(world, child) for child in children] == [1 + have_met] * CHILDREN
