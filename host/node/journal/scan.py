"""Reading a log: its batches in order, and a verdict on the first fault.

A fault at position p is *torn*, and the log ends at p, if it may be the trace of a stop. That is so if no readable head
behind p claims that p was on the disk, and either the machine was restarted since, or the last file simply ends
within what was being written. Every other fault is *damaged*. A file shorter than a segment's head was never
written to: a full disk refused its head. It is no segment, so the file before it may be the last one.

The awkward case: a segment begins where an earlier reader stopped, maybe in the middle of the older one's bytes. Those
bytes are not read; but what they claim about the disk was true when it was written, and is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from host.node.journal.checksum import Checksum
from host.node.journal.layout import (
    BATCH,
    CHAINED,
    MAGIC_BATCH,
    NO_CHAIN,
    SEGMENT,
    BatchHead,
    SegmentHead,
    Wrong,
    chain_of,
    decode_batch,
    decode_segment,
    records_in,
)

_MAGIC: Final = MAGIC_BATCH.to_bytes(4, "little")

ADVICE: Final = "enginehost journal verify lists the choices"
"""For whoever meets damage."""

Records = list[tuple[int, int, memoryview]]
"""The records of a batch: kind, number of the engine's name, body."""


class SegmentData(msgspec.Struct, frozen=True):
    """A segment file: its name for people, the number in it, its content."""

    name: str
    number: int
    data: memoryview


class Cut(msgspec.Struct, frozen=True):
    """A torn end. The log ends at `position`, at `offset` of file `segment`; the `bytes` behind it are not read."""

    segment: str
    offset: int
    position: int
    bytes: int
    finding: str
    later_segments: tuple[str, ...] = ()


class Damaged(Exception):
    """A log differs from what was written. Nothing was changed, and nothing was concluded from it."""

    def __init__(self, segment: str, offset: int, finding: str) -> None:
        super().__init__(f"{segment} at offset {offset}: {finding}")
        self.segment = segment
        self.offset = offset
        self.finding = finding


class Found(msgspec.Struct, frozen=True):
    """A batch with its records. `begins`: names are numbered anew before it; `kind` is the checksum's, `version` the
    format of the segment."""

    segment: str
    offset: int
    head: BatchHead
    records: Records
    begins: bool
    kind: int
    version: int


