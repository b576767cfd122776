"""A shard: keys with all their versions, and the watermarks that say which reads have an answer.

States of a height here: *locked* (its locks are in place), *seen* (all shards have theirs, so nothing below can be
locked any more), *decided* (each of its writes was made or released), *collected* (older versions are gone, queries
below are refused). A height is seen after it is locked, and decided in order.

| message | what holds |
|---|---|
| KVSAcquireLock | L1: one lock a height, repeated without effect; refused once the height is seen (`under_watermark`) |
| UpdateSeenAll | L2: W, the last known timestamp, only goes up; R is the same number, as a label names reads too |
| KVSReadRequest | R1 (see `records`): answered as soon as the version it sees is decided, and remembered until then |
| KVSWrite | W1: a write needs a lock, and happens once. W2: a release takes the lock away |
| QueryRequest | Q1: R1 at the end of a height, beside the order |
| Collect | G1: no version goes that a pending read needs |

Crash points: a shard decides nothing and sends nothing that does not follow from the messages it took, so one that is
made again from its log goes on where it was. A message that is sent to it twice changes nothing the second time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, convert
from msgspec.structs import replace

from engines.model import Arrived, Become, Config, Effects, Family, Map, Note, Ref, Send, Sent, Value, rule
from engines.model.values import from_wire

from .keyspace import DEPTH, SHARDS_MAX, place_of, shard_root
from .merkle import EMPTY_LEAF, Tree, leaf_hash, with_leaves
from .messages import (
    Collect,
    KVSAcquireLock,
    KVSLockAcquired,
    KVSLockRefused,
    KVSRead,
    KVSReadRequest,
    KVSWrite,
    Lock,
    QueryAnswer,
    QueryRefused,
    QueryRequest,
    ReadAnswer,
    ShardRoot,
    UpdateSeenAll,
)
from .records import (
    EMPTY,
    Inquiry,
    Reader,
    Record,
    Version,
    answered,
    asked,
    collected,
    datum_of,
    decided,
    is_answerable,
    is_needed_below,
    locked,
    next_version,
    seen_version,
    value_at,
)

QUERIES_MAX: Final = 1024
"""Queries of heights that are still to come, and queries that wait for one key; one more is refused."""

CROWDED: Final = "too many queries wait"


class Part(Config):
    """Which part of the keys this shard holds: its number, of so many shards (a power of two); and who locks them."""

    dispatcher: Ref[KVSLockAcquired | KVSLockRefused | ShardRoot]
    shard: int = 0
    shards: Annotated[int, Meta(ge=1, le=SHARDS_MAX)] = 1


class Height(Value):
    """A height that is not decided: its timestamps, and how many of its writes are pending here.

    `written` and `read` are the keys that its locks name.
    """

    height: int
    last: int
    pending: int
    written: tuple[bytes, ...]
    read: tuple[bytes, ...]


class Keys(Value):
    """State of a shard.

    `seen`, `decided`, `collected` are heights, `watermark` is the timestamp at the end of `seen`. `heights` are not
    decided yet. `ends` has the last timestamp of each height from `collected` to `seen`, `written` the keys that each
    decided one may have written, and `uncollected` those with a version that a read still needed.
    `blocks` and `places` make the root: the state tree, and the keys at each place.
    """

    seen: int = 0
    watermark: int = 0
    decided: int = 0
    collected: int = 0
    heights: tuple[Height, ...] = ()
    ends: Map[int, int] = Map({0: 0})
    records: Map[bytes, Record] = Map()
    written: Map[int, tuple[bytes, ...]] = Map()
    uncollected: tuple[bytes, ...] = ()
    blocks: Tree = Map()
    places: Map[int, tuple[bytes, ...]] = Map()
    early: tuple[QueryRequest, ...] = ()


ToAnyone: TypeAlias = KVSLockAcquired | KVSLockRefused | KVSRead | QueryAnswer | QueryRefused | ShardRoot
_last: Final[Any] = attrgetter("last")


class _Turn:
    """What a transition makes of the state: changed records, and answers for each executor."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.records: dict[bytes, Record] = {}
        self.reads: dict[Ref[KVSRead], list[ReadAnswer]] = {}
        self.sends: list[Sent[ToAnyone]] = []

    def record(self, key: bytes) -> Record:
        record = self.records.get(key)
        return self.keys.records.get(key, EMPTY) if record is None else record

    def answer(self, key: bytes, after: int, until: int) -> None:
        """Answer the reads of a key, within these timestamps, that have an answer now."""
        before = self.record(key)
        if not before.is_read:
            return
        record, answers = answered(before, self.keys.watermark, after, until)
        if not answers:
            return
        self.records[key] = record
        for read, datum in answers:
            if isinstance(read, Reader):
                self.reads.setdefault(read.executor, []).append(ReadAnswer(read.timestamp, key, datum))
            else:
                self.sends.append(Send(read.reply_to, QueryAnswer(key, read.height, datum)))

    def inquire(self, query: QueryRequest) -> None:
        """Answer a query of a height that is seen, or let it wait in the record of its key."""
        keys, height = self.keys, query.height or self.keys.seen
        timestamp = keys.ends[height] + 1
        record = self.record(query.key)
        version = seen_version(record.versions, timestamp)
        if is_answerable(version, timestamp, keys.watermark):
            self.sends.append(Send(query.reply_to, QueryAnswer(query.key, height, datum_of(version))))
            return
        if len(record.inquiries) >= QUERIES_MAX:
            self.sends.append(Send(query.reply_to, QueryRefused(query.key, height, CROWDED)))
            return
        waiting = sorted((*record.inquiries, Inquiry(timestamp, height, query.reply_to)), key=_inquired)
        self.records[query.key] = replace(record, inquiries=tuple(waiting))

    def effects(self, part: Part) -> Effects[Keys, ToAnyone]:
        """The state and the answers; heights that this decided are closed in order."""
        keys = replace(self.keys, records=_stored(self.keys.records, self.records))
        while keys.heights and keys.heights[0].height == keys.decided + 1 <= keys.seen and not keys.heights[0].pending:
            keys, sent = _closed(keys, keys.heights[0], part)
            self.sends.append(sent)
        reads = [Send(executor, KVSRead(tuple(answers))) for executor, answers in self.reads.items()]
        return [Become(keys), *reads, *self.sends]


