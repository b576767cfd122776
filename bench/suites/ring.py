"""Hops per second of a token in a ring of three processes."""

from __future__ import annotations

from bench.live_node import exchange
from bench.peers import erlang, limit, multiprocessing, pyzmq
from bench.peers.enginehost import BLOCK, contestant
from bench.rounds import Contestant, Round, Suite
from bench.topologies import Weave, ring
from host.live.control.client import Client

PLACES = 3
NODE = """
node: bench-ring
engines:
  first: {family: "engines.benchmark.ring:RUNNER", config: {next: second}}
  second: {family: "engines.benchmark.ring:RUNNER", config: {next: third}}
  third: {family: "engines.benchmark.ring:RUNNER", config: {next: first}}
placement: {default: process}
"""


def _contestants(hops: int) -> list[Contestant]:
    def bare(weave: Weave) -> Round:
        return ring(weave, PLACES, hops)

    def slower(weave: Weave) -> Round:
        return ring(weave, PLACES, max(hops // 10, PLACES))

    return [
        contestant(NODE, lambda client: _run(client, hops)),
        contestant(NODE, lambda client: _run(client, max(hops // 10, 1)), wait=BLOCK, peer="enginehost-block"),
        limit.contestant(bare),
        contestant(NODE, lambda client: _run(client, max(hops // 10, 1)), local="zmq"),
        pyzmq.push_pull(slower),
        multiprocessing.pipe(slower),
        erlang.one_vm("ring", hops),
    ]


def _run(client: Client, hops: int) -> Round:
    lap = exchange(client, "first", "Start", {"hops": hops}, wait="Lap")
    return Round(lap["hops"] * 1e9 / lap["took_ns"], lap["hops"])


SUITE = Suite("ring", f"a token round {PLACES} processes", "hops/s", 150_000, _contestants, least=PLACES)
