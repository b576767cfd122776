"""Dispatcher, shards and executors by `step` alone: any message in transit may be the next, and engines may die.

An engine that dies is made again from the bytes of its last committed state, as from a log.
"""

from __future__ import annotations

from random import Random
from typing import Any

from engines.consensus.order import Ordered
from engines.execution.dispatcher import DISPATCHER, Machine
from engines.execution.executor import EXECUTOR, Pool
from engines.execution.shard import SHARD, Keys, Part
from engines.execution.transactions import Summary, TransactionCandidate, tx_hash
from engines.mempool.messages import Batch, ExecutorFinished
from engines.model import (
    Committed,
    Configuration,
    Delivery,
    Environment,
    Family,
    Outgoing,
    Ref,
    birth,
    encode,
    step,
)

DEATH = 0.05
"""How probable it is that the next receiver dies first."""


class ShuffledNode:
    """The engines, and what is in transit."""

    def __init__(self, chance: Random, shards: int, executors: int) -> None:
        self.chance = chance
        self.engines: dict[str, tuple[Family[Any, Any, Any, Any], Configuration[Any]]] = {}
        self.environments: dict[str, Environment[Any]] = {}
        self.in_transit: list[tuple[str, str, Any]] = []
        self.summaries: list[Summary] = []
        self.shards = tuple(f"shard{number}" for number in range(shards))
        runners = tuple(f"executor{number}" for number in range(executors))
        keep_heights = chance.choice((1, 256))
        self._add("dispatcher", DISPATCHER, Machine(_refs(self.shards), _refs(runners), keep_heights=keep_heights))
        for number, name in enumerate(self.shards):
            self._add(name, SHARD, Part(Ref("dispatcher"), number, shards))
        for name in runners:
            self._add(name, EXECUTOR, Pool(_refs(self.shards)))

    def _add(self, name: str, family: Family[Any, Any, Any, Any], params: Any) -> None:
        me = Configuration("shuffled", name, None, params)
        self.engines[name] = family, me
        self.environments[name] = birth(family, me, now_ns=0)

    def run(self, txs: list[TransactionCandidate]) -> list[Summary]:
        """The summaries of transactions that are ordered as they are here, in heights of any size."""
        for index, height in enumerate(_cut(self.chance, txs), start=1):
            digest = b"%d" % index
            batch = Batch(digest, Ref("worker"), tuple(map(tx_hash, height)), tuple(map(encode, height)))
            self.in_transit += [
                ("dispatcher", "worker", batch),
                ("dispatcher", "sequencer", Ordered(index, (digest,))),
            ]
        while self.in_transit:
            self._deliver(*self.in_transit.pop(self.chance.randrange(len(self.in_transit))))
        return self.summaries

    def _deliver(self, target: str, sender: str, message: Any) -> None:
        if target == "worker":
            assert isinstance(message, ExecutorFinished)
            self.summaries += message.summaries
            return
        family, me = self.engines[target]
        env = self.environments[target]
        if self.chance.random() < DEATH:
            env = family.load(family.dump(env))
        outcome = step(family, me, env, Delivery(sender, 0, message), now_ns=1)
        assert isinstance(outcome, Committed), outcome
        self.environments[target] = outcome.env
        outputs = outcome.outputs
        assert all(isinstance(output, Outgoing) for output in outputs), "no note: every write has its lock"
        self.in_transit += [
            (output.target, target, output.message) for output in outputs if isinstance(output, Outgoing)
        ]

    def keys(self) -> list[Keys]:
        """The states of all shards."""
        return [self.environments[name].state for name in self.shards]


def _refs(names: tuple[str, ...]) -> tuple[Ref[Any], ...]:
    return tuple(Ref(name) for name in names)


def _cut(chance: Random, txs: list[TransactionCandidate]) -> list[list[TransactionCandidate]]:
    """The same transactions in groups; some are empty."""
    cuts = sorted(chance.randrange(len(txs) + 1) for _ in range(chance.randrange(4)))
    return [txs[first:last] for first, last in zip([0, *cuts], [*cuts, len(txs)], strict=True)]