class Scan:
    """One pass over the segments of a log, from the one that begins at `start` on (None: from the first).

    Once `batches` is exhausted: `end` is the end of the log, `synced` the position known to be on the disk, `chain` the
    hash at the end, `cut` the torn end if there is one, `first` and `last` the heads of the first and the last
    segment that were read.
    """

    def __init__(
        self,
        segments: Sequence[SegmentData],
        checksums: dict[int, Checksum],
        boot_id: bytes | None,
        start: int | None = None,
    ) -> None:
        self._segments = segments
        self._checksums = checksums
        self._boot_id = boot_id
        self.start = start
        self.end = start or 0
        self.synced = 0
        self.chain = NO_CHAIN
        self.cut: Cut | None = None
        self.first: SegmentHead | None = None
        self.last: SegmentHead | None = None

    def batches(self) -> Iterator[Found]:
        """The batches in order. Raises `Damaged`, and `Newer` of the layout."""
        return self._from(0)

    def more(self, segments: Sequence[SegmentData]) -> Iterator[Found]:
        """The batches that were written since, of a log with a writer. `segments` begin with the one read last.

        What looks torn may be under way, and is read once it is whole. Raises as `batches`.
        """
        last = self.last
        assert last is not None, "nothing was read yet"
        self._segments, self.cut = segments, None
        following = self._head(segments[1]) if len(segments) > 1 else None
        limit = following.base if isinstance(following, SegmentHead) else None
        yield from self._in_segment(0, last, limit, self.end - last.base)
        if self.cut is None:
            yield from self._from(1)

    def _from(self, first: int) -> Iterator[Found]:
        """The batches of the segments from this one on."""
        heads = [self._head(segment) for segment in self._segments]
        self._check_heads(heads)
        for index, head in enumerate(heads[first:], first):
            limit = self._limit(heads, index)
            if self._is_before_start(index, head, limit):
                continue
            if not self._enters(index, head):
                return
            assert isinstance(head, SegmentHead)
            yield from self._in_segment(index, head, limit, SEGMENT.size)
            if self.cut is not None:
                return

    def _is_before_start(self, index: int, head: SegmentHead | str, limit: int | None) -> bool:
        """Whether a snapshot makes this segment needless, as far as is known."""
        if self.start is None or self.last is not None:
            return False
        if limit is not None:
            return limit <= self.start
        if not isinstance(head, SegmentHead):
            return False
        return head.base < self.start and head.base + len(self._segments[index].data) <= self.start

    def _limit(self, heads: list[SegmentHead | str], index: int) -> int | None:
        """Where the segment behind this one begins; None if there is none, or its head cannot be read."""
        following = heads[index + 1] if index + 1 < len(heads) else None
        return following.base if isinstance(following, SegmentHead) else None

    def _enters(self, index: int, head: SegmentHead | str) -> bool:
        """Go on with this segment; False: the log ends before it. Raises `Damaged`."""
        if not isinstance(head, SegmentHead):
            self._judge(index, 0, head)
            return False
        is_first = self.last is None
        if head.base > self.end and (not is_first or self.start is not None):
            self._judge(index, 0, f"positions {self.end} to {head.base} are missing before it")
            return False
        if is_first and self.start is not None and head.base < self.start:
            raise Damaged(
                self._segments[index].name, 24, f"no segment begins at {self.start}, where the snapshot was taken"
            )
        if not is_first and head.chain != self.chain:
            raise Damaged(self._segments[index].name, 80, "its chain is not that of the segment before")
        self.first = self.first or head
        self.last, self.chain, self.end = head, head.chain, head.base + SEGMENT.size
        self.synced = max(self.synced, head.synced)
        return True

    def _head(self, segment: SegmentData) -> SegmentHead | str:
        try:
            return decode_segment(segment.data, self._checksums)
        except Wrong as wrong:
            return str(wrong)

    def _check_heads(self, heads: list[SegmentHead | str]) -> None:
        """Raise `Damaged` for sound heads that cannot be where they are: no stop does that."""
        before: SegmentHead | None = None
        for segment, head in zip(self._segments, heads, strict=True):
            if not isinstance(head, SegmentHead):
                continue
            if head.number != segment.number:
                raise Damaged(segment.name, 16, f"this is segment {head.number}")
            if head.synced > head.base:
                raise Damaged(segment.name, 32, f"claims position {head.synced}, and begins at {head.base}")
            if before is not None and head.log_id != before.log_id:
                raise Damaged(segment.name, 48, "this segment is of another log")
            if before is not None and head.base < before.base + SEGMENT.size:
                raise Damaged(segment.name, 24, f"begins at position {head.base}, within an earlier segment")
            before = head

    def _in_segment(self, index: int, head: SegmentHead, limit: int | None, at: int) -> Iterator[Found]:
        segment = self._segments[index]
        data, checksum = segment.data, self._checksums[head.kind]
        begins = at == SEGMENT.size
        end = len(data) if limit is None else min(len(data), limit - head.base)
        while at < end:
            try:
                batch, records = self._batch(data, at, head.base, checksum)
            except Wrong as wrong:
                self._judge(index, at, str(wrong))
                return
            if at + batch.size > end:
                raise Damaged(segment.name, at, f"the next segment begins within this batch, at position {limit}")
            yield Found(segment.name, at, batch, records, begins, head.kind, head.version)
            at, begins = at + batch.size, False
            self.end = head.base + at
            self.synced = max(self.synced, batch.synced)
            if batch.flags & CHAINED:
                self.chain = batch.chain

    def _batch(self, data: memoryview, at: int, base: int, checksum: Checksum) -> tuple[BatchHead, Records]:
        batch = decode_batch(data, at, checksum)
        if batch.position != base + at or batch.synced > batch.position:
            raise Wrong(f"a batch of position {batch.position} at position {base + at}")
        if at + batch.size > len(data):
            raise Wrong(f"a batch of {batch.size} bytes, of which {len(data) - at} are there")
        body = data[at + BATCH.size : at + batch.size]
        if batch.flags & CHAINED and chain_of(self.chain, batch.position, batch.synced, body) != batch.chain:
            raise Wrong("the hash of the batch is not chained to the one before")
        if not batch.flags & CHAINED and batch.chain != NO_CHAIN:
            raise Wrong("a batch that is not chained has a hash")
        return batch, list(records_in(body, batch.count, checksum))

    def _judge(self, index: int, at: int, finding: str) -> None:
        """Decide on a fault: torn, and the log ends here; or raise `Damaged`."""
        segment = self._segments[index]
        claimed = max([self.synced, *self._claims(index, at)])
        if claimed > self.end:
            raise Damaged(segment.name, at, f"{finding}; what follows claims that position {self.end} was on the disk")
        is_unfinished = self._is_last_begun(index) and self._ends_early(index, at)
        if not is_unfinished and self._boot_id is not None and self._boot(index) == self._boot_id:
            raise Damaged(segment.name, at, f"{finding}; no power was lost since it was written")
        later = self._segments[index + 1 :]
        left = len(segment.data) - at + sum(len(one.data) for one in later)
        self.cut = Cut(segment.name, at, self.end, left, finding, tuple(one.name for one in later))

    def _is_last_begun(self, index: int) -> bool:
        """Whether no file behind this one has a whole head."""
        return all(len(segment.data) < SEGMENT.size for segment in self._segments[index + 1 :])

    def _boot(self, index: int) -> bytes:
        """The boot a segment was written in; if its head cannot be read, that of the nearest readable one before it."""
        for segment in self._segments[index::-1]:
            head = self._head(segment)
            if isinstance(head, SegmentHead):
                return head.boot_id
        return b""

    def _ends_early(self, index: int, at: int) -> bool:
        """Whether the file ends within the head or batch that begins at `at`."""
        data = self._segments[index].data
        if at == 0:
            return len(data) < SEGMENT.size
        if len(data) - at < BATCH.size:
            return True
        for checksum in self._checksums.values():
            try:
                return at + decode_batch(data, at, checksum).size > len(data)
            except Wrong:
                continue
        return False

    def _claims(self, index: int, at: int) -> Iterator[int]:
        """The positions that sound heads behind a fault claim were on the disk."""
        for place in range(index, len(self._segments)):
            data = self._segments[place].data
            if place > index:
                head = self._head(self._segments[place])
                if isinstance(head, SegmentHead):
                    yield head.synced
                    at = SEGMENT.size
                else:
                    at = 0
            yield from self._claims_in(data, at)

    def _claims_in(self, data: memoryview, at: int) -> Iterator[int]:
        content = bytes(data[at:])
        found = content.find(_MAGIC)
        while found >= 0:
            if (at + found) % 8 == 0:
                for checksum in self._checksums.values():
                    try:
                        yield decode_batch(data, at + found, checksum).synced
                        break
                    except Wrong:
                        continue
            found = content.find(_MAGIC, found + 1)
