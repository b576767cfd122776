"""Nanoseconds from a spawn to the answer of the new engine, in its own process."""

from __future__ import annotations

from bench.live_node import exchange
from bench.peers import bare_process
from bench.peers.enginehost import contestant, flat
from bench.rounds import Contestant, Round, Suite
from bench.spread import median
from host.live.control.client import Client

NODE = """
node: bench-spawn-process
engines:
  parent: {family: "engines.benchmark.spawn:PARENT"}
placement: {default: process, spawned: process}
"""


def _contestants(count: int) -> list[Contestant]:
    return [contestant(NODE, lambda client: _bear(client, count)), *bare_process.contestants(count)]


def _bear(client: Client, count: int) -> Round:
    born = exchange(client, "parent", "Bear", {"count": count}, wait="Born")
    taken_ns = flat(born["taken_ns"])
    return Round(median(taken_ns), born["count"], taken_ns)


SUITE = Suite("spawn-process", "an engine in a process of its own, until it answers", "ns", 100, _contestants)
