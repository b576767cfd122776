"""Nanoseconds from `kill -9` of an engine's process to its next handled message, with turns to replay."""

from __future__ import annotations

from typing import Final

from bench.peers.recovery import killed, killed_without_snapshots
from bench.rounds import Contestant, Suite
from host.node.journal.retention import SNAPSHOT_TURNS

LONG: Final = 100
"""The engine without snapshots has this many times the turns of the others: a million."""


def _contestants(turns: int) -> list[Contestant]:
    few = min(turns, SNAPSHOT_TURNS - 1)  # one more would make a snapshot, and leave nothing to replay
    return [
        killed("crash", few, "enginehost"),
        killed("durable", few, "enginehost-durable"),
        killed("volatile", few, "enginehost-volatile"),
        killed_without_snapshots(turns * LONG, "enginehost-long"),
    ]


SUITE = Suite(
    "recover", "from kill -9 to the next message handled, 10,000 turns to replay", "ns", 10_000, _contestants, rounds=3
)
