"""Dispatcher, shards and executors under check: whatever the order of messages, all is as in the sequential run.

Batches of transactions and their order are in transit at the beginning, so they come in any order; the worker is
outside, and what is sent to it is kept in the history. A scenario is a few transactions that meet at few keys.
"""

from __future__ import annotations

from typing import Any, Final

from engines.consensus.order import Ordered
from engines.mempool.messages import Batch, ExecutorFinished
from engines.model import Map, Ref, Value, encode
from engines.model.system import BadSystemError, Envelope, Member, System
from engines.model.system_view import SystemView

from .dispatcher import DISPATCHER, Machine
from .executor import EXECUTOR, Pool
from .messages import KVSRead, UpdateSeenAll
from .nouns import Noun, jam, text_atom
from .programs import candidate
from .sequential import Step, sequential
from .shard import SHARD, Keys, Part
from .transactions import NOCK, Executable, Label, Summary, TransactionCandidate, tx_hash

A, B, C = b"a", b"b", b"c"


def with_label(label: Label, name: str, *args: bytes, nonce: bytes = b"") -> TransactionCandidate:
    """A transaction of a program, under another label than its own."""
    return TransactionCandidate(label, Executable(name, args), nonce)


def nock_increment(key: Noun, nonce: bytes = b"") -> TransactionCandidate:
    """A Nock program that reads a key and writes one more than its number, or 1 where it is absent.

    Its first step asks for the key. The second finds `[[key unit] 0]` as its input, that is the unit at axis 13.
    """
    place = jam(key)
    ask: Noun = (1, (1, ((0, key), 0)))
    more: Noun = (6, ((3, (0, 13)), ((4, (0, 27)), (1, 1))))
    put: Noun = ((1, 2), (((1, 1), ((1, key), more)), (1, 0)))
    formula: Noun = (6, ((5, ((0, 2), (1, 0))), (ask, put)))
    return TransactionCandidate(Label(read=(place,), write=(place,)), Executable(NOCK, (jam(formula),)), nonce)


SCENARIOS: Final[dict[str, tuple[tuple[TransactionCandidate, ...], ...]]] = {
    "increment": (
        (with_label(Label(read=(A,), write=(A,)), "write", A, jam(3)),),
        (candidate("successor", A, B),),
    ),
    "hot": ((candidate("increment", A, nonce=b"1"), candidate("increment", A, nonce=b"2")), (candidate("look", A),)),
    "failure": ((candidate("inc", A), candidate("look", A)),),
    "may": ((candidate("write_if", A, B, jam(7)), candidate("look", B)), (candidate("write", A, jam(1)),)),
    "may-written": ((candidate("write", A, jam(1)),), (candidate("write_if", A, B, jam(7)), candidate("look", B))),
    "lazy": ((candidate("write", A, jam(0)), candidate("increment", B)), (candidate("follow", A, C, B),)),
    "nock": ((nock_increment((text_atom("a"), 1), b"1"),), (nock_increment((text_atom("a"), 1), b"2"),)),
}
"""Transactions by height. Equal ones are one transaction: the second is dropped."""


class Observed(Value):
    """What was seen from outside: the highest watermark that each shard was sent, and the summaries the worker got."""

    watermarks: Map[str, int] = Map()
    summaries: Map[bytes, Summary] = Map()


def record(observed: Observed, envelope: Envelope, is_sent: bool) -> Observed:
    """What was observed, after an envelope was sent or delivered."""
    match envelope.message:
        case UpdateSeenAll(_, timestamp) if not is_sent:
            highest = max(timestamp, observed.watermarks.get(envelope.target, 0))
            return Observed(observed.watermarks.set(envelope.target, highest), observed.summaries)
        case ExecutorFinished(summaries) if is_sent and envelope.target == "worker":
            new = [(one.tx_hash, one) for one in summaries if one.timestamp]
            return Observed(observed.watermarks, observed.summaries.updated(new))
    return observed


