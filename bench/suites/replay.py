"""Triggers per second that a recovery replays from a log; beside it, records read back from other stores."""

from __future__ import annotations

from bench.peers import replays
from bench.rounds import Contestant, Suite


def _contestants(triggers: int) -> list[Contestant]:
    return [replays.journal(triggers), replays.sqlite(triggers), replays.lmdb(triggers)]


SUITE = Suite(
    "replay", "a log read back into what it made, of one typed record a trigger", "triggers/s", 200_000, _contestants
)
