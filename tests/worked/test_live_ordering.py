"""Transactions on a live node, from `enginehost send` to their outcomes, while its processes are killed."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import Any

import pytest
from live_node import CONFIGS, CommandError, LiveNode, live_node

from engines.execution.keyspace import shard_of
from engines.execution.nouns import jam
from engines.execution.programs import candidate
from engines.execution.transactions import TransactionCandidate, tx_hash

KEYS = (b"a", b"b", b"c")
REQUESTS, GROUP = 24, 4
TRIES_MAX = 20


def written(value: Any) -> Any:
    """A value as `enginehost send` takes it in JSON."""
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, tuple):
        return [written(one) for one in value]
    if hasattr(value, "__struct_fields__"):
        return {name: written(getattr(value, name)) for name in value.__struct_fields__}
    return value


def submit(node: LiveNode, txs: list[TransactionCandidate]) -> None:
    """Submit until it is acknowledged, or has an outcome; again, if the answer is lost with a process."""
    for _ in range(TRIES_MAX):
        with suppress(CommandError):
            answers = "TransactionAck|TransactionOutcome"
            answer = node.send("worker", "TransactionRequest", "--wait", answers, txs=json.dumps(written(tuple(txs))))
            if answer["type"] == "TransactionAck":
                assert answer["tx_hashes"] == [written(tx_hash(tx)) for tx in txs]
            return
    raise AssertionError(f"not acknowledged in {TRIES_MAX} tries")


def outcome(node: LiveNode, tx: TransactionCandidate) -> dict[str, Any]:
    """What became of a transaction."""
    asked = node.ask("worker", "StatusRequest", "TransactionOutcome", tx_hash=written(tx_hash(tx)))
    [summary] = asked["outcomes"]
    found: dict[str, Any] = summary
    return found


def kill(node: LiveNode, engine: str) -> None:
    """Kill the process of an engine, if it has one at the moment."""
    with suppress(ProcessLookupError):
        if pid := node.engines()[engine]["pid"]:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.storm
@pytest.mark.parametrize("victims", [("shard-0", "executor-0"), ("dispatcher", "sequencer", "worker")], ids="+".join)
def test_each_acknowledged_transaction_is_there_once(victims: tuple[str, ...]) -> None:
    """False if a process that is killed under a load, or code that is replaced, costs an acknowledged transaction, or
    has one run twice."""
    txs = [candidate("increment", KEYS[number % 3], nonce=b"%d" % number) for number in range(REQUESTS * GROUP)]
    with live_node(CONFIGS / "node.yaml", "process") as node:
        for number in range(REQUESTS):
            submit(node, txs[number * GROUP : (number + 1) * GROUP])
            if number % 4 == 1:
                kill(node, victims[number // 4 % len(victims)])
            if number == REQUESTS // 2:
                node.run("reload", "executor-0")
        outcomes = [outcome(node, tx) for tx in txs]
        assert sorted(one["timestamp"] for one in outcomes) == list(range(1, len(txs) + 1))
        assert {one["error"] for one in outcomes} == {""}
        last = max(one["height"] for one in outcomes)
        for key in KEYS:
            answer = node.ask(
                f"shard-{shard_of(key, 2)}", "QueryRequest", "QueryAnswer", key=written(key), height=str(last)
            )
            assert answer["datum"] == written(jam(REQUESTS * GROUP // 3))
        restarts = {name: engine["restarts"] for name, engine in node.engines().items()}
        assert all(restarts[victim] > 0 for victim in victims)