_inquired: Final[Any] = attrgetter("timestamp")


def _stored(records: Map[bytes, Record], changed: dict[bytes, Record]) -> Map[bytes, Record]:
    empty = [key for key, record in changed.items() if record.is_empty]
    for key in empty:
        del changed[key]
    if changed:
        records = records.updated(changed)
    return records.without(*empty)


def _closed(keys: Keys, height: Height, part: Part) -> tuple[Keys, Sent[ToAnyone]]:
    """The state with its lowest open height decided, and the root after it."""
    leaves: dict[int, bytes] = {}
    fresh: dict[int, tuple[bytes, ...]] = {}
    for key in height.written:
        place = place_of(key)
        there = fresh[place] if place in fresh else keys.places.get(place, ())
        if key not in there and value_at(keys.records.get(key, EMPTY), height.last) is not None:
            there = fresh[place] = tuple(sorted((*there, key)))
        if there:
            leaves[place] = _leaf(keys.records, there, height.last)
    blocks = with_leaves(keys.blocks, DEPTH, leaves) if leaves else keys.blocks
    after = replace(
        keys,
        decided=height.height,
        heights=keys.heights[1:],
        written=keys.written.set(height.height, height.written),
        blocks=blocks,
        places=keys.places.updated(fresh) if fresh else keys.places,
    )
    root = shard_root(blocks, part.shard, part.shards)
    return after, Send(part.dispatcher, ShardRoot(height.height, part.shard, root))


def _leaf(records: Map[bytes, Record], keys: Iterable[bytes], timestamp: int) -> bytes:
    parts: list[bytes] = []
    for key in keys:
        datum = value_at(records.get(key, EMPTY), timestamp)
        if datum is not None:
            parts += (key, datum)
    return leaf_hash(*parts) if parts else EMPTY_LEAF


Acquire: TypeAlias = Arrived[KVSAcquireLock, Part, Keys]


def is_unlocked(t: Acquire) -> KVSAcquireLock | None:
    """The height is not locked yet, and not seen."""
    height = t.message.height
    if height <= t.env.state.seen or any(one.height == height for one in t.env.state.heights):
        return None
    return t.message


