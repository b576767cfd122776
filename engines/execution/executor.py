"""An executor: it runs transactions, each as soon as the values that it reads are here.

A transaction here is *started* by `Execute`, whether it reads or not (X1); *waits* for its eager reads, then perhaps
for lazy ones, one at a time; and is *finished* by its writes, or by a fault that releases all its locks (X2). A write
is held back until the transaction succeeds. Transactions are told apart by their timestamp, which nothing else has.

X3: a run is begun anew whenever a value comes, on all values so far (see `run`). So the crash of an executor decides
nothing: the executor that is made again from its log runs the program again, with the same result.

The messages of one height start in order of heights: a read for a timestamp above the last one started is early, and
is kept; any other read for a transaction that does not run is late, and is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.mempool.messages import ExecutorFinished
from engines.model import Arrived, Become, Config, Effects, Family, Map, Ref, Send, Sent, Value, rule

from .keyspace import shard_of
from .messages import Execute, Execution, KeyWritten, KVSRead, KVSReadRequest, KVSWrite, ReadAsked
from .run import Done, Fault, Needs, run_program
from .transactions import Access, Label, Summary, read_candidate


class Pool(Config):
    """The shards, in the order of their numbers."""

    shards: tuple[Ref[KVSReadRequest | KVSWrite], ...]


class Running(Value):
    """A transaction that waits for values: those it has, and the lazy reads that it has asked for."""

    execution: Execution
    height: int
    values: tuple[Access, ...] = ()
    asked: tuple[bytes, ...] = ()


class Executing(Value):
    """State of an executor.

    `through` and `height` are the last timestamp and the last height that were started, `held` later heights that came
    early, `early` reads of transactions that are not started.
    """

    through: int = 0
    height: int = 0
    running: Map[int, Running] = Map()
    held: Map[int, Execute] = Map()
    early: Map[int, tuple[Access, ...]] = Map()


ToOthers: TypeAlias = KVSReadRequest | KVSWrite | ExecutorFinished


class _Outbox:
    """What transactions send in one transition: one message for each receiver."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.reads: dict[int, list[ReadAsked]] = {}
        self.writes: dict[int, list[KeyWritten]] = {}
        self.finished: dict[Ref[Any], list[Summary]] = {}

    def read(self, timestamp: int, key: bytes, is_actual: bool) -> None:
        shard = shard_of(key, len(self.pool.shards))
        self.reads.setdefault(shard, []).append(ReadAsked(timestamp, key, is_actual))

    def write(self, timestamp: int, key: bytes, datum: bytes | None) -> None:
        shard = shard_of(key, len(self.pool.shards))
        self.writes.setdefault(shard, []).append(KeyWritten(timestamp, key, datum))

    def sends(self) -> Iterable[Sent[ToOthers]]:
        for shard, reads in self.reads.items():
            yield Send(self.pool.shards[shard], KVSReadRequest(tuple(reads)))
        for shard, writes in self.writes.items():
            yield Send(self.pool.shards[shard], KVSWrite(tuple(writes)))
        for worker, summaries in self.finished.items():
            yield Send(worker, ExecutorFinished(tuple(summaries)))


def advanced(one: Running, outbox: _Outbox) -> Running | None:
    """The transaction when it has come as far as its values allow, and what it sends; None: it is finished."""
    if len(one.values) < one.execution.reads:
        return one
    tx, timestamp = read_candidate(one.execution.tx), one.execution.timestamp
    values = {access.key: access.datum for access in one.values}
    match run_program(tx, values):
        case Needs(key):
            if key not in one.asked:
                outbox.read(timestamp, key, True)
                return replace(one, asked=(*one.asked, key))
            return one
        case Done(writes, gas):
            finish(one, tx.label, outbox, dict(writes), "", gas)
        case Fault(error, gas):
            finish(one, tx.label, outbox, {}, error, gas)
    return None


def finish(one: Running, label: Label, outbox: _Outbox, writes: dict[bytes, bytes], error: str, gas: int) -> None:
    """Flush the writes, release every other lock and every read that was not asked for, and report."""
    execution = one.execution
    for key in dict.fromkeys((*label.write, *label.may_write)):
        outbox.write(execution.timestamp, key, writes.get(key))
    for key in dict.fromkeys(label.lazy_read):
        if key not in one.asked and key not in label.read:
            outbox.read(execution.timestamp, key, False)
    read = tuple(sorted(one.values, key=_key))
    written = tuple([Access(key, datum) for key, datum in sorted(writes.items())])
    summary = Summary(execution.tx_hash, execution.timestamp, one.height, error, gas, read, written)
    outbox.finished.setdefault(execution.worker, []).append(summary)


_key: Final[Any] = attrgetter("key")

Started: TypeAlias = Arrived[Execute, Pool, Executing]


def is_next(t: Started) -> Executing | None:
    """The state with this height held, if it was not started before."""
    state, message = t.env.state, t.message
    return replace(state, held=state.held.set(message.height, message)) if message.height > state.height else None


@rule(when=is_next)
def start(state: Executing, t: Started) -> Effects[Executing, ToOthers]:
    """State: the transactions of this height run, and those of later ones that it held up. Messages: lazy reads, writes
    and summaries. Timers, engines: none."""
    outbox = _Outbox(t.config)
    while (message := state.held.get(state.height + 1)) is not None:
        state = _with_started(state, message, outbox)
    return [Become(state), *outbox.sends()]


def _with_started(state: Executing, message: Execute, outbox: _Outbox) -> Executing:
    running: dict[int, Running] = {}
    early = state.early
    for execution in message.executions:
        timestamp = execution.timestamp
        one = advanced(Running(execution, message.height, early.get(timestamp, ())), outbox)
        if one is not None:
            running[timestamp] = one
    return Executing(
        through=message.last,
        height=message.height,
        running=state.running.updated(running),
        held=state.held.without(message.height),
        early=early.without(*(execution.timestamp for execution in message.executions)),
    )


@rule(priority=1)
def start_again(_message: Execute, _t: Started) -> Effects[Executing, ToOthers]:
    """Started already. State, messages, timers, engines: none."""
    return []


@rule
def take_values(message: KVSRead, t: Arrived[KVSRead, Pool, Executing]) -> Effects[Executing, ToOthers]:
    """State: the values, until their transaction is finished. Messages: lazy reads, writes and summaries. Timers,
    engines: none."""
    state, outbox = t.env.state, _Outbox(t.config)
    values: dict[int, list[Access]] = {}
    for answer in message.reads:
        values.setdefault(answer.timestamp, []).append(Access(answer.key, answer.datum))
    changed: dict[int, Running] = {}
    finished: list[int] = []
    early = state.early
    for timestamp, new in values.items():
        one = state.running.get(timestamp)
        if one is None:
            if timestamp > state.through:
                early = early.set(timestamp, (*early.get(timestamp, ()), *new))
            continue
        if one.values:
            known = {access.key for access in one.values}
            new = [*one.values, *(access for access in new if access.key not in known)]
        after = advanced(Running(one.execution, one.height, tuple(new), one.asked), outbox)
        if after is None:
            finished.append(timestamp)
        else:
            changed[timestamp] = after
    running = state.running.updated(changed).without(*finished)
    return [Become(replace(state, running=running, early=early)), *outbox.sends()]


EXECUTOR = Family("executor", config=Pool, state=Executing(), accepts=Execute | KVSRead, emits=ToOthers).rules(
    start, start_again, take_values
)
