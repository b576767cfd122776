"""A worker: it takes transactions from clients, puts them into batches, acknowledges them, and reports outcomes.

A batch is *open* until it is full or `batch_ns` old; then it is *sealed*: its digest goes to the source of order, the
batch itself to the dispatcher, and acknowledgements to the clients, once they are signed if a commitment engine is
configured. A transaction is *waiting* from its request to its outcome, and then remembered with that outcome.

A transaction that comes again is not put into a batch a second time. While the first one waits, the new client waits
for the same outcome; after that it gets the outcome at once. Only `remembered` outcomes are known, the newest.

A request is taken as a whole or not at all. Crash points: none is special; state and messages are committed together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.consensus.order import OrderBatch
from engines.execution.memory import remembered
from engines.execution.transactions import Summary, bytes_hash
from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Ref,
    Send,
    Sent,
    SetTimer,
    Timer,
    Value,
    encode,
    rule,
)
from engines.model.values import Decoder

from .messages import (
    Batch,
    ExecutorFinished,
    Signed,
    SignRequest,
    StatusRequest,
    TransactionAck,
    TransactionOutcome,
    TransactionRefused,
    TransactionRequest,
)

Client: TypeAlias = Ref[TransactionAck | TransactionRefused | TransactionOutcome]
Waiter: TypeAlias = Ref[TransactionOutcome]


class Limits(Config):
    """Where batches go, and bounds.

    `batch_max` transactions seal a batch, and so does its age of `batch_ns`. Requests are refused over `waiting_max`
    transactions without outcome, and for a transaction over `tx_bytes_max`. `signer` signs the acknowledgements.
    """

    sequencer: Ref[OrderBatch]
    dispatcher: Ref[Batch]
    batch_max: int = 128
    batch_ns: int = 10_000_000
    waiting_max: int = 1 << 16
    tx_bytes_max: int = 1 << 16
    remembered: int = 1 << 17
    signer: Ref[SignRequest] | None = None


class Due(Value):
    """An acknowledgement that a client gets when its batch is sealed, and signed."""

    client: Client
    tx_hashes: tuple[bytes, ...]


class Sealed(Value):
    """A batch whose acknowledgements are due."""

    number: int
    digest: bytes
    batch_start_ns: int
    due: tuple[Due, ...]


class Collecting(Value):
    """State of a worker.

    `number` is that of the open batch, `txs` and `hashes` what it has. `waiting` has the clients of each transaction
    without outcome; `outcomes` are kept as bytes, since few are looked at again, in two generations.
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

    def outcome(self, name: bytes) -> Summary | None:
        """The outcome of a transaction, if it has one that is remembered."""
        written = self.outcomes.get(name) or self.outcomes_before.get(name)
        return None if written is None else _read_summary(written)


SEAL: Final = Timer("seal")
_read_summary: Final[Callable[[bytes], Summary]] = Decoder(Summary).decode
ToAll: TypeAlias = TransactionAck | TransactionRefused | TransactionOutcome | Batch | OrderBatch | SignRequest
Requested: TypeAlias = Arrived[TransactionRequest, Limits, Collecting]


def refusal(txs: tuple[bytes, ...], limits: Limits, state: Collecting) -> str:
    """Why a request with these transactions is not taken; empty, if it is."""
    if not txs:
        return "the request has no transactions"
    if len(state.waiting) + len(txs) > limits.waiting_max:
        return f"busy: {len(state.waiting)} transactions are without outcome"
    if max(map(len, txs)) > limits.tx_bytes_max:
        return f"over size: a transaction has more than {limits.tx_bytes_max} bytes"
    return ""


def acceptable(t: Requested) -> tuple[bytes, ...] | None:
    """The bytes of the transactions, if the request is taken."""
    txs = tuple(map(encode, t.message.txs))
    return None if refusal(txs, t.config, t.env.state) else txs


@rule(priority=1)
def refuse(request: TransactionRequest, t: Requested) -> Effects[Collecting, ToAll]:
    """State: one more refused. Messages: the reason. Timers, engines: none."""
    txs = tuple(map(encode, request.txs))
    reason = refusal(txs, t.config, t.env.state)
    return [
        Become(replace(t.env.state, refused=t.env.state.refused + 1)),
        Send(request.reply_to, TransactionRefused(tuple(map(bytes_hash, txs)), reason)),
    ]


@rule(when=acceptable)
def take(txs: tuple[bytes, ...], t: Requested) -> Effects[Collecting, ToAll]:
    """State: the transactions are in the open batch, but for duplicates; the client waits for all. Messages: outcomes
    that are known already; as `sealed`, if the batch is full. Timers: to seal the batch. Engines: none."""
    state, client = t.env.state, t.message.reply_to
    named = {bytes_hash(tx): tx for tx in txs}
    new: dict[bytes, bytes] = {}
    waiting: dict[bytes, tuple[Waiter, ...]] = {}
    known: list[Summary] = []
    alone: tuple[Waiter, ...] = (client,)
    for name, tx in named.items():
        if (outcome := state.outcome(name)) is not None:
            known.append(outcome)
        elif (clients := state.waiting.get(name)) is None:
            new[name] = tx
            waiting[name] = alone
        elif client not in clients:
            waiting[name] = (*clients, client)
    is_first = not state.due
    after = replace(
        state,
        batch_start_ns=t.now_ns if is_first else state.batch_start_ns,
        hashes=(*state.hashes, *new),
        txs=(*state.txs, *new.values()),
        due=(*state.due, Due(client, tuple(named))),
        waiting=state.waiting.updated(waiting),
        duplicates=state.duplicates + len(txs) - len(new),
    )
    told = [Send(client, TransactionOutcome(tuple(known)))] if known else []
    if len(after.hashes) >= t.config.batch_max:
        return [*sealed(after, t.config, Ref(t.me.name)), CancelTimer(SEAL), *told]
    timer = [SetTimer(SEAL, after_ns=t.config.batch_ns)] if is_first else []
    return [Become(after), *timer, *told]


