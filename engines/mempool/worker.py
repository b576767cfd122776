"""A worker: it takes transactions from clients, puts them into batches, acknowledges them, and reports outcomes.

A batch is *open* until it is full or `batch_ns` old; then it is *sealed*: its digest goes to the source of order, the
batch itself to the dispatcher, and acknowledgements to the clients. With a `signer` these wait for one signature:

    signing --DataSigned--> acknowledged with it
            --KeyRefused, or `sign_ns_max` over--> acknowledged without
            --`sign_retry_ns` over--> signing, asked again: the request or its answer may be lost with a process

Ordering and execution do not wait for the signature.

A transaction is *waiting* from its request to its outcome, and then remembered with that outcome.

A transaction that comes again is not put into a batch a second time. While the first one waits, the new client waits
for the same outcome; after that it gets the outcome at once. Only `remembered` outcomes are known, the newest.

A request is taken as a whole or not at all. Crash points: none is special; state and messages are committed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.consensus.order import OrderBatch
from engines.crypto.keys import Signed, is_valid
from engines.devices.key_store import DataSigned, KeyRefused
from engines.execution.memory import remembered
from engines.execution.transactions import Summary, bytes_hash, tx_bytes
from engines.identity.commitment import Commit
from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Effects,
    Elapsed,
    Family,
    Handle,
    Note,
    Ref,
    Send,
    Sent,
    SetTimer,
    Timer,
    encode,
    rule,
)

from .acknowledgement import root_and_proofs, signed_text
from .collecting import Collecting, Due, Limits, Sealed, Waiter
from .messages import (
    Batch,
    ExecutorFinished,
    StatusRequest,
    TransactionAck,
    TransactionOutcome,
    TransactionRefused,
    TransactionRequest,
)

SEAL: Final = Timer("seal")
SIGN: Final = Timer("sign")
ToAll: TypeAlias = (
    TransactionAck | TransactionRefused | TransactionOutcome | Batch | OrderBatch | Commit | ExecutorFinished
)
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
    txs = tuple(map(tx_bytes, t.message.txs))
    return None if refusal(txs, t.config, t.env.state) else txs


@rule(priority=1)
def refuse(request: TransactionRequest, t: Requested) -> Effects[Collecting, ToAll]:
    """State: one more refused. Messages: the reason. Timers, engines: none."""
    txs = tuple(map(tx_bytes, request.txs))
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
        return [*sealed(after, t), CancelTimer(SEAL), *told]
    timer = [SetTimer(SEAL, after_ns=t.config.batch_ns)] if is_first else []
    return [Become(after), *timer, *told]


@rule(timer=SEAL)
def seal(_seal: Handle, t: Elapsed[Limits, Collecting]) -> Effects[Collecting, ToAll]:
    """State, messages, timers: as `sealed`. Engines: none."""
    return sealed(t.env.state, t)


def sealed(state: Collecting, t: Requested | Elapsed[Limits, Collecting]) -> list[Any]:
    """State: the next batch is open. Messages: the batch and its digest; acknowledgements, or the request to sign them.
    Timers: to ask for the signature again. Engines: none."""
    limits, me = t.config, Ref[Any](t.me.name)
    after = replace(state, number=state.number + 1, hashes=(), txs=(), due=())
    name = digest(me, state.number, state.hashes)
    batch = Sealed(state.number, name, state.batch_start_ns, state.due, t.now_ns)
    sends: list[Any] = []
    if state.hashes:
        sends += (
            Send(limits.dispatcher, Batch(name, me, state.hashes, state.txs)),
            Send(limits.sequencer, OrderBatch(name)),
        )
    if limits.signer is None:
        return [Become(after), *sends, *acknowledgements(batch, str(me), None)]
    signing = after.signing.set(state.number, batch)
    timer = [] if t.env.is_pending(SIGN) else [SetTimer(SIGN, after_ns=limits.sign_retry_ns)]
    return [
        Become(replace(after, signing=signing)),
        *sends,
        Send(limits.signer, Commit(text_of(batch, str(me)), me, batch.number)),
        *timer,
    ]


def digest(worker: object, number: int, hashes: Iterable[bytes]) -> bytes:
    """The digest of a batch: of its worker, its number, and the transactions in it."""
    text = encode((str(worker), number, tuple(hashes)))
    return blake2b(text, digest_size=32, person=b"batch").digest()


def text_of(batch: Sealed, worker_id: str) -> bytes:
    """What is signed for a batch."""
    root, _ = root_and_proofs([one.tx_hashes for one in batch.due])
    return signed_text(worker_id, batch.number, batch.batch_start_ns, batch.digest, root)


def acknowledgements(batch: Sealed, worker_id: str, signature: Signed | None) -> Iterable[Sent[TransactionAck]]:
    """One for each request in a batch."""
    proofs: Sequence[tuple[bytes, ...]] = ((),) * len(batch.due)
    if signature is not None:
        _, proofs = root_and_proofs([one.tx_hashes for one in batch.due])
    for place, (one, proof) in enumerate(zip(batch.due, proofs, strict=True)):
        about = (one.tx_hashes, batch.number, batch.batch_start_ns, worker_id, batch.digest)
        yield Send(one.client, TransactionAck(*about, signature, place, proof))


Answered: TypeAlias = Arrived[DataSigned | KeyRefused, Limits, Collecting]


def is_signing(t: Answered) -> Sealed | None:
    """The batch that waits for this answer. A signature of something else is none: numbers begin again with a worker
    whose state was lost, and an answer to the one before may still be under way."""
    answer, batch = t.message, t.env.state.signing.get(t.message.request)
    if batch is None or isinstance(answer, KeyRefused):
        return batch
    return batch if is_valid(answer.signed, text_of(batch, t.me.name)) else None


@rule(when=is_signing)
def acknowledge(batch: Sealed, t: Answered) -> Effects[Collecting, ToAll]:
    """State: the batch is acknowledged. Messages: the acknowledgements, signed unless it was refused; then a note.
    Timers: to ask again, no more if no batch waits. Engines: none."""
    state, answer = t.env.state, t.message
    left = replace(state, signing=state.signing.without(batch.number))
    timer = [] if left.signing else [CancelTimer(SIGN)]
    if isinstance(answer, DataSigned):
        return [Become(left), *timer, *acknowledgements(batch, t.me.name, answer.signed)]
    left = replace(left, unsigned=left.unsigned + 1)
    why = Note("acknowledged without a signature", reason=answer.reason, detail=answer.detail)
    return [Become(left), *timer, *acknowledgements(batch, t.me.name, None), why]


@rule(priority=1)
def acknowledged_before(_answer: DataSigned | KeyRefused, _t: Answered) -> Effects[Collecting, ToAll]:
    """No batch waits for it, or not for this. State, messages, timers, engines: none."""
    return []


@rule(timer=SIGN)
def sign_again(_sign: Handle, t: Elapsed[Limits, Collecting]) -> Effects[Collecting, ToAll]:
    """State: batches that waited too long are acknowledged. Messages: the request again for those that wait, the
    acknowledgements of the others without a signature, and a note. Timers: the next look, while any wait. Engines:
    none."""
    state, signer = t.env.state, t.config.signer
    signing, sends = state.signing, list[Any]()
    for number, batch in state.signing.items():
        age_ns = t.now_ns - batch.sealed_ns
        if signer is None or age_ns >= t.config.sign_ns_max:
            signing = signing.without(number)
            sends += acknowledgements(batch, t.me.name, None)
        elif age_ns >= t.config.sign_retry_ns:
            sends.append(Send(signer, Commit(text_of(batch, t.me.name), Ref(t.me.name), number)))
    if given_up := len(state.signing) - len(signing):
        sends.append(Note("acknowledged without a signature", batches=given_up))
    after = replace(state, signing=signing, unsigned=state.unsigned + given_up)
    return [Become(after), *sends, *([SetTimer(SIGN, after_ns=t.config.sign_retry_ns)] if signing else [])]


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
    """State: the outcomes. Messages: to each client, those of its transactions; all to the feed. Timers, engines:
    none."""
    state = t.env.state
    by_client: dict[Waiter, list[Summary]] = {}
    for summary in message.summaries:
        for client in state.waiting.get(summary.tx_hash, ()):
            by_client.setdefault(client, []).append(summary)
    waiting = state.waiting.without(*(summary.tx_hash for summary in message.summaries))
    new = [(summary.tx_hash, encode(summary)) for summary in message.summaries]
    outcomes, before = remembered(state.outcomes, state.outcomes_before, new, t.config.remembered)
    after = replace(state, waiting=waiting, outcomes=outcomes, outcomes_before=before)
    sends = [Send(client, TransactionOutcome(tuple(mine))) for client, mine in by_client.items()]
    return [Become(after), *sends, *([] if t.config.feed is None else [Send(t.config.feed, message)])]


WORKER = Family(
    "worker",
    config=Limits,
    state=Collecting(),
    accepts=TransactionRequest | StatusRequest | ExecutorFinished | DataSigned | KeyRefused,
    emits=ToAll,
    timers=[SEAL, SIGN],
).rules(take, refuse, seal, acknowledge, acknowledged_before, sign_again, tell, report)
