"""A stop that a dead process had sent, or had not read, lies in its lane until the next one reads it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest
from deadline import DEADLINE_NS
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, MailboxSpec, SupervisionSpec, TransportSpec
from transport.native import native_available

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
CAPACITY = 8
POURED = 2 * CAPACITY
DURABILITY = pytest.mark.parametrize("durability", ["crash", pytest.param("volatile", marks=pytest.mark.storm)])
LOCALS = ["zmq", *(["lane"] if native_available() else [])]


def relay(name: str, to: str, durability: str) -> EngineSpec:
    params = {"next": to, "take_ms": 0, "copies": 1}
    boxes = {0: MailboxSpec(capacity=CAPACITY)}
    return EngineSpec(name, "circling:RELAY", params, mailboxes=boxes, durability=durability)


def send_unread(node: LiveNode) -> None:
    """`full` stands at a choice and `source` sent it more than it takes; both processes stand still.

    They met before: over ZeroMQ nothing is sent to a process that never said hello.
    """
    node.send("source", "Pour", count=1, left=0)
    until(lambda: seen(node) == 1, "the first")
    node.send("full", "Hold")
    until(lambda: node.states()["full"] == "suspended", "the choice")
    node.halt("full")
    node.send("source", "Pour", count=POURED, left=0)
    until(lambda: made(node) > POURED, "all sent")
    node.halt("source")


def stop_unread(node: LiveNode) -> None:
    """`full` stands at a choice, has more than it takes, and said so to `source`, whose process stands still."""
    send_unread(node)
    node.go_on("full")
    until(lambda: node.ps()["full"]["mailbox_depth"] == POURED, "all taken")


def pour(node: LiveNode, times: int) -> int:
    """Have `source` send more; how many messages."""
    for _ in range(times):
        node.send("source", "Pour", count=100, left=0)
    return 100 * times


def pour_until_paused(node: LiveNode) -> int:
    """Have `source` send until it heard a stop; how many messages. It sends on for as long as that is on its way."""
    poured = 0

    def is_paused() -> bool:
        nonlocal poured
        if node.states()["source"] == "paused":
            return True
        poured += pour(node, 1)
        return False

    until(is_paused, "the stop")
    return poured


def seen(node: LiveNode) -> int:
    return int(node.ask("state", engine="full")[0]["state"]["seen"])


def made(node: LiveNode) -> int:
    return int(node.ask("state", engine="source")[0]["state"]["made"])


def kill(node: LiveNode, name: str) -> None:
    """Kill a process; back once there is another one that is up."""
    before = len(node.events("restarted", name))
    with suppress(ProcessLookupError):
        os.kill(node.ps()[name]["pid"], signal.SIGKILL)
    until(lambda: len(node.events("restarted", name)) > before, f"the restart of {name}")


@pytest.mark.storm
@DURABILITY
@pytest.mark.parametrize("local", LOCALS)
def test_a_stop_that_a_dead_process_had_not_read_ends(world: World, local: str, durability: str) -> None:
    """False if the next process obeyed a word that the one who gave it does not remember: it would never send again."""
    engines = [relay("full", "full", durability), relay("source", "full", durability)]
    with world.up(world.spec(*engines, supervision=FREE, transport=TransportSpec(local=local))) as node:
        stop_unread(node)
        kill(node, "source")
        node.ask("answer", engine="full", choice="go")
        until(lambda: not node.ps()["full"]["mailbox_depth"], "room")
        node.send("source", "Pour", count=1, left=0)
        until(lambda: seen(node) > POURED + 1, "what was sent after that")


@pytest.mark.storm
@DURABILITY
@pytest.mark.parametrize("local", LOCALS)
def test_a_stop_that_a_dead_process_had_sent_ends(world: World, local: str, durability: str) -> None:
    """False if senders obeyed a process that is dead: nobody would ever tell them to go on."""
    engines = [relay("full", "full", durability), relay("source", "full", durability)]
    with world.up(world.spec(*engines, supervision=FREE, transport=TransportSpec(local=local))) as node:
        stop_unread(node)
        kill(node, "full")
        node.go_on("source")
        if durability == "crash":
            until(lambda: node.states()["full"] == "suspended", "the choice again")
            node.ask("answer", engine="full", choice="go")
        node.send("source", "Pour", count=1, left=0)
        arrived = POURED + 2 if durability == "crash" else 1
        until(lambda: seen(node) >= arrived, "what was sent after that")


@pytest.mark.storm
@pytest.mark.parametrize("degraded", [False, True])
@pytest.mark.parametrize("local", LOCALS)
def test_news_of_a_restart_does_not_undo_a_stop_of_the_new_process(world: World, local: str, degraded: bool) -> None:
    """False if a sender that reads its lane first took the new word there for that of the dead: mail has no bound."""
    engines = [relay("full", "full", "crash"), relay("source", "full", "crash")]
    supervision = SupervisionSpec(intensity=0, backoff_ns=0, budget=None) if degraded else FREE
    with world.up(world.spec(*engines, supervision=supervision, transport=TransportSpec(local=local))) as node:
        send_unread(node)
        if degraded:
            os.kill(node.ps()["full"]["pid"], signal.SIGKILL)
            until(lambda: node.events("degraded", "full"), "the end of patience")
            node.ask("restart", engine="full", timeout_ns=DEADLINE_NS)
        else:
            kill(node, "full")
        until(lambda: node.states()["full"] == "suspended", "the choice again")
        if local == "lane":
            until(lambda: node.ps()["full"]["mailbox_depth"] >= POURED, "what lay in the lane, and a stop for it")
        node.go_on("source")
        poured = pour_until_paused(node) + pour(node, CAPACITY // 2)
        assert node.states()["source"] == "paused"
        assert node.ps()["full"]["mailbox_depth"] < POURED + poured
        node.ask("answer", engine="full", choice="go")
        until(lambda: seen(node) > POURED + poured, "all")
