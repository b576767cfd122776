"""Whoever is killed, and however often a client asks again: each instruction is done once, and its outcome is there."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace
from small_node import User, identity, number_at, small_node, status, watched

from engines.execution.programs import candidate
from engines.execution.transactions import TransactionCandidate
from engines.interaction.messages import Refusal
from engines.mempool.acknowledgement import is_acknowledged_by

USERS = [User(seed) for seed in (1, 2, 3)]
KEYS = [b"a", b"b"]


def submit_under(seed: int, faults: str, count: int) -> None:
    """A client sends each instruction up to three times, and again once it finds that the node, when down, lost it."""
    draw = Random(seed)
    node = small_node(seed=seed, faults=faults)
    sent: list[tuple[User, int, TransactionCandidate]] = []
    for number in range(count):
        user, key = draw.choice(USERS), draw.choice(KEYS)
        sent.append((user, number, replace(candidate("increment", key), nonce=f"{seed} {number}".encode())))
        for _ in range(draw.randrange(1, 4)):
            node.send("door", user.submission(number, sent[-1][2]))
        node.run(draw.randrange(3_000_000))
    node.run()
    for user, number, tx in sent:
        while isinstance(answer := status(node, user, number), Refusal):
            assert answer.code == "unknown"
            node.send("door", user.submission(number, tx))
            node.run()
    receipts = [status(node, user, number) for user, number, _ in sent]
    assert all(one.is_done and not one.outcomes[0].error for one in receipts)
    me = identity(node)
    assert all(one.ack.signature is None or is_acknowledged_by(me, one.ack) for one in receipts)
    assert any(one.ack.signature for one in receipts)
    order = [one.outcomes[0].timestamp for one in receipts]
    assert sorted(order) == list(range(1, count + 1))
    for key in KEYS:
        assert (number_at(node, key) or 0) == sum(tx.label.write == (key,) for _, _, tx in sent)
    assert [one.timestamp for one in watched(node).changes] == sorted(order)


FAULTS = "crash=0.02*12,node=0.001*2,slow=0.05,delay=0..2ms"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.storm) for seed in range(1, 4))])
def test_each_instruction_is_done_once(seed: int) -> None:
    """False if a kill, or a client that asks again, lost a submission, ran it twice, or lost its outcome; or a
    signature held a receipt for ever, or were not the node's."""
    submit_under(seed, FAULTS, 25)


@pytest.mark.storm
@pytest.mark.parametrize("first", range(0, 40, 10))
def test_each_instruction_is_done_once_under_many_seeds(first: int) -> None:
    """False as above, for some of many seeds."""
    for seed in range(first, first + 10):
        submit_under(1_000 + seed, FAULTS, 40)