@rule(when=is_unlocked)
def acquire(message: KVSAcquireLock, t: Acquire) -> Effects[Keys, ToAnyone]:
    """State: the locks. Messages: that they are in place; reads that have an answer now. Timers, engines: none."""
    turn = _Turn(t.env.state)
    for lock in message.locks:
        _lock(turn, lock)
    written = [key for lock in message.locks for key in (*lock.will_write_keys, *lock.may_write_keys)]
    read = [key for lock in message.locks for key in (*lock.eager_read_keys, *lock.lazy_read_keys)]
    height = Height(message.height, message.last, len(written), _once(written), _once(read))
    heights = sorted((*t.env.state.heights, height), key=_number)
    turn.keys = replace(t.env.state, heights=tuple(heights))
    for lock in message.locks:
        if lock.timestamp <= turn.keys.watermark + 1:
            for key in lock.eager_read_keys:
                turn.answer(key, lock.timestamp - 1, lock.timestamp)
    acquired = KVSLockAcquired(message.height, message.last, t.config.shard)
    turn.sends.append(Send(t.config.dispatcher, acquired))
    return turn.effects(t.config)


_number: Final[Any] = attrgetter("height")


def _lock(turn: _Turn, lock: Lock) -> None:
    timestamp = lock.timestamp
    readers = {key: Reader(timestamp, lock.executor, True) for key in lock.eager_read_keys}
    readers |= {key: Reader(timestamp, lock.executor, False) for key in lock.lazy_read_keys}
    versions = {key: Version(timestamp) for key in lock.will_write_keys}
    versions |= {key: Version(timestamp, may=True) for key in lock.may_write_keys}
    for key in {**readers, **versions}:
        turn.records[key] = locked(turn.record(key), versions.get(key), readers.get(key))


def _once(keys: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(keys))


@rule(priority=1)
def acquire_again(message: KVSAcquireLock, t: Acquire) -> Effects[Keys, ToAnyone]:
    """Messages: that the locks are in place, or that the height is seen already. State, timers, engines: none."""
    if message.height <= t.env.state.seen:
        return Send(t.config.dispatcher, KVSLockRefused(message.height, t.config.shard))
    return Send(t.config.dispatcher, KVSLockAcquired(message.height, message.last, t.config.shard))


Seen: TypeAlias = Arrived[UpdateSeenAll, Part, Keys]


def is_above(t: Seen) -> UpdateSeenAll | None:
    """The watermark goes up."""
    return t.message if t.message.height > t.env.state.seen else None


@rule(when=is_above)
def see(message: UpdateSeenAll, t: Seen) -> Effects[Keys, ToAnyone]:
    """State: the watermark. Messages: reads and queries that have an answer now; roots. Timers, engines: none."""
    keys = t.env.state
    new = [height for height in keys.heights if keys.seen < height.height <= message.height]
    turn = _Turn(
        replace(
            keys,
            seen=message.height,
            watermark=message.timestamp,
            ends=keys.ends.updated((height.height, height.last) for height in new),
            early=tuple(query for query in keys.early if needed(query) > message.height),
        )
    )
    for height in new:
        for key in height.read:
            turn.answer(key, keys.watermark, message.timestamp + 1)
    for query in keys.early:
        if needed(query) <= message.height:
            turn.inquire(query)
    return turn.effects(t.config)


@rule(priority=1)
def see_again(_message: UpdateSeenAll, _t: Seen) -> Effects[Keys, ToAnyone]:
    """The watermark is there already. State, messages, timers, engines: none."""
    return []


@rule
def ask(message: KVSReadRequest, t: Arrived[KVSReadRequest, Part, Keys]) -> Effects[Keys, ToAnyone]:
    """State: lazy reads wait, or are let go. Messages: those that have an answer. Timers, engines: none."""
    turn = _Turn(t.env.state)
    for read in message.reads:
        record = asked(turn.record(read.key), read.timestamp, read.actual)
        if record is not None:
            turn.records[read.key] = record
            turn.answer(read.key, read.timestamp - 1, read.timestamp)
    return turn.effects(t.config)


