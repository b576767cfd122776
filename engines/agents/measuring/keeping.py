"""What measurement keeps on the disk, in a key-value store: rollups that are closed, and events in blocks.

| key | value |
|---|---|
| `r`, code of the length, begin (8 bytes), digest of the series (16 bytes) | a rollup with its bucket |
| `e`, time of the first event (8 bytes), number of the block (8 bytes) | events |

Keys are in the order of time, so what is too old is at the front. A write that was not confirmed is made again: it has
the same key and value. What cannot be written, since the disk is full, waits up to `WAITING_MAX`; beyond it the oldest
are lost, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from engines.model import Map, Value, encode
from engines.model.values import Decoder

from ..messages import Happened
from .rollups import DAY_NS, HOUR_NS, KEPT_NS, MINUTE_NS, Period, Rollup

EVENTS_KEPT_NS: Final = 7 * DAY_NS
WAITING_MAX: Final = 20_000
WRITE_MAX: Final = 500
BLOCK_MAX: Final = 2_000
"""So many events are written, without waiting for the minute."""

BLOCK_BYTES_MAX: Final = 512 << 10
"""Of a block of more than one event: half of what the store takes."""

CODES: Final = {MINUTE_NS: b"m", HOUR_NS: b"h", DAY_NS: b"y"}
PREFIXES: Final = (*(b"r" + CODES[length] for length in KEPT_NS), b"e")


class Kept(Value):
    """A rollup on the disk."""

    bucket: Period
    rollup: Rollup


class Block(Value):
    """Events on the disk."""

    events: tuple[Happened, ...]


class Shelf(Value):
    """What waits to be written: entries by key; those `under_way`, of the write with number `request`; and events of
    the next block. The newest of these, `uncounted` of them, are in no rollup yet; some were counted at `counted_ns`.
    `sweep` is the place of the prefix whose old entries are deleted next.
    """

    waiting: Map[bytes, bytes] = Map()
    under_way: tuple[bytes, ...] = ()
    request: int = 0
    events: Map[int, Happened] = Map()
    blocks: int = 0
    lost: int = 0
    sweep: int = 0
    uncounted: int = 0
    counted_ns: int = 0

    def with_events(self, events: Sequence[Happened]) -> Shelf:
        """With more events, which are not counted yet."""
        after = self.events.updated(enumerate(events, len(self.events)))
        return replace(self, events=after, uncounted=self.uncounted + len(events))

    def counted(self, now_ns: int) -> tuple[Shelf, tuple[Happened, ...]]:
        """With all events counted; and those that were not."""
        events = self.events.values()[len(self.events) - self.uncounted :]
        return replace(self, uncounted=0, counted_ns=now_ns), events

    def with_block(self) -> Shelf:
        """With the events so far, which are counted, to be written."""
        if not self.events:
            return self
        blocks = _blocks(self.events.values())
        keys = (b"e" + _number(time_ns) + _number(number) for number, (time_ns, _) in enumerate(blocks, self.blocks))
        after = replace(self, events=Map(), blocks=self.blocks + len(blocks))
        return after.with_entries(zip(keys, (data for _, data in blocks), strict=True))

    def with_entries(self, entries: Iterable[tuple[bytes, bytes]]) -> Shelf:
        """With more to be written."""
        waiting, lost = self.waiting.updated(entries), self.lost
        if len(waiting) > WAITING_MAX:
            for key in waiting.keys()[: len(waiting) - WAITING_MAX]:
                waiting, lost = waiting.without(key), lost + 1
        return replace(self, waiting=waiting, lost=lost)

    def written(self, request: int) -> Shelf:
        """Without what the write with this number wrote."""
        if request != self.request:
            return self
        waiting = self.waiting
        for key in self.under_way:
            waiting = waiting.without(key)
        return replace(self, waiting=waiting, under_way=())


def _blocks(events: tuple[Happened, ...]) -> list[tuple[int, bytes]]:
    """Events as blocks, each with the time of its first one."""
    data = encode(Block(events))
    if len(data) <= BLOCK_BYTES_MAX or len(events) == 1:
        return [(min(one.time_ns for one in events), data)]
    half = len(events) // 2
    return [*_blocks(events[:half]), *_blocks(events[half:])]


def entry_of(bucket: Period, rollup: Rollup) -> tuple[bytes, bytes]:
    """Key and value of a rollup."""
    digest = blake2b(encode(bucket.series), digest_size=16).digest()
    return b"r" + CODES[bucket.length_ns] + _number(bucket.begin_ns) + digest, encode(Kept(bucket, rollup))


def is_too_old(key: bytes, now_ns: int) -> bool:
    """Whether an entry is kept no longer. What is none of ours stays."""
    if key[:1] == b"e":
        return int.from_bytes(key[1:9], "big") < now_ns - EVENTS_KEPT_NS
    length_ns = next((length for length, code in CODES.items() if b"r" + code == key[:2]), None)
    return length_ns is not None and int.from_bytes(key[2:10], "big") < now_ns - KEPT_NS[length_ns]


read_kept: Final = Decoder[Kept](Kept).decode
read_block: Final = Decoder[Block](Block).decode


def _number(value: int) -> bytes:
    return max(0, value).to_bytes(8, "big")
