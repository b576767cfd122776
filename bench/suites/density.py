"""Memory of an idle engine in its worker, with 100,000 engines in one process."""

from __future__ import annotations

from bench.memory import private_bytes
from bench.peers import erlang
from bench.peers.enginehost import fresh_node
from bench.rounds import Contestant, Round, Suite
from bench.suites.spawn import NODE, crowd
from host.live.control.client import Client


def _contestants(count: int) -> list[Contestant]:
    return [fresh_node(NODE, lambda client: _weigh(client, count)), erlang.one_vm("density", count)]


def _weigh(client: Client, count: int) -> Round:
    """One engine is born before the first measurement, so one-time costs are not counted."""
    crowd(client, 1)
    worker, supervisor = client.request("ps").items[0]["pid"], client.pid
    before = private_bytes(worker), private_bytes(supervisor)
    born = crowd(client, count)
    after = private_bytes(worker), private_bytes(supervisor)
    there = {"supervisor_bytes": (after[1] - before[1]) / count, "spawned_per_s": born.value}
    return Round((after[0] - before[0]) / count, born.handled, (), there)


SUITE = Suite("density", "memory of an idle engine, 100,000 in one process", "bytes", 100_000, _contestants, rounds=3)