@rule
def decide(message: KVSWrite, t: Arrived[KVSWrite, Part, Keys]) -> Effects[Keys, ToAnyone]:
    """State: writes and releases of pending versions. Messages: the reads that waited for them; roots of heights that
    this decides; a note for each write without a lock. Timers, engines: none."""
    turn, notes = _Turn(t.env.state), []
    done: dict[int, int] = {}
    for write in message.writes:
        record = decided(turn.record(write.key), write.timestamp, write.datum)
        if record is None:
            notes.append(Note("write without a lock", timestamp=write.timestamp, key=write.key, by=t.sender))
            continue
        turn.records[write.key] = record
        if record.is_read:
            turn.answer(write.key, write.timestamp, next_version(record, write.timestamp))
        place = bisect_left(turn.keys.heights, write.timestamp, key=_last)
        done[place] = done.get(place, 0) + 1
    heights = list(turn.keys.heights)
    for place, count in done.items():
        heights[place] = replace(heights[place], pending=heights[place].pending - count)
    turn.keys = replace(turn.keys, heights=tuple(heights))
    return [*_listed(turn.effects(t.config)), *notes]


def _listed(effects: Any) -> Sequence[Any]:
    found: Sequence[Any] = effects
    return found


def needed(query: QueryRequest) -> int:
    """The height that a shard must have seen before it answers."""
    return max(query.height, query.at_least)


@rule
def query(message: QueryRequest, t: Arrived[QueryRequest, Part, Keys]) -> Effects[Keys, ToAnyone]:
    """State: the query waits, unless it has an answer. Messages: the answer, or why there is none. Timers, engines:
    none."""
    keys = t.env.state
    if message.height and message.height < keys.collected:
        reason = f"below the collection height {keys.collected}"
        return Send(message.reply_to, QueryRefused(message.key, message.height, reason))
    newest = keys.heights[-1].height if keys.heights else keys.seen
    if not message.waits and needed(message) > max(newest, keys.seen):
        reason = f"not yet: height {needed(message)} is to come; the newest is {max(newest, keys.seen)}"
        return Send(message.reply_to, QueryRefused(message.key, message.height, reason))
    turn = _Turn(keys)
    if needed(message) <= keys.seen:
        turn.inquire(message)
    elif len(keys.early) < QUERIES_MAX:
        turn.keys = replace(keys, early=(*keys.early, message))
    else:
        return Send(message.reply_to, QueryRefused(message.key, message.height, CROWDED))
    return turn.effects(t.config)


Collected: TypeAlias = Arrived[Collect, Part, Keys]


def may_collect(t: Collected) -> Collect | None:
    """The height is decided here, and above what is collected."""
    return t.message if t.env.state.collected < t.message.height <= t.env.state.decided else None


@rule(when=may_collect)
def collect(message: Collect, t: Collected) -> Effects[Keys, ToAnyone]:
    """State: old versions that no read needs are gone. Messages, timers, engines: none."""
    keys = t.env.state
    heights = range(keys.collected, message.height + 1)
    timestamp = keys.ends[message.height]
    changed: dict[bytes, Record] = {}
    kept: list[bytes] = []
    for key in _once((*keys.uncollected, *(key for height in heights for key in keys.written.get(height, ())))):
        before = keys.records.get(key, EMPTY)
        record = collected(before, timestamp)
        if record is not before:
            changed[key] = record
        if is_needed_below(record, timestamp):
            kept.append(key)
    written, ends = keys.written, keys.ends
    for height in heights:
        written = written.without(height)
        ends = ends.without(height) if height < message.height else ends
    return replace(
        keys,
        collected=message.height,
        records=keys.records.updated(changed),
        written=written,
        ends=ends,
        uncollected=tuple(kept),
    )


@rule(priority=1)
def collect_later(_message: Collect, _t: Collected) -> Effects[Keys, ToAnyone]:
    """Collected already, or not decided here. State, messages, timers, engines: none."""
    return []


def migrate(old: dict[str, Any]) -> Keys:
    """The state tree was a binary one, `tree`: this one is made from the records."""
    rest = {name: value for name, value in old.items() if name != "tree"}
    keys: Keys = convert(rest, Keys, dec_hook=from_wire)
    last = keys.ends[keys.decided]
    leaves = {place: _leaf(keys.records, there, last) for place, there in keys.places.items()}
    return replace(keys, blocks=with_leaves(Map(), DEPTH, leaves))


SHARD = Family(
    "shard",
    config=Part,
    state=Keys(),
    accepts=KVSAcquireLock | UpdateSeenAll | KVSReadRequest | KVSWrite | QueryRequest | Collect,
    emits=ToAnyone,
    migrate=migrate,
).rules(acquire, acquire_again, see, see_again, ask, decide, query, collect, collect_later)
