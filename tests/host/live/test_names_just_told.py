"""Somebody hears of a child before the supervisor does, which is behind: the name is known all the same."""

from __future__ import annotations

import psutil
import pytest
from live_nodes import World, until

from host.config.spec import EngineSpec

CHILDREN = 1_000
"""A packet each: more than a socket holds, and fewer than a worker stands still for."""


def falls_asleep(process: psutil.Process) -> int:
    """How often it has; it sleeps now."""
    until(lambda: process.status() == psutil.STATUS_SLEEPING, "sleep")
    return int(process.num_ctx_switches().voluntary)


@pytest.mark.storm
def test_a_name_is_asked_for_while_the_supervisor_is_behind(world: World) -> None:
    """False if a message to a child that lives became a dead letter `unknown`."""
    engines = [EngineSpec(name, f"introducing:{name.upper()}") for name in ("parent", "pacer", "guest")]
    with world.up(world.spec(*engines)) as node:
        node.send("parent", "Breed", count=2, guest="guest", pacer="pacer")
        until(lambda: node.ask("state", engine="guest")[0]["state"]["total"] == 1, "the first introduction")
        supervisor, guest = psutil.Process(node.pid), psutil.Process(node.ps()["guest"]["pid"])
        before = falls_asleep(guest)
        node.send("parent", "Breed", count=CHILDREN, guest="guest", pacer="pacer")
        supervisor.suspend()
        try:
            until(lambda: supervisor.status() == psutil.STATUS_STOPPED, "the supervisor stopped")
            until(lambda: falls_asleep(guest) > before, "the second introduction")
        finally:
            supervisor.resume()
        last = f"parent/c.{CHILDREN + 2}"
        until(lambda: last in node.states(), "the last child")
        until(lambda: node.ask("dead_letters") or node.ask("state", engine=last)[0]["state"]["total"], "the greeting")
        assert node.ask("dead_letters") == []
