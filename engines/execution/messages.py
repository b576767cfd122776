"""Messages between dispatcher, shards and executors.

Each carries what many transactions have for one receiver: a message costs as much as the work for several transactions.
"""

from __future__ import annotations

from typing import Any

from engines.model import Message, Ref, Value


class Lock(Value):
    """What a transaction may do to the keys of one shard."""

    timestamp: int
    executor: Ref[KVSRead]
    lazy_read_keys: tuple[bytes, ...] = ()
    eager_read_keys: tuple[bytes, ...] = ()
    will_write_keys: tuple[bytes, ...] = ()
    may_write_keys: tuple[bytes, ...] = ()


class KVSAcquireLock(Message):
    """From the dispatcher to each shard, touched or not: a height, its timestamps, and the locks of this shard.

    A height without transactions has `last` = `first` - 1.
    """

    height: int
    first: int
    last: int
    locks: tuple[Lock, ...]


class KVSLockAcquired(Message):
    """From a shard: the locks of this height are in place; `timestamp` is its last."""

    height: int
    timestamp: int
    shard: int


class KVSLockRefused(Message):
    """From a shard: the height is below the watermark of writes, and was not locked now (`under_watermark`)."""

    height: int
    shard: int


class UpdateSeenAll(Message):
    """From the dispatcher to all shards: all locks up to a timestamp are in place, those of reads and those of writes.

    The watermarks R and W move by the same message, since a label names both. Repeats change nothing.
    """

    height: int
    timestamp: int


class ReadAsked(Value):
    """A lazy read: wanted now (`actual`), or not any more."""

    timestamp: int
    key: bytes
    actual: bool


class KVSReadRequest(Message):
    """From an executor to a shard: lazy reads that it needs, and reads that it does not need any more."""

    reads: tuple[ReadAsked, ...]


class ReadAnswer(Value):
    """A read: what the key has for this timestamp; None: absent."""

    timestamp: int
    key: bytes
    datum: bytes | None


class KVSRead(Message):
    """From a shard to an executor: answers to its reads."""

    reads: tuple[ReadAnswer, ...]


class KeyWritten(Value):
    """A write at a timestamp. None releases the lock: nothing was written, and readers see what was there before."""

    timestamp: int
    key: bytes
    datum: bytes | None


class KVSWrite(Message):
    """From an executor to a shard: writes and releases."""

    writes: tuple[KeyWritten, ...]


class Execution(Value):
    """A transaction to run, as its bytes, and its worker, which gets the summary.

    `reads` counts the keys that it reads for certain: before these are here, nothing can be done.
    """

    timestamp: int
    tx_hash: bytes
    tx: bytes
    reads: int
    worker: Ref[Any]


class Execute(Message):
    """From the dispatcher to each executor: run these, of a height that ends with timestamp `last`; their explicit
    start."""

    height: int
    last: int
    executions: tuple[Execution, ...]


class Collect(Message):
    """From the dispatcher to all shards: no height below this one is asked for any more."""

    height: int


class QueryRequest(Message):
    """To the shard of a key: its value at a height. It waits until the height is decided there.

    Height 0 is the newest one that the shard has seen; `at_least` is a height that it waits for before. Without
    `waits` a height that is not locked yet is refused: it may never come. What has an outcome is locked everywhere.
    """

    key: bytes
    reply_to: Ref[QueryAnswer | QueryRefused]
    height: int = 0
    at_least: int = 0
    waits: bool = True


class QueryAnswer(Message):
    """From a shard: the value at a height; None: absent."""

    key: bytes
    height: int
    datum: bytes | None


class QueryRefused(Message):
    """From a shard: no answer, for this reason."""

    key: bytes
    height: int
    reason: str


class ShardRoot(Message):
    """From a shard to the dispatcher: a height is decided here.

    `root` is the shard's part of the block at the root of the state tree after it.
    """

    height: int
    shard: int
    root: bytes


class RootRequest(Message):
    """To the dispatcher: the state root of a height; 0: the newest one that has one."""

    reply_to: Ref[StateRoot]
    height: int = 0


class StateRoot(Message):
    """From the dispatcher: the state root of a height; empty if it has none, or none any more."""

    height: int
    root: bytes
