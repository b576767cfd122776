"""The worker by itself: batches, acknowledgements, duplicates and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engines.consensus.order import OrderBatch
from engines.crypto.keys import SecretKey, identity_of, public_of, secret_from, sign
from engines.devices.key_store import DataSigned, KeyRefused
from engines.execution.programs import candidate
from engines.execution.transactions import Summary, TransactionCandidate, tx_hash
from engines.identity.commitment import Commit
from engines.mempool.acknowledgement import is_acknowledged_by
from engines.mempool.collecting import Limits
from engines.mempool.messages import (
    Batch,
    ExecutorFinished,
    StatusRequest,
    TransactionAck,
    TransactionOutcome,
    TransactionRefused,
    TransactionRequest,
)
from engines.mempool.worker import WORKER
from engines.model import Committed, Configuration, Delivery, Due, Outgoing, Ref, birth, due_timers, step

TXS = [candidate("increment", b"a", nonce=b"%d" % number) for number in range(6)]
NAMES = [tx_hash(tx) for tx in TXS]


class WorkerAlone:
    """A worker, its clock, and what it sends."""

    def __init__(self, **limits: Any) -> None:
        params = Limits(Ref("sequencer"), Ref("dispatcher"), **limits)
        self.me = Configuration("test", "worker", None, params)
        self.env = birth(WORKER, self.me, now_ns=0)
        self.now_ns = 0

    def _step(self, cause: Any) -> list[tuple[str, Any]]:
        outcome = step(WORKER, self.me, self.env, cause, now_ns=self.now_ns)
        assert isinstance(outcome, Committed), outcome
        self.env = outcome.env
        return [(one.target, one.message) for one in outcome.outputs if isinstance(one, Outgoing)]

    def send(self, message: Any) -> list[tuple[str, Any]]:
        return self._step(Delivery("test", 0, message))

    def request(self, *txs: TransactionCandidate, client: str = "ann") -> list[tuple[str, Any]]:
        return self.send(TransactionRequest(txs, Ref(client)))

    def wait(self, ns: int) -> list[tuple[str, Any]]:
        self.now_ns += ns
        due = due_timers(self.env, self.now_ns)
        return self._step(Due(due)) if due else []


def summary(number: int) -> Summary:
    return Summary(NAMES[number], number + 1, 1, "", 3)


def test_a_batch_is_sealed_by_its_size() -> None:
    """False if a full batch waited, or its digest went without it, or a request were split."""
    worker = WorkerAlone(batch_max=3)
    assert worker.request(*TXS[:2]) == []
    sent = worker.request(*TXS[2:5], client="ben")
    [(_, batch), (_, order), (first, ack), (second, other)] = sent
    assert isinstance(batch, Batch)
    assert batch.tx_hashes == tuple(NAMES[:5])
    assert order == OrderBatch(batch.digest)
    assert (first, ack) == ("ann", TransactionAck(tuple(NAMES[:2]), 1, 0, "worker", batch.digest))
    assert (second, other.tx_hashes) == ("ben", tuple(NAMES[2:5]))
    assert worker.wait(1 << 40) == []


def test_a_batch_is_sealed_by_its_age() -> None:
    """False if a batch that is not full were never sealed, or sealed sooner than its age says."""
    worker = WorkerAlone(batch_ns=100)
    worker.request(TXS[0])
    assert worker.wait(99) == []
    worker.request(TXS[1])
    assert [type(one) for _, one in worker.wait(1)] == [Batch, OrderBatch, TransactionAck, TransactionAck]
    assert worker.env.state.number == 2


def test_an_outcome_goes_to_each_client_once() -> None:
    """False if the summary of an executor did not reach every client that waits for it."""
    worker = WorkerAlone(batch_max=2)
    worker.request(*TXS[:2])
    worker.request(TXS[1], client="ben")
    sent = worker.send(ExecutorFinished((summary(0), summary(1))))
    assert sent == [
        ("ann", TransactionOutcome((summary(0), summary(1)))),
        ("ben", TransactionOutcome((summary(1),))),
    ]
    assert len(worker.env.state.waiting) == 0
    assert worker.send(ExecutorFinished((summary(0),))) == []


def test_a_duplicate_is_acknowledged_and_not_ordered_again() -> None:
    """False if a transaction that comes again were ordered again, or its client left without its outcome."""
    worker = WorkerAlone(batch_max=1, batch_ns=10)
    worker.request(TXS[0])
    worker.request(TXS[0])
    assert [type(one) for _, one in worker.wait(10)] == [TransactionAck]
    worker.send(ExecutorFinished((summary(0),)))
    [(client, outcome)] = worker.request(TXS[0], client="ben")
    assert (client, outcome) == ("ben", TransactionOutcome((summary(0),)))
    assert worker.env.state.duplicates == 2


def test_the_status_of_a_transaction() -> None:
    """False if a client could not learn later what became of a transaction, or waited for one that is unknown."""
    worker = WorkerAlone(batch_max=1)
    [(client, refused)] = worker.send(StatusRequest(NAMES[0], Ref("ben")))
    assert (client, refused.reason[:7]) == ("ben", "unknown")
    worker.request(TXS[0])
    assert worker.send(StatusRequest(NAMES[0], Ref("ben"))) == []
    outcome = TransactionOutcome((summary(0),))
    assert worker.send(ExecutorFinished((summary(0),))) == [("ann", outcome), ("ben", outcome)]
    assert worker.send(StatusRequest(NAMES[0], Ref("ben"))) == [("ben", outcome)]


def test_old_outcomes_are_forgotten() -> None:
    """False if a worker remembered every transaction for ever, or forgot the newest."""
    worker = WorkerAlone(batch_max=1, remembered=4)
    for number in range(6):
        worker.request(TXS[number])
        worker.send(ExecutorFinished((summary(number),)))
    state = worker.env.state
    assert len(state.outcomes) + len(state.outcomes_before) <= 4
    assert state.outcome(NAMES[5]) == summary(5)
    assert state.outcome(NAMES[0]) is None


@pytest.mark.parametrize(
    ("txs", "limits", "reason"),
    [
        ([], {}, "the request has no transactions"),
        (TXS[:3], {"waiting_max": 2}, "busy: 0 transactions are without outcome"),
        (TXS[:1], {"tx_bytes_max": 20}, "over size: a transaction has more than 20 bytes"),
    ],
)
def test_a_request_that_is_refused_changes_nothing(
    txs: list[TransactionCandidate], limits: dict[str, int], reason: str
) -> None:
    """False if a refused request were taken in part, or not counted, or its client not told."""
    worker = WorkerAlone(**limits)
    assert worker.request(*txs) == [("ann", TransactionRefused(tuple(map(tx_hash, txs)), reason))]
    state = worker.env.state
    assert (state.refused, state.hashes, len(state.waiting)) == (1, (), 0)


NODE = secret_from(bytes([9]) * 64, can_sign=True, can_decrypt=False)
NODE_ID = identity_of(public_of(NODE))


def signed_by(secret: SecretKey, asked: Commit) -> DataSigned:
    return DataSigned(sign(secret, asked.data), asked.request)


def orders(sent: list[tuple[str, Any]]) -> list[Commit]:
    return [one for name, one in sent if name == "signer"]


def acks(sent: list[tuple[str, Any]]) -> list[TransactionAck]:
    return [one for _, one in sent if isinstance(one, TransactionAck)]


def test_acknowledgements_wait_for_their_signature() -> None:
    """False if a client were acknowledged before the signature is there, or with that of another batch, or twice."""
    worker = WorkerAlone(batch_max=1, signer=Ref("signer"))
    sent = worker.request(TXS[0])
    [asked] = orders(sent)
    assert acks(sent) == []
    assert worker.send(DataSigned(sign(NODE, asked.data), asked.request + 1)) == []
    assert worker.send(DataSigned(sign(NODE, b"other"), asked.request)) == []
    [ack] = acks(worker.send(signed_by(NODE, asked)))
    assert (ack.batch_number, is_acknowledged_by(NODE_ID, ack)) == (1, True)
    assert worker.send(signed_by(NODE, asked)) == []
    assert worker.wait(1 << 40) == []


@pytest.mark.parametrize("requests", range(1, 7))
def test_one_signature_is_for_each_request_of_a_batch_and_no_other(requests: int) -> None:
    """False if a client could not verify its acknowledgement, or a changed one, or another node's, were valid."""
    worker = WorkerAlone(batch_max=requests, signer=Ref("signer"))
    sent = [one for tx in TXS[:requests] for one in worker.request(tx)]
    found = acks(worker.send(signed_by(NODE, *orders(sent))))
    assert [ack.tx_hashes for ack in found] == [(name,) for name in NAMES[:requests]]
    for ack in found:
        assert is_acknowledged_by(NODE_ID, ack)
        assert not is_acknowledged_by(bytes(32), ack)
        for change in (
            {"tx_hashes": (bytes(32),)},
            {"batch_number": 2},
            {"batch_start_ns": 1},
            {"worker_id": "other"},
            {"batch_digest": bytes(32)},
            {"signature": None},
            {"place": ack.place + 1},
            {"place": ack.place + 64},
            {"proof": (*ack.proof, bytes(32))},
        ):
            assert not is_acknowledged_by(NODE_ID, replace(ack, **change))


