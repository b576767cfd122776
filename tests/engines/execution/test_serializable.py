"""Whatever the order of messages and whoever is killed, the node gives what the sequential run gives.

The sequential run takes the transactions in the order of the timestamps that the node gave them. A client outside may
get an answer twice, if its sender was killed before it knew that the first one arrived: then both are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from ordering_world import OrderingWorld
from random_transactions import random_transactions
from shuffled_node import ShuffledNode

from engines.execution.sequential import Step, sequential
from engines.execution.system import contents, locks
from engines.execution.transactions import Summary, TransactionCandidate, tx_hash

STORM = pytest.mark.storm
PER_CLIENT = 6
TRIES_MAX = 5
"""A request that is under way to a node that dies is lost; its client, who has no answer, submits it again."""


def faults(seed: int) -> str:
    """Delays always; and one kind of death, by turns of everything that orders and executes."""
    victims = ("executor0", "executor1", "shard0", "shard1", "dispatcher", "worker", "sequencer", "")
    victim = victims[seed % len(victims)]
    return "delay=0..3ms" + (f",crash={victim}:0.2*4" if victim else ",node=0.02*2")


def run(seed: int) -> int:
    """One run, and its comparison; how often somebody was killed."""
    chance = Random(seed)
    node = OrderingWorld(
        seed=seed,
        faults=faults(seed),
        shards=chance.choice((1, 2)),
        executors=2,
        batch_max=chance.choice((1, 3, 8)),
        keep_heights=chance.choice((1, 4, 256)),
    )
    txs = random_transactions(chance, 2 * PER_CLIENT)
    mine = {"ann": txs[:PER_CLIENT], "ben": txs[PER_CLIENT:]}
    for _ in range(TRIES_MAX):
        for client, wanted in mine.items():
            for first in range(0, PER_CLIENT, 2):
                node.submit(*wanted[first : first + 2], client=client)
        node.world.run()
        if len(outcomes := {*node.outcomes("ann"), *node.outcomes("ben")}) >= len(txs):
            break
    assert_sequential(node, txs, sorted(outcomes, key=lambda one: one.timestamp))
    return sum(event.kind in ("kill", "node_killed") for event in node.world.events)


def assert_sequential(node: OrderingWorld, txs: Sequence[TransactionCandidate], summaries: Sequence[Summary]) -> None:
    """Each transaction ran once, and all as one after the other; nothing is left over."""
    assert [one.timestamp for one in summaries] == list(range(1, len(txs) + 1))
    by_name = {tx_hash(tx): tx for tx in txs}
    steps, keys = sequential([by_name.pop(one.tx_hash) for one in summaries])
    assert [Step(one.values_read, one.values_written, one.error) for one in summaries] == steps
    assert node.contents() == keys
    assert node.locks() == 0
    assert node.world.state("dispatcher").stable == summaries[-1].height
    assert node.world.dead_letters == []


@pytest.mark.parametrize(
    ("first", "count"), [(0, 9), *(pytest.param(first, 25, marks=STORM) for first in range(0, 1_000, 25))]
)
def test_any_run_is_the_sequential_one(first: int, count: int) -> None:
    """False if in some run a value read, an outcome or the final state is not that of the sequential run."""
    kills = [run(seed) for seed in range(first, first + count)]
    assert sum(kills) > count, "the runs show something about deaths"


@pytest.mark.parametrize(
    ("first", "count"), [(0, 80), *(pytest.param(first, 250, marks=STORM) for first in range(0, 10_000, 250))]
)
def test_any_order_of_messages_is_the_sequential_one(first: int, count: int) -> None:
    """False if in some order of messages, also between the same two engines, with every engine made again from its
    bytes at any step, a value read, an outcome or the final state is not that of the sequential run."""
    for seed in range(first, first + count):
        chance = Random(seed)
        txs = random_transactions(chance, chance.randrange(4, 10))
        shuffled = ShuffledNode(chance, shards=chance.choice((1, 2)), executors=chance.choice((1, 2)))
        summaries = sorted(shuffled.run(txs), key=lambda one: one.timestamp)
        assert [one.tx_hash for one in summaries] == [tx_hash(tx) for tx in txs], seed
        steps, keys = sequential(txs)
        assert [Step(one.values_read, one.values_written, one.error) for one in summaries] == steps, seed
        assert contents(shuffled.keys()) == keys, seed
        assert locks(shuffled.keys()) == 0, seed
