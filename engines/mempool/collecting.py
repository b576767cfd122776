"""The parameters and the state of a worker: its open batch, batches to be signed, transactions without outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from engines.consensus.order import OrderBatch
from engines.execution.transactions import Summary
from engines.identity.commitment import Commit
from engines.model import Config, Map, Ref, Value
from engines.model.values import Decoder

from .messages import Batch, ExecutorFinished, TransactionAck, TransactionOutcome, TransactionRefused

Client: TypeAlias = Ref[TransactionAck | TransactionRefused | TransactionOutcome]
Waiter: TypeAlias = Ref[TransactionOutcome]


_read_summary: Final[Callable[[bytes], Summary]] = Decoder(Summary).decode


class Limits(Config):
    """Where batches go, and bounds.

    `batch_max` transactions seal a batch, and so does its age of `batch_ns`. Requests are refused over `waiting_max`
    transactions without outcome, and for a transaction over `tx_bytes_max`. `signer` signs the acknowledgements; it is
    asked again after each `sign_retry_ns`, and given up after `sign_ns_max`. All outcomes go to the `feed` too.
    """

    sequencer: Ref[OrderBatch]
    dispatcher: Ref[Batch]
    batch_max: int = 128
    batch_ns: int = 10_000_000
    waiting_max: int = 1 << 16
    tx_bytes_max: int = 1 << 16
    remembered: int = 1 << 17
    signer: Ref[Commit] | None = None
    feed: Ref[ExecutorFinished] | None = None
    sign_retry_ns: Annotated[int, Meta(ge=1_000_000)] = 500_000_000
    sign_ns_max: Annotated[int, Meta(ge=0)] = 5_000_000_000


class Due(Value):
    """An acknowledgement that a client gets when its batch is sealed, and signed."""

    client: Client
    tx_hashes: tuple[bytes, ...]


class Sealed(Value):
    """A batch whose acknowledgements are due, and when it was sealed."""

    number: int
    digest: bytes
    batch_start_ns: int
    due: tuple[Due, ...]
    sealed_ns: int


class Collecting(Value):
    """State of a worker.

    `number` is that of the open batch, `txs` and `hashes` what it has. `waiting` has the clients of each transaction
    without outcome; `signing` the batches by the number of the request; `unsigned` counts those that were given up.
    `outcomes` are kept as bytes, since few are looked at again, in two generations.
    """

    number: int = 1
    batch_start_ns: int = 0
    hashes: tuple[bytes, ...] = ()
    txs: tuple[bytes, ...] = ()
    due: tuple[Due, ...] = ()
    signing: Map[int, Sealed] = Map()
    waiting: Map[bytes, tuple[Waiter, ...]] = Map()
    outcomes: Map[bytes, bytes] = Map()
    outcomes_before: Map[bytes, bytes] = Map()
    duplicates: int = 0
    refused: int = 0
    unsigned: int = 0

    def outcome(self, name: bytes) -> Summary | None:
        """The outcome of a transaction, if it has one that is remembered."""
        written = self.outcomes.get(name) or self.outcomes_before.get(name)
        return None if written is None else _read_summary(written)