class Claims:
    """What must hold of a scenario, by its sequential run."""

    def __init__(self, txs: list[TransactionCandidate]) -> None:
        self.txs = txs
        self.steps, self.keys = sequential(txs)

    def reads_are_decided(self, view: SystemView) -> bool:
        """Each value on its way to a transaction is what the transactions before it leave, all of them decided."""
        reads = [one.message.reads for one in view.in_transit if isinstance(one.message, KVSRead)]
        return all(self.is_read(one.timestamp, one.key, one.datum) for group in reads for one in group)

    def is_read(self, timestamp: int, key: bytes, datum: bytes | None) -> bool:
        """Whether this is what the transaction reads in the sequential run."""
        return any((one.key, one.datum) == (key, datum) for one in self.steps[timestamp - 1].read)

    def summaries_are_right(self, view: SystemView) -> bool:
        """Each summary says what its transaction does in the sequential run."""
        summaries = view.history.summaries.values()
        return all(_step(one) == self.steps[one.timestamp - 1] for one in summaries)

    def watermarks_are_monotone(self, view: SystemView) -> bool:
        """The watermark of each shard is the highest that it was sent."""
        return all(
            shard.state.watermark == view.history.watermarks.get(shard.name, 0) for shard in view.engines(SHARD.name)
        )

    def all_finish(self, view: SystemView) -> bool:
        """The worker has a summary of each transaction, no lock is left, and the keys are as in the sequential run."""
        keys = [shard.state for shard in view.engines(SHARD.name)]
        return len(view.history.summaries) == len(self.txs) and contents(keys) == self.keys and not locks(keys)


def _step(summary: Summary) -> Step:
    return Step(summary.values_read, summary.values_written, summary.error)


def contents(shards: list[Keys]) -> dict[bytes, bytes]:
    """The newest values of all keys."""
    found = {}
    for keys in shards:
        for key, one in keys.records.items():
            if one.versions and one.versions[-1].datum is not None:
                found[key] = one.versions[-1].datum
    return found


def locks(shards: list[Keys]) -> int:
    """Versions that are pending, and reads that were not answered or let go."""
    records = [one for keys in shards for one in keys.records.values()]
    return sum(len(one.readers) + sum(version.datum is None for version in one.versions) for one in records)


def SYSTEM(scenario: str = "increment", shards: int = 1, executors: int = 1, repeats: bool = False) -> System:
    """The transactions of a scenario. `repeats`: their batches and orders come twice. `shards`: a power of two."""
    if scenario not in SCENARIOS:
        raise BadSystemError(f"scenario is {scenario!r}; it must be one of {', '.join(SCENARIOS)}")
    heights = SCENARIOS[scenario]
    txs = list(dict.fromkeys(tx for height in heights for tx in height))
    claims = Claims(txs)
    names = [f"shard{number}" for number in range(shards)]
    runners = [f"executor{number}" for number in range(executors)]
    machine = Machine(tuple(map(SHARD.at, names)), tuple(map(EXECUTOR.at, runners)))
    pool = Pool(tuple(map(SHARD.at, names)))
    replies: Ref[Any] = DISPATCHER.at("dispatcher")
    return System(
        name=f"execution-{scenario}",
        members=[
            Member("dispatcher", DISPATCHER, machine),
            *(Member(name, SHARD, Part(replies, number, shards)) for number, name in enumerate(names)),
            *(Member(name, EXECUTOR, pool) for name in runners),
        ],
        messages=[envelope for _ in range(1 + repeats) for envelope in _ordered(heights)],
        outsiders=["outside", "worker"],
        history=Observed(),
        record=record,
        always=[claims.reads_are_decided, claims.summaries_are_right, claims.watermarks_are_monotone],
        sometimes=[claims.all_finish],
        eventually=[claims.all_finish],
    )


def _ordered(heights: tuple[tuple[TransactionCandidate, ...], ...]) -> list[Envelope]:
    found = []
    for index, txs in enumerate(heights, start=1):
        digest = bytes([index])
        batch = Batch(digest, Ref("worker"), tuple(map(tx_hash, txs)), tuple(map(encode, txs)))
        found += [Envelope("dispatcher", batch), Envelope("dispatcher", Ordered(index, (digest,)))]
    return found
