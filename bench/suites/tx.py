"""Transactions per second, from submit to answer: increments over 1,000 counters, 64 in a request.

Worker, sequencer, dispatcher, shard and executor have a process each, with `durability: crash`, and so has the client.
Beside it the same increments in SQLite and LMDB by one process, 64 in a transaction. The single times are those of
requests, up to their last outcome.
"""

from __future__ import annotations

from itertools import count

from bench.live_node import exchange
from bench.peers import stores
from bench.peers.enginehost import contestant
from bench.rounds import Contestant, Round, Suite
from host.live.control.client import Client

KEYS = 1_000
GROUP = 64
WINDOW = 16
"""Requests under way: enough for eight full batches."""
PACED_NS = GROUP * 1_000_000_000 // 5_000
"""Between requests at half the rate that a node should reach."""

NODE = """
node: bench-tx
engines:
  client: {{family: "engines.benchmark.tx:SUBMITTER"}}
  worker:
    family: "engines.mempool.worker:WORKER"
    config: {{sequencer: sequencer, dispatcher: dispatcher, batch_max: 128}}
    durability: {mode}
  sequencer:
    family: "engines.consensus.sequencer:SEQUENCER"
    config: {{dispatcher: dispatcher}}
    durability: {mode}
  dispatcher:
    family: "engines.execution.dispatcher:DISPATCHER"
    config: {{shards: [shard0], executors: [executor0], keep_heights: 16}}
    durability: {mode}
  shard0:
    family: "engines.execution.shard:SHARD"
    config: {{dispatcher: dispatcher}}
    durability: {mode}
  executor0:
    family: "engines.execution.executor:EXECUTOR"
    config: {{shards: [shard0]}}
    durability: {mode}
placement: {{default: process}}
"""


def _contestants(transactions: int) -> list[Contestant]:
    return [
        _node("crash", transactions, "enginehost"),
        _node("crash", transactions, "enginehost-paced", PACED_NS),
        _node("volatile", transactions, "enginehost-volatile"),
        stores.sqlite(transactions, KEYS, GROUP),
        stores.lmdb(transactions, KEYS, GROUP),
    ]


def _node(mode: str, transactions: int, peer: str, every_ns: int = 0) -> Contestant:
    series = count()

    def measure(client: Client) -> Round:
        order = {"worker": "worker", "count": transactions, "group": GROUP, "keys": KEYS, "window": WINDOW}
        order |= {"series": next(series), "every_ns": every_ns}
        loaded = exchange(client, "client", "LoadOrder", order, wait="Loaded")
        taken_ns = loaded["taken_ns"]
        return Round(loaded["count"] * 1e9 / loaded["took_ns"], loaded["count"], taken_ns)

    return contestant(NODE.format(mode=mode), measure, peer=peer)


SUITE = Suite(
    "tx",
    f"increments of {KEYS} counters, {GROUP} in a request, from submit to answer",
    "transactions/s",
    20_000,
    _contestants,
    least=GROUP,
)
