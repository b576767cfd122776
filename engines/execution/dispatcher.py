"""The dispatcher: from an order of batches to transactions with timestamps, locked at all shards and then run.

Ordered indices arrive in any order, and batches before or after them. A height is dispatched when its index is next and
its batches are here: what came before is dropped, each transaction gets the next timestamp, and then (L2)

    *locking*   one KVSAcquireLock to each shard, with the locks of all transactions of the height
    *locked*    all shards have acknowledged: UpdateSeenAll to all of them, Execute to all executors; the next height

One height is locking at a time, and any number of locked ones execute. A height is *stable* when each shard has sent
its root and all heights below are stable; `keep_heights` later the shards collect it.

Crash points: none is special. State and messages of a transition are committed together, a lock is asked for once and
is idempotent, and indices and digests that come again are dropped by `next_index` and by the digests remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from msgspec import MsgspecError
from msgspec.structs import replace

from engines.consensus.order import Ordered
from engines.mempool.messages import Batch, ExecutorFinished
from engines.model import Arrived, Become, Config, Effects, Family, Map, Note, Ref, Send, Sent, Value, rule

from .keyspace import shard_of, state_root
from .memory import remembered
from .messages import (
    Collect,
    Execute,
    Execution,
    KVSAcquireLock,
    KVSLockAcquired,
    KVSLockRefused,
    KVSRead,
    Lock,
    RootRequest,
    ShardRoot,
    StateRoot,
    UpdateSeenAll,
)
from .transactions import Label, Summary, read_candidate

REMEMBERED: Final = 1 << 17
"""Hashes of transactions, and digests of batches, that are known when they come again."""

DUPLICATE: Final = "duplicate: a transaction with this hash came before"
UNREADABLE: Final = "the bytes are no transaction"


class Machine(Config):
    """Shards in the order of their numbers, a power of two of them; executors; and heights kept for queries."""

    shards: tuple[Ref[KVSAcquireLock | UpdateSeenAll | Collect], ...]
    executors: tuple[Ref[Execute | KVSRead], ...]
    keep_heights: int = 256
    remembered: int = REMEMBERED


class Locking(Value):
    """The height that waits for its locks: its last timestamp, what each executor runs, shards still to acknowledge."""

    height: int
    last: int
    executions: tuple[tuple[Execution, ...], ...]
    missing: tuple[int, ...]


class Dispatch(Value):
    """State of the dispatcher.

    `batches` and `orders` wait for one another. `roots` has the state roots of stable heights that are kept, and
    `shard_roots` those of the shards for heights that are not stable. `known` are hashes and digests, in two
    generations.
    """

    next_index: int = 1
    next_timestamp: int = 1
    batches: Map[bytes, Batch] = Map()
    orders: Map[int, tuple[bytes, ...]] = Map()
    locking: Locking | None = None
    stable: int = 0
    shard_roots: Map[int, Map[int, bytes]] = Map()
    roots: Map[int, bytes] = Map()
    known: Map[bytes, None] = Map()
    known_before: Map[bytes, None] = Map()

    def knows(self, name: bytes) -> bool:
        """Whether a hash or a digest came before."""
        return name in self.known or name in self.known_before


ToMachine: TypeAlias = KVSAcquireLock | UpdateSeenAll | Execute | Collect | ExecutorFinished | StateRoot


@rule
def take_batch(batch: Batch, t: Arrived[Batch, Machine, Dispatch]) -> Effects[Dispatch, ToMachine]:
    """State: the batch is here. Messages: as `dispatch`. Timers, engines: none."""
    state = t.env.state
    if state.knows(batch.digest):
        return []
    return dispatch(replace(state, batches=state.batches.set(batch.digest, batch)), t.config)


@rule
def take_order(order: Ordered, t: Arrived[Ordered, Machine, Dispatch]) -> Effects[Dispatch, ToMachine]:
    """State: the digests wait for their turn. Messages: as `dispatch`. Timers, engines: none."""
    state = t.env.state
    if order.index < state.next_index:
        return []
    return dispatch(replace(state, orders=state.orders.set(order.index, order.digests)), t.config)


def dispatch(state: Dispatch, machine: Machine) -> Effects[Dispatch, ToMachine]:
    """State: the next height is locking, if it can. Messages: locks, to all shards; to workers, which transactions are
    duplicates. Timers, engines: none."""
    digests = state.orders.get(state.next_index)
    if state.locking is not None or digests is None:
        return state
    if not all(digest in state.batches or state.knows(digest) for digest in digests):
        return state
    batches = [state.batches[digest] for digest in dict.fromkeys(digests) if digest in state.batches]
    return _with_height(state, machine, batches)


def _with_height(state: Dispatch, machine: Machine, batches: list[Batch]) -> Effects[Dispatch, ToMachine]:
    height, first = state.next_index, state.next_timestamp
    executions, labels, dropped = _timestamped(state, batches)
    last = first + len(executions) - 1
    known, before = remembered(
        state.known,
        state.known_before,
        [(name, None) for batch in batches for name in (*batch.tx_hashes, batch.digest)],
        machine.remembered,
    )
    by_executor: list[list[Execution]] = [[] for _ in machine.executors]
    for one in executions:
        by_executor[one.timestamp % len(by_executor)].append(one)
    shards = tuple(range(len(machine.shards)))
    after = replace(
        state,
        next_index=height + 1,
        next_timestamp=last + 1,
        batches=state.batches.without(*(batch.digest for batch in batches)),
        orders=state.orders.without(height),
        locking=Locking(height, last, tuple(map(tuple, by_executor)), shards),
        known=known,
        known_before=before,
    )
    return [Become(after), *_locks(machine, height, first, executions, labels), *dropped]


def _timestamped(state: Dispatch, batches: list[Batch]) -> tuple[list[Execution], list[Label], list[Sent[ToMachine]]]:
    """The transactions that did not come before, with their timestamps and labels; and the messages about others."""
    new: set[bytes] = set()
    executions: list[Execution] = []
    labels: list[Label] = []
    told: list[Sent[ToMachine]] = []
    for batch in batches:
        dropped: list[Summary] = []
        for name, tx in zip(batch.tx_hashes, batch.txs, strict=True):
            if name in new or state.knows(name):
                dropped.append(Summary(name, 0, 0, DUPLICATE, 0))
            elif (label := _label(tx)) is None:
                dropped.append(Summary(name, 0, 0, UNREADABLE, 0))
            else:
                reads = len(_once(label.read))
                executions.append(Execution(state.next_timestamp + len(executions), name, tx, reads, batch.worker))
                labels.append(label)
            new.add(name)
        if dropped:
            told.append(Send(batch.worker, ExecutorFinished(tuple(dropped))))
    return executions, labels, told


def _label(tx: bytes) -> Label | None:
    try:
        return read_candidate(tx).label
    except MsgspecError:
        return None


def _locks(
    machine: Machine, height: int, first: int, executions: list[Execution], labels: list[Label]
) -> Iterable[Sent[ToMachine]]:
    """One message to each shard, touched or not."""
    locks: list[list[Lock]] = [[] for _ in machine.shards]
    for one, label in zip(executions, labels, strict=True):
        executor = machine.executors[one.timestamp % len(machine.executors)]
        for shard, lock in locks_of(label, one.timestamp, executor, len(machine.shards)):
            locks[shard].append(lock)
    last = first + len(executions) - 1
    for target, mine in zip(machine.shards, locks, strict=True):
        yield Send(target, KVSAcquireLock(height, first, last, tuple(mine)))


def locks_of(label: Label, timestamp: int, executor: Ref[KVSRead], shards: int) -> Iterable[tuple[int, Lock]]:
    """The locks of a transaction, by the number of the shard. A key that is read for certain is not read lazily too,
    and one that is written for certain is not perhaps written."""
    kinds = (
        _once(label.lazy_read, label.read),
        _once(label.read),
        _once(label.write),
        _once(label.may_write, label.write),
    )
    if shards == 1:
        if any(kinds):
            yield 0, Lock(timestamp, executor, *kinds)
        return
    parts: dict[int, tuple[list[bytes], ...]] = {}
    for kind, keys in enumerate(kinds):
        for key in keys:
            parts.setdefault(shard_of(key, shards), ([], [], [], []))[kind].append(key)
    for shard, part in sorted(parts.items()):
        yield shard, Lock(timestamp, executor, *map(tuple, part))


def _once(keys: tuple[bytes, ...], others: tuple[bytes, ...] = ()) -> tuple[bytes, ...]:
    """The keys that are not among the others, each once."""
    if len(keys) < 2 and not (keys and others):
        return keys
    excluded = {*others}
    return tuple(key for key in dict.fromkeys(keys) if key not in excluded)


Acquired: TypeAlias = Arrived[KVSLockAcquired, Machine, Dispatch]


def is_missing(t: Acquired) -> Locking | None:
    """The height without this shard's acknowledgement, if it waits for that."""
    locking = t.env.state.locking
    if locking is None or locking.height != t.message.height or t.message.shard not in locking.missing:
        return None
    return replace(locking, missing=tuple(shard for shard in locking.missing if shard != t.message.shard))


