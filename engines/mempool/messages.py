"""Messages of the mempool: to and from its clients, and onwards."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from engines.crypto.keys import Signed
from engines.execution.transactions import Summary, WrittenTransaction
from engines.model import Message, Ref


class TransactionRequest(Message):
    """To a worker: order and run these. Answers go to `reply_to`: an acknowledgement, and the outcomes; some of these
    come first if they are known already, or while the acknowledgement waits for its signature.

    `resubmission` is the hash of what an earlier request had, for one whose answer was lost; it changes nothing, since
    equal candidates are one transaction anyway.
    """

    txs: tuple[WrittenTransaction, ...]
    reply_to: Ref[TransactionAck | TransactionRefused | TransactionOutcome]
    resubmission: bytes = b""


class TransactionAck(Message):
    """From a worker: these transactions are in a batch, will be ordered, and run once.

    `batch_start_ns` is when the batch was begun. `is_acknowledged_by` verifies the signature of the node, which covers
    all requests of a batch: this one is at `place`, and `proof` leads from there to what was signed. Without a
    signature none is configured, or the commitment engine refused, or did not answer in time.
    """

    tx_hashes: tuple[bytes, ...]
    batch_number: int
    batch_start_ns: int
    worker_id: str
    batch_digest: bytes
    signature: Signed | None = None
    place: Annotated[int, Meta(ge=0)] = 0
    proof: tuple[bytes, ...] = ()


class TransactionRefused(Message):
    """From a worker: none of the transactions of a request was taken, for this reason. Nothing has changed."""

    tx_hashes: tuple[bytes, ...]
    reason: str


class StatusRequest(Message):
    """To a worker: the outcome of a transaction, now or as soon as it has one. An unknown one is refused."""

    tx_hash: bytes
    reply_to: Ref[TransactionOutcome | TransactionRefused]


class TransactionOutcome(Message):
    """From a worker: what became of transactions of one client."""

    outcomes: tuple[Summary, ...]


class Batch(Message):
    """From a worker to the dispatcher: the bytes of the transactions under a digest, and their hashes."""

    digest: bytes
    worker: Ref[ExecutorFinished]
    tx_hashes: tuple[bytes, ...]
    txs: tuple[bytes, ...]


class ExecutorFinished(Message):
    """To a worker: what became of transactions of its batches."""

    summaries: tuple[Summary, ...]
