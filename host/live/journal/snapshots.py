"""Snapshots of a log, which bound a recovery; and the archiving of the segments before them.

States: idle; *running* (a child writes one; at most one at a time). A snapshot is taken between two batches, at the
place where a new segment begins. The child of a single-threaded worker keeps the state of that moment for as long as it
needs it:

    1 it syncs the segments before that place: a snapshot never holds more than the log
    2 writes a temporary file, syncs it, reads it again and compares
    3 renames it, and syncs the folder
    4 archives, which takes longer the more history there is, and exits

Crash points: before 3 there is a file that is never read; after 3 the snapshot is in force, and what 4 missed happens
after the next one. A failure of 1 means that the disk did not keep what was written: the writer stops. A failure of 2,
3 or 4 is reported, and the next snapshot is tried when it is due.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from host.live.inspection.child import begin_child
from host.live.journal import log_files
from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder, sync_files, write_whole
from host.live.journal.writer import Journal
from host.live.lifeline import die_with
from host.node.journal import retention
from host.node.journal.layout import SEGMENT, Newer, SegmentHead, Wrong, decode_segment
from host.node.journal.replay import LogState
from host.node.journal.snapshot_file import encode_snapshot

_REASON_CHARS: Final = 500

NICE: Final = 10
"""Of the child: it encodes a whole state, while messages wait for the processor."""


class Unsynced(OSError):
    """The segments before a snapshot could not be synced."""


class SnapshotResult(msgspec.Struct, frozen=True):
    """The result of a snapshot. `reason` "": it is in force. `is_fatal`: the log before it is not on the disk.

    `archiving` is why old segments stay, if the disk refused to move them; the next snapshot tries again.
    `oldest_ns` is when the oldest segment that is left was made.
    """

    position: int
    reason: str = ""
    is_fatal: bool = False
    archiving: str = ""
    oldest_ns: int = 0


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(SnapshotResult).decode


class Snapshots:
    """Mutable, one a writer."""

    def __init__(
        self,
        folder: Folder,
        journal: Journal,
        clock: Callable[[], int],
        retain_bytes: int = retention.RETAIN_BYTES,
        retain_ns: int = retention.RETAIN_NS,
        turns_behind: int = 0,
        first_after_ns: int = 0,
    ) -> None:
        """`turns_behind`: those a recovery ran again; counting them bounds a log even if its writers keep dying.
        `first_after_ns`: no snapshot is due before that."""
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._bounds = retain_bytes, retain_ns
        self._running: tuple[int, int, int] | None = None
        self._heads: dict[int, SegmentHead] = {}
        self._at_turns = journal.turns_appended - turns_behind
        self._at_position = max([0, *log_files.numbers_of(folder, ".snap")])
        self._at_ns = clock() - retention.SNAPSHOT_EVERY_NS + first_after_ns

    @property
    def is_due(self) -> bool:
        """Whether enough turns or bytes were written since the last snapshot, and that is long enough ago."""
        turns = self._journal.turns_appended - self._at_turns
        log_bytes = self._journal.position - self._at_position
        if turns < retention.SNAPSHOT_TURNS and log_bytes < retention.SNAPSHOT_BYTES:
            return False  # in nearly every cycle, and without a look at the clock
        return self._running is None and self._clock() - self._at_ns >= retention.SNAPSHOT_EVERY_NS

    @property
    def is_running(self) -> bool:
        """Whether a child is writing a snapshot."""
        return self._running is not None

    def start(self, state: Callable[[], LogState], lock: int = -1) -> int:
        """Begin a segment and fork a child that writes what `state` returns; a descriptor that is readable at its end.

        The child has the lock of the log, too (a descriptor): nobody opens the log while it archives. Called between
        two batches, in a process of one thread, while nothing of a batch waits. Raises `LogStopped`, OSError.
        """
        head = self._begin()
        attempt = partial(self._attempt, head, state)
        pid, reading = begin_child(partial(_run_as_child, attempt, head.base, os.getpid()), lock)
        self._running = (pid, reading, head.base)
        return reading

    def poll(self) -> SnapshotResult | None:
        """The result of the snapshot that was started, once it is known. Never blocks."""
        if self._running is None:
            return None
        pid, reading, position = self._running
        if os.waitpid(pid, os.WNOHANG)[0] == 0:
            return None
        self._running = None
        result = os.read(reading, select.PIPE_BUF)
        os.close(reading)
        died = SnapshotResult(position, "the process that wrote it died")
        return self._ended(_decode(result) if result else died)

    def take(self, state: LogState) -> SnapshotResult:
        """Write a snapshot in this process, for one with several threads, or whose log is handed over. Blocks.

        Raises `LogStopped`.
        """
        head = self._begin()
        return self._ended(self._attempt(head, lambda: state))

    def kill(self) -> None:
        """Kill the child that writes a snapshot, and do not wait for it; `abandon` follows, or this process's end."""
        if self._running is not None:
            os.kill(self._running[0], signal.SIGKILL)

    def abandon(self) -> None:
        """Kill the child that writes a snapshot: its file stays under construction, or is whole."""
        if self._running is not None:
            pid, reading, _ = self._running
            self._running = None
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reading)

    def _begin(self) -> SegmentHead:
        assert self._running is None
        self._journal.append()  # acknowledgements that the last append brought about
        self._journal.begin_segment()
        self._at_turns, self._at_ns = self._journal.turns_appended, self._clock()
        return self._journal.head

    def _attempt(self, head: SegmentHead, state: Callable[[], LogState]) -> SnapshotResult:
        """Write the snapshot, and archive. Changes nothing here but what is known of heads."""
        try:
            write_snapshot(self._folder, head, state())
        except Unsynced as error:
            return SnapshotResult(head.base, f"sync before the snapshot: {error.strerror}", is_fatal=True)
        except (OSError, Wrong) as error:
            return SnapshotResult(head.base, str(error)[:_REASON_CHARS])
        try:
            return SnapshotResult(head.base, oldest_ns=archive(self._folder, self._clock(), *self._bounds, self._heads))
        except OSError as error:
            return SnapshotResult(head.base, archiving=str(error)[:_REASON_CHARS])

    def _ended(self, result: SnapshotResult) -> SnapshotResult:
        if not result.reason:
            self._at_position = result.position
            self._journal.on_disk(result.position)
        elif result.is_fatal:
            self._journal.stop(result.reason)
        return result


