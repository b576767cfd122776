"""Nanoseconds of a round trip between two processes that yield before they sleep, which is a node's default."""

from __future__ import annotations

from bench.peers import limit
from bench.peers.enginehost import contestant
from bench.rounds import Contestant, Round, Suite
from bench.suites.pingpong import node_text, rally
from bench.topologies import Weave, pingpong


def _contestants(round_trips: int) -> list[Contestant]:
    def bare(weave: Weave) -> Round:
        return pingpong(weave, round_trips)

    return [contestant(node_text(), lambda client: rally(client, round_trips)), limit.contestant(bare)]


SUITE = Suite(
    "pingpong-awake", "a round trip between receivers that give way before they sleep", "ns", 10_000, _contestants
)
