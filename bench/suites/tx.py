"""Transactions per second, from submit to answer: increments over 1,000 counters, 64 in a request.

Worker, sequencer, dispatcher, shard and executor have a process each, with `durability: crash`, and so has the client.
`enginehost-door` adds what a user meets: submissions signed by the user (before the clock starts), the door and the
session, and acknowledgements signed by the node. Beside it the same increments in SQLite and LMDB by one process, 64 in
a transaction. The single times are those of requests, up to their last outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any

from msgspec.structs import replace

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
    config: {{sequencer: sequencer, dispatcher: dispatcher, batch_max: 128{signer}}}
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
{more}
placement: {{default: process}}
"""

DOOR = """
  door:
    family: "engines.interaction.door:DOOR"
    config: {{worker: worker, shards: [shard0]}}
    durability: crash
  identity:
    family: "engines.identity.node_identity:NODE_IDENTITY"
    config: {{store: keys}}
    durability: crash
  keys:
    family: "engines.devices.key_store:KEY_STORE"
    config: {{path: {folder}/keys, passphrase: "made:{folder}/passphrase"}}
"""


def _contestants(transactions: int) -> list[Contestant]:
    return [
        _node("crash", transactions, "enginehost"),
        _node("crash", transactions, "enginehost-paced", PACED_NS),
        _node("volatile", transactions, "enginehost-volatile"),
        _door(transactions, "enginehost-door"),
        _door(transactions, "enginehost-door-paced", PACED_NS),
        stores.sqlite(transactions, KEYS, GROUP),
        stores.lmdb(transactions, KEYS, GROUP),
    ]


def _node(mode: str, transactions: int, peer: str, every_ns: int = 0) -> Contestant:
    text = NODE.format(mode=mode, signer="", more="")
    return contestant(text, _measure("worker", transactions, every_ns), peer=peer)


def _door(transactions: int, peer: str, every_ns: int = 0) -> Contestant:
    folder = TemporaryDirectory(prefix="enginehost-bench-")  # the node's keys; gone with the contestant
    more = DOOR.format(folder=folder.name)
    text = NODE.format(mode="crash", signer=", signer: identity", more=more)
    made = contestant(text, _measure("door", transactions, every_ns), peer=peer)

    def close() -> None:
        made.close()
        folder.cleanup()

    return replace(made, close=close)


def _measure(target: str, transactions: int, every_ns: int) -> Callable[[Client], Round]:
    series = count()

    def measure(client: Client) -> Round:
        order: dict[str, Any] = {"count": transactions, "group": GROUP, "keys": KEYS, "window": WINDOW}
        order |= {"series": next(series), "every_ns": every_ns, "target": target, "is_signed": target == "door"}
        loaded = exchange(client, "client", "LoadOrder", order, wait="Loaded")
        taken_ns = loaded["taken_ns"]
        return Round(loaded["count"] * 1e9 / loaded["took_ns"], loaded["count"], taken_ns)

    return measure


SUITE = Suite(
    "tx",
    f"increments of {KEYS} counters, {GROUP} in a request, from submit to answer",
    "transactions/s",
    20_000,
    _contestants,
    least=GROUP,
)