@rule(when=is_missing)
def count_lock(locking: Locking, t: Acquired) -> Effects[Dispatch, ToMachine]:
    """State: one acknowledgement less to wait for. Messages: after the last one, the watermark to all shards, and the
    transactions to all executors; then as `dispatch`. Timers, engines: none."""
    state, machine = t.env.state, t.config
    if locking.missing:
        return replace(state, locking=locking)
    seen = UpdateSeenAll(locking.height, locking.last)
    executed = zip(machine.executors, locking.executions, strict=True)
    return [
        *(Send(shard, seen) for shard in machine.shards),
        *(Send(executor, Execute(locking.height, locking.last, mine)) for executor, mine in executed),
        *_listed(dispatch(replace(state, locking=None), machine)),
    ]


def _listed(effects: Effects[Dispatch, ToMachine]) -> Iterable[Any]:
    return [Become(effects)] if isinstance(effects, Dispatch) else effects  # type: ignore[return-value]


@rule(priority=1)
def count_lock_again(_message: KVSLockAcquired, _t: Acquired) -> Effects[Dispatch, ToMachine]:
    """Acknowledged before. State, messages, timers, engines: none."""
    return []


@rule
def note_refusal(
    message: KVSLockRefused, _t: Arrived[KVSLockRefused, Machine, Dispatch]
) -> Effects[Dispatch, ToMachine]:
    """A lock that came after its watermark, which no dispatcher asks for: a note. State, messages, timers, engines:
    none."""
    return Note("lock refused: under_watermark", height=message.height, shard=message.shard)


