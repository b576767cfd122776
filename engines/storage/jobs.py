"""The state of a chunk store: its jobs, each waiting for one answer of a device."""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec.structs import replace

from engines.model import Map, Ref, Value
from engines.storage.requests import (
    ChunkCommitments,
    ChunkContent,
    ChunkExists,
    ChunkFailed,
    ChunkNotFound,
    ChunkStored,
    Collected,
    Marked,
    Pins,
)

JOBS_MAX: Final = 256
"""Requests that are worked on at once; more are refused as `busy`."""


class Kept(Value):
    """What the index has about a chunk: where it leads, how large it is, until when it is of use, when it was put."""

    children: tuple[bytes, ...]
    size_bytes: int
    expiry_ns: int
    put_ns: int


class Putting(Value, tag=True):
    """The file store has not answered yet."""

    reply: Ref[ChunkStored | ChunkExists | ChunkFailed]
    request: int
    since_ns: int
    kept: Kept


class Indexing(Value, tag=True):
    """The index has not answered yet: the file is there, and `exists`: was there before."""

    reply: Ref[ChunkStored | ChunkExists | ChunkFailed]
    request: int
    since_ns: int
    address: bytes
    exists: bool


class Wanted(Value):
    """A chunk that is sent once its turn comes, with those below it down to a depth."""

    address: bytes
    depth: int


class Getting(Value, tag=True):
    """The file store has not answered yet. `depth` is that of the chunk it is asked for, `ahead` what comes after it.

    `below`: how many chunks below the first were asked for or are ahead.
    """

    reply: Ref[ChunkContent | ChunkCommitments | ChunkNotFound | ChunkFailed]
    request: int
    since_ns: int
    depth: int = 0
    ahead: tuple[Wanted, ...] = ()
    below: int = 0


class Asking(Value, tag=True):
    """The index has not answered yet who committed to a chunk that is not here."""

    reply: Ref[ChunkContent | ChunkCommitments | ChunkNotFound | ChunkFailed]
    request: int
    since_ns: int
    address: bytes


class Checking(Value, tag=True):
    """The index has not answered yet whether a chunk is here, before a mark on it is made: `key` with `value`."""

    reply: Ref[Marked | ChunkNotFound | ChunkFailed]
    request: int
    since_ns: int
    address: bytes
    key: bytes
    value: bytes
    expiry_ns: int


class Marking(Value, tag=True):
    """The index has not answered yet that a mark is made, or gone."""

    reply: Ref[Marked | ChunkNotFound | ChunkFailed]
    request: int
    since_ns: int
    address: bytes


class Listing(Value, tag=True):
    """The index has not answered yet which pins there are."""

    reply: Ref[Pins | ChunkFailed]
    request: int
    since_ns: int


class Scanning(Value, tag=True):
    """A collection that reads the index: what it found so far."""

    reply: Ref[Collected | ChunkFailed]
    request: int
    since_ns: int
    chunks: Map[bytes, Kept] = Map()
    roots: tuple[bytes, ...] = ()
    lapsed: tuple[bytes, ...] = ()
    leaving: tuple[bytes, ...] = ()


class Sweeping(Value, tag=True):
    """A collection that deletes, and what it has done.

    `left`: keys of the index still to go. `next`: chunks whose files go once the index has changed. `out`: those whose
    files are being deleted. `gone`: those whose `d` goes with the next changes.
    """

    reply: Ref[Collected | ChunkFailed]
    request: int
    since_ns: int
    kept: int
    left: tuple[bytes, ...]
    next: tuple[bytes, ...] = ()
    out: tuple[bytes, ...] = ()
    gone: tuple[bytes, ...] = ()
    dropped: int = 0
    dropped_bytes: int = 0


Job: TypeAlias = Putting | Indexing | Getting | Asking | Checking | Marking | Listing | Scanning | Sweeping


class Jobs(Value):
    """State: jobs by number, the last number, and the chunks that were put since the collection under way began."""

    jobs: Map[int, Putting | Indexing | Getting | Asking | Checking | Marking | Listing | Scanning | Sweeping] = Map()
    last: int = 0
    put: Map[bytes, bool] = Map()

    def begun(self, job: Job, now_ns: int) -> tuple[int, Jobs]:
        """The number of a new job. Numbers follow the clock, so an answer to an earlier birth fits no job."""
        number = max(self.last + 1, now_ns)
        return number, replace(self, jobs=self.jobs.set(number, job), last=number)

    def changed(self, number: int, job: Job) -> Jobs:
        """A job waits for another answer."""
        return replace(self, jobs=self.jobs.set(number, job))

    def done(self, number: int) -> Jobs:
        """A job is over; a collection forgets what was put."""
        over = isinstance(self.jobs[number], Scanning | Sweeping)
        return replace(self, jobs=self.jobs.without(number), put=Map() if over else self.put)

    @property
    def collection(self) -> Scanning | Sweeping | None:
        """The collection under way."""
        return next((job for job in self.jobs.values() if isinstance(job, Scanning | Sweeping)), None)
