"""The writer of a log. The worker's loop calls, in this order, each cycle:

    frame, turn, record   what belongs to the batch, in the order in which it happened
    append                one write; then heads may move
    sync                  durable: now outputs may leave

One sync a cycle is the group commit: mail that arrives during a sync is the next cycle's batch, so groups grow with the
load, up to the messages of a cycle, and no message waits for others to join it.

States: open; *stopped*, permanently, by the first error of the disk: the reason is kept, every later call raises
`LogStopped`, and nothing is retried, since after a failed sync the pages look clean and are not on the disk. The next
life recovers what is there.

A segment is closed when it is full, between two batches, and by `begin_segment` before a snapshot. In a durable log the
old segment is on the disk before that, and the new one's head before it is used. In any other log nothing is synced
here, because a sync of a whole segment takes as long as half a million transitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import msgspec

from host.live.journal.checksums import pack_of
from host.live.journal.folder import File, Folder
from host.live.journal.log_files import UNDER_CONSTRUCTION, numbers_of, segment_name
from host.live.journal.newest import note_newest
from host.node.journal.batch import LogBatch
from host.node.journal.checksum import Checksum
from host.node.journal.layout import SegmentHead, encode_segment, seal

SEGMENT_BYTES: Final = 64 << 20
"""A larger segment is closed: segments are small enough to archive and remove one by one."""

GONE: Final = "it is not at its place any more"

T = TypeVar("T")


class LogStopped(Exception):
    """The disk failed; this process writes and acknowledges nothing any more."""


class Journal:
    """Mutable, one a slot's worker. Made by `recovery.begin`."""

    def __init__(
        self,
        folder: Folder,
        head: SegmentHead,
        checksum: Checksum,
        clock: Callable[[], int],
        *,
        durable: bool,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """`head` is that of the first segment, whose file `open_segment` makes, or which `go_on` continues."""
        self.is_durable = durable
        self.stopped = ""
        self.is_gone = False
        self.batch = LogBatch(pack_of(head.kind))
        self.frame = self.batch.frame
        self.run = self.batch.run
        self.turn = self.batch.turn
        self.record = self.batch.record
        self.position = head.base
        self.synced = head.synced
        self.chain = head.chain
        self.turns_appended = 0
        self.head = head
        self._folder = folder
        self._checksum = checksum
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._file: File | None = None
        unsynced = numbers_of(folder, ".log") if head.synced < head.base else []
        self._unsynced = dict.fromkeys(unsynced, head.base)

    def append(self) -> None:
        """Write the batch. Nothing of it may be acknowledged, and no head moved, if this raises `LogStopped`."""
        self._check()
        turns = self.batch.turns
        records, count = self.batch.take()
        if not count:
            return
        data = seal(records, count, self.position, self.synced, self.chain if self.is_durable else None, self._checksum)
        if self.is_durable:
            self.chain = data[32:48]
        self._write(data)
        self.turns_appended += turns
        if self.position - self.head.base >= self._segment_bytes:
            self.begin_segment()

    def sync(self) -> None:
        """Everything appended is on the disk when this returns. Raises `LogStopped`."""
        self._check()
        if self._file is not None and self.synced < self.position:
            self._do("fdatasync", self._file.sync)
            if not self.is_durable:
                self._sync_older()
            self.synced = self.position

    def begin_segment(self) -> int:
        """Continue in a new segment; its base. Called between two batches."""
        self.check_there()
        if self.is_durable:
            self.sync()
        if self._file is not None:
            self._file.close()
            if self.synced < self.position:
                self._unsynced[self.head.number] = self.position
        place = {"number": self.head.number + 1, "base": self.position, "synced": self.synced, "chain": self.chain}
        self.head = msgspec.structs.replace(self.head, made_ns=self._clock(), **place)
        self.batch.begin_segment()
        self.open_segment()
        return self.head.base

    def open_segment(self, content: bytes = b"") -> None:
        """Make the file of `head`. `content` are batches carried over from an older segment; these are synced."""
        data = encode_segment(self.head, self._checksum) + content
        name = segment_name(self.head.number)
        if self.is_durable:
            temporary = name + UNDER_CONSTRUCTION
            self._file = self._do("create", lambda: self._folder.create(temporary))
            self._write(data)
            self.sync()
            self._do("rename", lambda: self._folder.rename(temporary, name))
            self._do("fsync of the folder", self._folder.sync)
        else:
            self._file = self._do("create", lambda: self._folder.create(name))
            self._write(data)
        self._do("note", lambda: note_newest(self._folder, self.head, durable=self.is_durable))

    def go_on(self, head: SegmentHead, position: int, synced: int, chain: bytes, names: Mapping[int, str]) -> None:
        """Continue the segment of `head`, where another process of this life of the machine has just stopped writing.

        The writer was made before, with the head of that segment or an earlier one. `names` as the segment numbers
        them. Raises `LogStopped`.
        """
        if synced < head.base:
            self._unsynced |= dict.fromkeys(range(self.head.number, head.number), head.base)
        self.head, self.position, self.synced, self.chain = head, position, synced, chain
        self.batch.names.update((name, number) for number, name in names.items())
        self._file = self._do("open", lambda: self._folder.open(segment_name(head.number)))

    def check_there(self) -> None:
        """Raise `LogStopped`, with `is_gone` set, if the segment being written is no longer the file at its place."""
        self._check()
        file, name = self._file, segment_name(self.head.number)
        if file is not None and not self._do("stat", lambda: self._folder.has(name, file)):
            self.is_gone = True
            self.stop(f"{name}: {GONE}")
            raise LogStopped(self.stopped)

    def on_disk(self, position: int) -> None:
        """Note that another process synced the log up to `position`."""
        self.synced = max(self.synced, position)
        self._unsynced = {number: end for number, end in self._unsynced.items() if end > position}

    def stop(self, reason: str) -> None:
        """Stop the writer: the disk cannot be trusted any more."""
        self.stopped = self.stopped or reason

    def close(self) -> None:
        """Close normally: append the batch, sync, and record the close. Raises `LogStopped`."""
        self.append()
        self.sync()
        self.batch.closed()
        self.append()
        self.sync()
        if self._file is not None:
            self._file.close()
        self.stopped = "the journal is closed"

    def _sync_older(self) -> None:
        """Sync segments of this life or an earlier one that were left unsynced, and their names."""
        for number in self._unsynced:
            file = self._do("open", partial(self._opened, segment_name(number)))
            if file is not None:
                self._do("fdatasync", file.sync)
                file.close()
        self._do("fsync of the folder", self._folder.sync)
        self._unsynced.clear()

    def _opened(self, name: str) -> File | None:
        """None: a child has archived it, for it lies before a snapshot, and so is on the disk."""
        try:
            return self._folder.open(name)
        except FileNotFoundError:
            return None

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        file = self._file
        written = self._do("write", lambda: file.append(data))
        if written != len(data):
            self.stop(f"write: {written} of {len(data)} bytes")
            raise LogStopped(self.stopped)
        self.position += written

    def _do(self, what: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except OSError as error:
            self.stop(f"{what} of {segment_name(self.head.number)}: {error.strerror or error}")
            raise LogStopped(self.stopped) from error

    def _check(self) -> None:
        if self.stopped:
            raise LogStopped(self.stopped)