@rule
def take_root(message: ShardRoot, t: Arrived[ShardRoot, Machine, Dispatch]) -> Effects[Dispatch, ToMachine]:
    """State: the root of a shard; heights for which all roots are here are stable. Messages: to the shards, what they
    may collect. Timers, engines: none."""
    state, machine = t.env.state, t.config
    if message.height <= state.stable:
        return []
    roots = state.shard_roots.get(message.height, Map()).set(message.shard, message.root)
    before, stable = state.stable, state.stable
    shard_roots, state_roots = state.shard_roots.set(message.height, roots), state.roots
    while len(roots := shard_roots.get(stable + 1, Map())) == len(machine.shards):
        stable += 1
        shard_roots = shard_roots.without(stable)
        state_roots = state_roots.set(stable, state_root(roots.values())).without(stable - machine.keep_heights - 1)
    after = Become(replace(state, stable=stable, shard_roots=shard_roots, roots=state_roots))
    if stable == before or stable <= machine.keep_heights:
        return [after]
    return [after, *(Send(shard, Collect(stable - machine.keep_heights)) for shard in machine.shards)]


@rule
def tell_root(request: RootRequest, t: Arrived[RootRequest, Machine, Dispatch]) -> Effects[Dispatch, ToMachine]:
    """Messages: the state root. State, timers, engines: none."""
    height = request.height or t.env.state.stable
    return Send(request.reply_to, StateRoot(height, t.env.state.roots.get(height, b"")))


DISPATCHER = Family(
    "dispatcher",
    config=Machine,
    state=Dispatch(),
    accepts=Batch | Ordered | KVSLockAcquired | KVSLockRefused | ShardRoot | RootRequest,
    emits=ToMachine,
).rules(take_batch, take_order, count_lock, count_lock_again, note_refusal, take_root, tell_root)