@rule(timer=SEAL)
def seal(_seal: Handle, t: Elapsed[Limits, Collecting]) -> Effects[Collecting, ToAll]:
    """State, messages: as `sealed`. Timers, engines: none."""
    return sealed(t.env.state, t.config, Ref(t.me.name))


def sealed(state: Collecting, limits: Limits, me: Ref[Any]) -> list[Any]:
    """State: the next batch is open. Messages: the batch and its digest; acknowledgements, or the request to sign them.
    Timers, engines: none."""
    after = replace(state, number=state.number + 1, hashes=(), txs=(), due=())
    name = digest(me, state.number, state.hashes)
    batch = Sealed(state.number, name, state.batch_start_ns, state.due)
    sends: list[Any] = []
    if state.hashes:
        sends += (
            Send(limits.dispatcher, Batch(name, me, state.hashes, state.txs)),
            Send(limits.sequencer, OrderBatch(name)),
        )
    if limits.signer is None:
        return [Become(after), *sends, *acknowledgements(batch, str(me), b"")]
    signing = after.signing.set(state.number, batch)
    request = SignRequest(state.number, signed_text(str(me), batch), me)
    return [Become(replace(after, signing=signing)), *sends, Send(limits.signer, request)]


def digest(worker: object, number: int, hashes: Iterable[bytes]) -> bytes:
    """The digest of a batch: of its worker, its number, and the transactions in it."""
    text = encode((str(worker), number, tuple(hashes)))
    return blake2b(text, digest_size=32, person=b"batch").digest()


def signed_text(worker_id: str, batch: Sealed) -> bytes:
    """What a signature is over: the worker, and number, start and digest of the batch."""
    return encode((worker_id, batch.number, batch.batch_start_ns, batch.digest))


def acknowledgements(batch: Sealed, worker_id: str, signature: bytes) -> Iterable[Sent[TransactionAck]]:
    """One for each request in a batch."""
    for one in batch.due:
        ack = TransactionAck(one.tx_hashes, batch.number, batch.batch_start_ns, worker_id, signature, batch.digest)
        yield Send(one.client, ack)


Answered: TypeAlias = Arrived[Signed, Limits, Collecting]


def is_signing(t: Answered) -> Sealed | None:
    """The batch that waits for this signature."""
    return t.env.state.signing.get(t.message.number)


@rule(when=is_signing)
def acknowledge(batch: Sealed, t: Answered) -> Effects[Collecting, ToAll]:
    """State: the batch is acknowledged. Messages: the acknowledgements. Timers, engines: none."""
    state, number = t.env.state, t.message.number
    sends = acknowledgements(batch, t.me.name, t.message.signature)
    return [Become(replace(state, signing=state.signing.without(number))), *sends]


@rule(priority=1)
def acknowledged_before(_message: Signed, _t: Answered) -> Effects[Collecting, ToAll]:
    """No batch waits for it. State, messages, timers, engines: none."""
    return []


Asked: TypeAlias = Arrived[StatusRequest, Limits, Collecting]


@rule
def tell(request: StatusRequest, t: Asked) -> Effects[Collecting, ToAll]:
    """State: the client waits for the outcome, if there is none yet. Messages: the outcome; or that the transaction is
    unknown. Timers, engines: none."""
    state, name, client = t.env.state, request.tx_hash, request.reply_to
    if (outcome := state.outcome(name)) is not None:
        return Send(client, TransactionOutcome((outcome,)))
    if (clients := state.waiting.get(name)) is None:
        return Send(client, TransactionRefused((name,), "unknown: no such transaction, or none that is remembered"))
    return replace(state, waiting=state.waiting.set(name, tuple(dict.fromkeys((*clients, client)))))


@rule
def report(message: ExecutorFinished, t: Arrived[ExecutorFinished, Limits, Collecting]) -> Effects[Collecting, ToAll]:
    """State: the outcomes. Messages: to each client, those of its transactions. Timers, engines: none."""
    state = t.env.state
    by_client: dict[Waiter, list[Summary]] = {}
    waiting = state.waiting
    for summary in message.summaries:
        for client in waiting.get(summary.tx_hash, ()):
            by_client.setdefault(client, []).append(summary)
        waiting = waiting.without(summary.tx_hash)
    new = [(summary.tx_hash, encode(summary)) for summary in message.summaries]
    outcomes, before = remembered(state.outcomes, state.outcomes_before, new, t.config.remembered)
    after = replace(state, waiting=waiting, outcomes=outcomes, outcomes_before=before)
    return [Become(after), *(Send(client, TransactionOutcome(tuple(mine))) for client, mine in by_client.items())]


WORKER = Family(
    "worker",
    config=Limits,
    state=Collecting(),
    accepts=TransactionRequest | StatusRequest | ExecutorFinished | Signed,
    emits=ToAll,
    timers=[SEAL],
).rules(take, refuse, seal, acknowledge, acknowledged_before, tell, report)
