"""Successors per second that the checker makes and looks up, over all states of a system of engines."""

from __future__ import annotations

from bench.peers.checks import exploring
from bench.rounds import Contestant, Suite


def _contestants(managers: int) -> list[Contestant]:
    return [exploring(managers, 1, "enginehost"), exploring(managers, 2, "enginehost-2-workers")]


SUITE = Suite(
    "check",
    "all states of two-phase commit, seven resource managers, with its properties",
    "states/s",
    7,
    _contestants,
    rounds=3,
    least=5,
)
