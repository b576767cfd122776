"""Workers of a live node are killed -9 again and again under load: what is missing afterwards was counted."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

import pytest
from live_nodes import LiveNode, World, until

from host.config.spec import EngineSpec, SupervisionSpec

FREE = SupervisionSpec(intensity=None, budget=None, backoff_ns=0)
CALM_MESSAGES = 1_000
"""Handled since the last restart before the next kill: each life gets something done."""


def storm(world: World, kills: int, seed: int) -> None:
    """A volatile stage in the middle of a stream of 50,000 messages a second dies so often."""
    stage = EngineSpec("stage", "storming:STAGE", {"next": "end"})
    engines = (EngineSpec("source", "streaming:SENDER"), stage, EngineSpec("end", "storming:END"))
    chance = random.Random(seed)
    with world.up(world.spec(*engines, supervision=FREE)) as node:
        node.send("source", "Start", to="stage")
        for count in range(1, kills + 1):
            least = CALM_MESSAGES + chance.randrange(CALM_MESSAGES)
            until(lambda least=least: node.ps()["stage"]["handled"] >= least, "some work")
            os.kill(node.ps()["stage"]["pid"], signal.SIGKILL)
            until(lambda count=count: node.ps()["stage"]["restarts"] >= count, "a restart")
        node.send("source", "Halt")
        sent = node.send("source", "Report", wait="Sent")["count"]
        census = until(lambda: _all_came(node, sent), "all that was not lost")
        counted = sum(event["lost"] + event["unsent"] for event in node.events("crashed", "stage"))
        letters = sum(item["count"] for item in node.ask("dead_letters", limit=0, counts=True) if "count" in item)
    print(f"seed {seed}: {sent} sent, {census}, {counted} counted, {letters} letters")
    assert census["back"] == 0, f"seed {seed}: {census}"
    assert census["missing"] <= counted + letters, f"seed {seed}: {census}, {counted} and {letters} counted"


def _all_came(node: LiveNode, sent: int) -> dict[str, Any] | None:
    """What the end tells, once it has seen the last number or nobody has anything left."""
    census: dict[str, Any] = node.send("end", "Tell", wait="Census")
    return census if census["got"] + census["missing"] == sent else None


@pytest.mark.storm
def test_thirty_kills_lose_what_is_counted(world: World) -> None:
    """False if a kill cost a message that nobody counted, doubled one, or let one overtake another."""
    storm(world, 30, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_hundreds_of_kills_lose_what_is_counted(world: World, seed: int) -> None:
    """As above, for longer."""
    storm(world, 250, seed)
