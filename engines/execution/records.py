"""The record of a key: its versions by timestamp, and who waits to read it. Pure; the rules that must hold are here.

A **version** is pending until it is written; a released one is gone, so readers see the version before it. A **reader**
is a transaction with a lock to read, which is answered once; an **inquiry** is a query of a client. Both see what a
transaction at their timestamp would.

R1: a read at ts is answerable if ts <= W + 1 (no lock below ts can come any more) and the greatest version below ts is
missing or has a value. A pending version makes the read wait, whether it *will* or *may* be written.

A change at ts is seen by reads up to the next version alone, so `answered` looks at those and not at all who wait.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import replace

from engines.model import Ref, Value

from .messages import KVSRead, QueryAnswer, QueryRefused


class Version(Value):
    """What a transaction writes to a key; None: pending."""

    timestamp: int
    datum: bytes | None = None
    may: bool = False


class Reader(Value):
    """A transaction that may read a key, its executor, and whether it waits for the value now."""

    timestamp: int
    executor: Ref[KVSRead]
    is_waiting: bool


class Inquiry(Value):
    """A query that waits for the value at a height, that is for what a transaction at `timestamp` would see."""

    timestamp: int
    height: int
    reply_to: Ref[QueryAnswer | QueryRefused]


class Record(Value):
    """A key: versions, readers and inquiries, each in order of timestamps."""

    versions: tuple[Version, ...] = ()
    readers: tuple[Reader, ...] = ()
    inquiries: tuple[Inquiry, ...] = ()

    @property
    def is_read(self) -> bool:
        """Whether anybody waits to read it, or may."""
        return bool(self.readers or self.inquiries)

    @property
    def is_empty(self) -> bool:
        """Whether it says no more than that there is no record."""
        return not (self.versions or self.readers or self.inquiries)


EMPTY: Final = Record()
ABSENT: Final = Version(0, b"")
"""What a read sees where there is no version: a value for the rule, and no value for the reader."""

_at: Final[Callable[[Any], int]] = attrgetter("timestamp")


def seen_version(versions: tuple[Version, ...], timestamp: int) -> Version:
    """The version that a read at `timestamp` sees: the greatest below it, or `ABSENT`."""
    place = bisect_left(versions, timestamp, key=_at)
    return versions[place - 1] if place else ABSENT


def is_answerable(version: Version, timestamp: int, written: int) -> bool:
    """R1, for the version that a read at `timestamp` sees; `written` is the watermark W."""
    return timestamp <= written + 1 and version.datum is not None


def datum_of(version: Version) -> bytes | None:
    """The value of an answerable version; None: absent."""
    return None if version is ABSENT else version.datum


def locked(record: Record, version: Version | None, reader: Reader | None) -> Record:
    """The record with a version and a reader more."""
    versions, readers = record.versions, record.readers
    if version is not None:
        versions = _with(versions, version)
    if reader is not None:
        readers = _with(readers, reader)
    return Record(versions, readers, record.inquiries)


def _with(entries: tuple[Any, ...], entry: Any) -> tuple[Any, ...]:
    if not entries or entries[-1].timestamp < entry.timestamp:
        return (*entries, entry)
    place = bisect_right(entries, entry.timestamp, key=_at)
    return (*entries[:place], entry, *entries[place:])


def find(entries: tuple[Any, ...], timestamp: int) -> int:
    """The place of the entry of a timestamp; -1: there is none."""
    place = bisect_left(entries, timestamp, key=_at)
    return place if place < len(entries) and entries[place].timestamp == timestamp else -1


def decided(record: Record, timestamp: int, datum: bytes | None) -> Record | None:
    """The record after a write, or a release (None). None: there is no lock for it, or it was decided before."""
    versions = record.versions
    place = find(versions, timestamp)
    if place < 0 or versions[place].datum is not None:
        return None
    version = () if datum is None else (Version(timestamp, datum, versions[place].may),)
    return Record((*versions[:place], *version, *versions[place + 1 :]), record.readers, record.inquiries)


def asked(record: Record, timestamp: int, is_actual: bool) -> Record | None:
    """The record after a lazy read was asked for, or let go. None: no such reader is left."""
    readers = record.readers
    place = find(readers, timestamp)
    if place < 0:
        return None
    kept = (replace(readers[place], is_waiting=True),) if is_actual else ()
    return Record(record.versions, (*readers[:place], *kept, *readers[place + 1 :]), record.inquiries)


def answered(
    record: Record, written: int, after: int, until: int
) -> tuple[Record, list[tuple[Reader | Inquiry, bytes | None]]]:
    """The record without the reads that are answerable now, and these with their values.

    Only reads with timestamps above `after` and up to `until` are looked at.
    """
    readers, answers = _answerable(record, record.readers, written, after, until)
    inquiries, more = _answerable(record, record.inquiries, written, after, until) if record.inquiries else ((), ())
    if not answers and not more:
        return record, []
    return Record(record.versions, readers, inquiries), [*answers, *more]


def _answerable(
    record: Record, reads: tuple[Any, ...], written: int, after: int, until: int
) -> tuple[tuple[Any, ...], list[tuple[Any, bytes | None]]]:
    first = bisect_right(reads, after, key=_at)
    last = bisect_right(reads, min(until, written + 1), key=_at)
    if first == last:
        return reads, []
    kept: list[Any] = []
    answers: list[tuple[Any, bytes | None]] = []
    for read in reads[first:last]:
        version = seen_version(record.versions, read.timestamp)
        if getattr(read, "is_waiting", True) and is_answerable(version, read.timestamp, written):
            answers.append((read, datum_of(version)))
        else:
            kept.append(read)
    return (*reads[:first], *kept, *reads[last:]), answers


def next_version(record: Record, timestamp: int) -> int:
    """The timestamp of the version after this timestamp: the last read that a change here can concern."""
    place = bisect_right(record.versions, timestamp, key=_at)
    return record.versions[place].timestamp if place < len(record.versions) else 1 << 62


def value_at(record: Record, timestamp: int) -> bytes | None:
    """The value after all transactions up to a timestamp, all of them decided; None: absent."""
    return datum_of(seen_version(record.versions, timestamp + 1))


def collected(record: Record, timestamp: int) -> Record:
    """G1: without the versions below the latest value up to `timestamp`, but for those that reads still need."""
    versions = record.versions
    latest = bisect_right(versions, timestamp, key=_at) - 1
    while latest >= 0 and versions[latest].datum is None:
        latest -= 1
    if latest <= 0:
        return record
    needed = _needed(versions, (*record.readers, *record.inquiries)) if record.is_read else ()
    kept = [one for one in versions[:latest] if one.datum is None or one.timestamp in needed]
    if len(kept) == latest:
        return record
    return Record((*kept, *versions[latest:]), record.readers, record.inquiries)


def is_needed_below(record: Record, timestamp: int) -> bool:
    """Whether a collected record has more than the latest value up to a timestamp: a read still needs it."""
    return len(record.versions) > 1 and record.versions[1].timestamp <= timestamp


def _needed(versions: tuple[Version, ...], reads: Iterable[Reader | Inquiry]) -> set[int]:
    """The timestamps of what reads see, and of what they will see if the pending versions above are released."""
    needed: set[int] = set()
    for read in reads:
        place = bisect_left(versions, read.timestamp, key=_at) - 1
        while place >= 0 and versions[place].datum is None:
            place -= 1
        if place >= 0:
            needed.add(versions[place].timestamp)
    return needed