def test_a_refused_signature_holds_nothing_back() -> None:
    """False if a refusal of the commitment engine held a batch for ever, or were taken for a signature."""
    worker = WorkerAlone(batch_max=1, signer=Ref("signer"))
    [asked] = orders(worker.request(TXS[0]))
    [ack] = acks(worker.send(KeyRefused("denied", "no", asked.request)))
    assert (ack.signature, worker.env.state.unsigned) == (None, 1)
    assert worker.send(signed_by(NODE, asked)) == []


def test_a_lost_signature_is_asked_for_again_and_given_up() -> None:
    """False if a request that was lost were not repeated, or a batch waited for ever for an engine that is gone."""
    worker = WorkerAlone(batch_max=1, signer=Ref("signer"), sign_retry_ns=1_000_000, sign_ns_max=3_000_000)
    [first] = orders(worker.request(TXS[0]))
    assert orders(worker.wait(1_000_000)) == [first]
    worker.wait(500_000)
    [second] = orders(worker.request(TXS[1]))
    assert orders(worker.wait(500_000)) == [first]
    sent = worker.wait(1_000_000)
    assert [(ack.batch_number, ack.signature) for ack in acks(sent)] == [(1, None)]
    assert orders(sent) == [second]
    [ack] = acks(worker.send(signed_by(NODE, second)))
    assert is_acknowledged_by(NODE_ID, ack)
    worker.wait(1_000_000)
    assert (worker.wait(1 << 40), worker.env.state.unsigned, len(worker.env.state.signing)) == ([], 1, 0)
