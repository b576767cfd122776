"""Engines per second that are spawned in one process; the last of each 1,000 answers."""

from __future__ import annotations

from bench.live_node import exchange
from bench.peers import erlang
from bench.peers.enginehost import fresh_node
from bench.rounds import Contestant, Round, Suite
from host.live.control.client import Client

EACH = 1_000
"""Engines per transition."""
NODE = """
node: bench-spawn
engines:
  parent: {family: "engines.benchmark.spawn:PARENT"}
placement: {spawned: parent}
"""


def crowd(client: Client, count: int) -> Round:
    """Engines per second that are spawned beside their parent, and stay."""
    born = exchange(client, "parent", "Crowd", {"count": count, "each": min(EACH, count)}, wait="Born")
    return Round(born["count"] * 1e9 / born["took_ns"], born["count"])


def _contestants(count: int) -> list[Contestant]:
    return [fresh_node(NODE, lambda client: crowd(client, count)), erlang.one_vm("spawn", count)]


SUITE = Suite("spawn", "engines that come to life in one process", "engines/s", 50_000, _contestants, rounds=3)
