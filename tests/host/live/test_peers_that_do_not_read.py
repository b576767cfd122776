"""A process reads nothing while the supervisor has much to tell it: nobody else goes without."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, SupervisionSpec

FREE = SupervisionSpec(intensity=None, backoff_ns=0, budget=None)
CHILDREN = 6_000
"""More packets than the supervisor queues for a process."""


@pytest.mark.storm
def test_a_parent_of_thousands_dies_beside_a_peer_that_stands_still(world: World) -> None:
    """False if the parent did not come back, because of a peer that does not hear of the ends of its children."""
    engines = [EngineSpec("a", "parting:PARENT"), EngineSpec("b", "parting:LISTENER")]
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        node.send("a", "Bear", count=1)
        until(lambda: "a/child.1" in node.states(), "the first child")
        node.send("a", "Bid", child="a/child.1", order={"to": "b", "first": 1, "count": 1, "leave": False})
        until(lambda: _heard(node), "the word")
        node.send("a", "Bear", count=CHILDREN)
        until(lambda: f"a/child.{CHILDREN + 1}" in node.states(), "the children")
        peer, parent = psutil.Process(node.ps()["b"]["pid"]), node.ps()["a"]["pid"]
        peer.suspend()
        try:
            until(lambda: peer.status() == psutil.STATUS_STOPPED, "the peer stopped")
            os.kill(parent, signal.SIGKILL)
            until(lambda: node.events("restarted", "a"), "the restart")
        finally:
            peer.resume()
        assert node.events("internal_error") == []
        node.send("a", "Bear", count=1)
        until(lambda: "a~2/child.1" in node.states(), "a child of the next life")
        node.send("a", "Bid", child="a~2/child.1", order={"to": "b", "first": 2, "count": 1, "leave": False})
        until(lambda: _heard(node) == [["a/child.1", 1], ["a~2/child.1", 2]], "its word")
        assert node.ps()["b"]["pid"] == peer.pid


def _heard(node: LiveNode) -> Any:
    return node.ask("state", engine="b")[0]["state"]["words"]
