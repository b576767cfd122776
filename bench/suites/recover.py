"""Nanoseconds from `kill -9` of an engine's process to its next message handled, with turns to run again."""

from __future__ import annotations

from typing import Final

from bench.peers.recovery import killed, killed_without_snapshots
from bench.rounds import Contestant, Suite
from host.node.journal.retention import SNAPSHOT_TURNS

LONG: Final = 100
"""Times as many turns as the others have the engine whose log has no snapshot: a million."""


def _contestants(turns: int) -> list[Contestant]:
    few = min(turns, SNAPSHOT_TURNS - 1)  # with one more there would be a snapshot, and nothing to run again
    return [
        killed("crash", few, "enginehost"),
        killed("durable", few, "enginehost-durable"),
        killed("volatile", few, "enginehost-volatile"),
        killed_without_snapshots(turns * LONG, "enginehost-long"),
    ]


SUITE = Suite(
    "recover", "from kill -9 to the next message handled, 10,000 turns to replay", "ns", 10_000, _contestants, rounds=3
)