def write_snapshot(folder: Folder, head: SegmentHead, state: LogState) -> None:
    """Write the state of the log where the segment of `head` begins. Raises `Unsynced`, OSError, `Wrong`.

    A failed write leaves no file behind: a full disk needs the room.
    """
    _sync_before(folder, head)
    data = encode_snapshot(head.base, head.log_id, state, head.kind, checksums()[head.kind])
    name = log_files.snapshot_name(head.base)
    temporary = name + log_files.UNDER_CONSTRUCTION
    for left in folder.names():
        if left.endswith(log_files.SNAPSHOT_UNDER_CONSTRUCTION):
            folder.remove(left)  # of a child that was killed
    try:
        write_whole(folder, temporary, data)
        if folder.read(temporary) != data:
            raise Wrong("the snapshot is read as other bytes than were written")
        folder.rename(temporary, name)
    except (OSError, Wrong):
        with suppress(OSError):
            folder.remove(temporary)
        raise
    folder.sync()


def archive(
    folder: Folder,
    now_ns: int,
    bytes_max: int = retention.RETAIN_BYTES,
    age_ns_max: int = retention.RETAIN_NS,
    known: dict[int, SegmentHead] | None = None,
) -> int:
    """Move segments that no recovery needs to history, and remove history beyond the bounds. Returns when the oldest
    segment that is left was made. Raises OSError.

    `known` holds the heads read before, by number, and gets the others: there may be thousands.
    """
    found = _extents(folder, {} if known is None else known)
    live = [segment for name, segment in found if name.endswith(".log")]
    archived = [segment for name, segment in found if name.endswith(".arc")]
    todo = retention.plan(live, archived, log_files.numbers_of(folder, ".snap"), now_ns, bytes_max, age_ns_max)
    for number in todo.archive:
        folder.rename(log_files.segment_name(number), log_files.segment_name(number, "arc"))
    if todo.archive:
        folder.sync()
    for number in todo.remove:
        folder.remove(log_files.segment_name(number, "arc"))
    for position in todo.forget:
        folder.remove(log_files.snapshot_name(position))
    return min((segment.made_ns for _, segment in found if segment.number not in todo.remove), default=0)


def _extents(folder: Folder, known: dict[int, SegmentHead]) -> list[tuple[str, retention.Segment]]:
    """The segments with the positions they cover; one with a damaged head is left out, and stays.

    `known` gets the heads of those that are there, and only these.
    """
    heads: list[tuple[str, SegmentHead]] = []
    names = log_files.segment_names(folder)
    for number in known.keys() - {number for _, number in names}:
        del known[number]
    for name, number in names:
        try:
            if number not in known:
                known[number] = decode_segment(folder.head(name, SEGMENT.size)[0], checksums())
        except (Wrong, Newer):
            continue
        heads.append((name, known[number]))
    if not heads:
        return []
    ends = [head.base for _, head in heads[1:]]
    ends.append(heads[-1][1].base + folder.head(heads[-1][0], 0)[1])
    return [
        (name, retention.Segment(head.number, head.base, end, head.made_ns))
        for (name, head), end in zip(heads, ends, strict=True)
    ]


def _sync_before(folder: Folder, head: SegmentHead) -> None:
    if head.synced >= head.base:
        return
    before = (number for number in log_files.numbers_of(folder, ".log") if number <= head.number)
    try:
        sync_files(folder, map(log_files.segment_name, before))
    except OSError as error:
        raise Unsynced(error.errno, error.strerror) from error


def _run_as_child(attempt: Callable[[], SnapshotResult], position: int, parent: int, writing: int) -> None:
    """The work of the child, which touches no lane."""
    die_with(parent)
    os.nice(NICE)
    try:
        result = attempt()
    except BaseException as error:
        result = SnapshotResult(position, f"{type(error).__name__}: {error}"[:_REASON_CHARS])
    os.write(writing, _encode(result))
