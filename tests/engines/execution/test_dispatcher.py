"""The dispatcher by itself: which heights it makes of an order, and what it drops."""

from __future__ import annotations

from typing import Any

from engines.consensus.order import Ordered
from engines.execution.dispatcher import DISPATCHER, DUPLICATE, UNREADABLE, Machine, locks_of
from engines.execution.messages import Execute, KVSAcquireLock, KVSLockAcquired, UpdateSeenAll
from engines.execution.programs import candidate
from engines.execution.transactions import Label, tx_hash
from engines.mempool.messages import Batch, ExecutorFinished
from engines.model import Committed, Configuration, Delivery, Outgoing, Ref, birth, encode, step

MACHINE = Machine((Ref("shard0"), Ref("shard1")), (Ref("executor0"), Ref("executor1")))
TXS = [candidate("increment", b"a", nonce=b"%d" % number) for number in range(4)]


class DispatcherAlone:
    """A dispatcher, and what it sends."""

    def __init__(self) -> None:
        self.me = Configuration("test", "dispatcher", None, MACHINE)
        self.env = birth(DISPATCHER, self.me, now_ns=0)

    def send(self, *messages: Any) -> list[tuple[str, Any]]:
        """What it sends, with the receivers."""
        sent = []
        for message in messages:
            outcome = step(DISPATCHER, self.me, self.env, Delivery("test", 0, message), now_ns=1)
            assert isinstance(outcome, Committed), outcome
            self.env = outcome.env
            sent += [(one.target, one.message) for one in outcome.outputs if isinstance(one, Outgoing)]
        return sent


def batch(digest: bytes, *numbers: int) -> Batch:
    txs = [TXS[number] for number in numbers]
    return Batch(digest, Ref("worker"), tuple(map(tx_hash, txs)), tuple(map(encode, txs)))


def locked(height: int) -> list[KVSLockAcquired]:
    return [KVSLockAcquired(height, 0, shard) for shard in (0, 1)]


def test_timestamps_are_consecutive_over_heights_in_order() -> None:
    """False if heights came in another order than their indices, or a timestamp were left out or given twice."""
    dispatcher = DispatcherAlone()
    assert dispatcher.send(batch(b"2", 2, 3), Ordered(2, (b"2",)), Ordered(1, (b"1",))) == []
    first = dispatcher.send(batch(b"1", 0, 1))
    assert [(one.height, one.first, one.last) for _, one in first] == [(1, 1, 2)] * 2
    second = dispatcher.send(*locked(1))
    ranges = [(one.height, one.first, one.last) for _, one in second if isinstance(one, KVSAcquireLock)]
    assert ranges == [(2, 3, 4)] * 2


def test_a_height_runs_once_all_shards_have_its_locks() -> None:
    """False if a transaction ran before its locks stood at all shards, or a shard was not told of the watermark."""
    dispatcher = DispatcherAlone()
    dispatcher.send(batch(b"1", 0, 1), Ordered(1, (b"1",)))
    assert dispatcher.send(locked(1)[0], locked(1)[0]) == []
    sent = dispatcher.send(locked(1)[1])
    assert [name for name, one in sent if isinstance(one, UpdateSeenAll)] == ["shard0", "shard1"]
    assert {name: [e.timestamp for e in one.executions] for name, one in sent if isinstance(one, Execute)} == {
        "executor0": [2],
        "executor1": [1],
    }
    assert dispatcher.send(*locked(1)) == []


def test_what_came_before_is_dropped() -> None:
    """False if an index, a batch or a transaction that comes again were run again."""
    dispatcher = DispatcherAlone()
    dispatcher.send(batch(b"1", 0, 1), Ordered(1, (b"1",)), *locked(1))
    assert dispatcher.send(Ordered(1, (b"1",)), batch(b"1", 0, 1)) == []
    sent = dispatcher.send(Ordered(2, (b"1", b"2", b"2")), batch(b"2", 1, 2))
    assert [one.last for _, one in sent if isinstance(one, KVSAcquireLock)] == [3, 3]
    [dropped] = [one for _, one in sent if isinstance(one, ExecutorFinished)]
    assert [(one.tx_hash, one.error, one.timestamp) for one in dropped.summaries] == [(tx_hash(TXS[1]), DUPLICATE, 0)]
    assert len(dispatcher.env.state.batches) == 0


def test_bytes_that_are_no_transaction_have_an_outcome() -> None:
    """False if bytes that nobody can read stopped the order, or were dropped without a word."""
    dispatcher = DispatcherAlone()
    sent = dispatcher.send(Batch(b"1", Ref("worker"), (b"name",), (b"\xc1",)), Ordered(1, (b"1",)))
    assert [one.last for _, one in sent if isinstance(one, KVSAcquireLock)] == [0, 0]
    [dropped] = [one for _, one in sent if isinstance(one, ExecutorFinished)]
    assert [(one.tx_hash, one.error) for one in dropped.summaries] == [(b"name", UNREADABLE)]


def test_a_key_is_locked_once() -> None:
    """False if a label that names a key several times locked it several times."""
    label = Label(read=(b"a", b"a"), write=(b"a",), lazy_read=(b"a", b"b"), may_write=(b"a", b"c", b"c"))
    [(_, lock)] = locks_of(label, 1, Ref("executor0"), 1)
    assert (lock.eager_read_keys, lock.lazy_read_keys) == ((b"a",), (b"b",))
    assert (lock.will_write_keys, lock.may_write_keys) == ((b"a",), (b"c",))
