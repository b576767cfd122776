"""Nanoseconds from the command until 20 engines in 20 processes are ready."""

from __future__ import annotations

from bench.peers.startup import startup
from bench.rounds import Contestant, Suite


def _contestants(engines: int) -> list[Contestant]:
    return [startup(engines)]


SUITE = Suite(
    "startup", "a node of 20 processes, from the command until all are ready", "ns", 20, _contestants, least=20
)
