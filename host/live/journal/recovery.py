"""From the files of a log to its engines, and to a writer that continues the log.

`recover` reads and changes nothing. `begin` writes: it removes files under construction, sets aside segments after a
torn end, and opens a new segment where the log ends. In a durable log the batches not known to be on the disk are
written again, into that segment, before it gets its name.

Crash points of `begin`: each step leaves a log that recovers to the same engines. Segments are set aside from the last
to the first, so the rest is torn at the same place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Any, Final, NamedTuple

import msgspec

from engines.model import AdoptError, Declaration
from host.live.journal.checksums import checksums, kind_written
from host.live.journal.folder import Folder, sync_files
from host.live.journal.frames import read_frame
from host.live.journal.log_files import (
    CUT,
    UNDER_CONSTRUCTION,
    Trusted,
    newest_snapshot,
    numbers_of,
    segment_name,
    segments_of,
    start_of,
)
from host.live.journal.newest import refuse_missing
from host.live.journal.writer import SEGMENT_BYTES, Journal
from host.node.journal.batch import LogBatch
from host.node.journal.checking import Diverged
from host.node.journal.layout import CHAINED, NO_CHAIN, SEGMENT, VERSION, SegmentHead, Wrong, decode_segment, seal
from host.node.journal.old_rules import FORMAT_WITH_LAW, Formed, Formless, form
from host.node.journal.records import Life, RecordKind
from host.node.journal.replay import Replay, lived_in
from host.node.journal.scan import Cut, Damaged, Found, Scan
from host.node.journaled.revival import LogContent
from host.node.snapshot import Families

LOG_ID_BYTES: Final = 16
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
LOST: Final = "history-changed"
"""A file that marks a log as changed by a command: every epoch rises. Removed once a writer has recorded that."""


REFUSALS: Final = (Diverged, AdoptError, msgspec.ValidationError, ValueError)
"""Errors that keep engines from coming back although their log is undamaged."""


class Tail:
    """The batches of a durable log's last segment that are not known to be on the disk, and the names before them."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.batches: list[Found] = []
        self.chain = NO_CHAIN

    def add(self, found: Found, chain: bytes) -> None:
        """Add a batch, with the chain at its segment's begin; batches known to be on the disk leave the tail."""
        if found.begins:
            self.names, self.batches, self.chain = {}, [], chain
        if not found.head.flags & CHAINED:
            return
        self.batches.append(found)
        while self.batches and _end(self.batches[0]) <= found.head.synced:
            gone = self.batches.pop(0)
            self.chain = gone.head.chain if gone.head.flags & CHAINED else self.chain
            for kind, number, body in gone.records:
                if kind == RecordKind.NAME:
                    self.names[number] = str(body, "utf-8")


def _end(found: Found) -> int:
    return found.head.position + found.head.size


class Recovered(LogContent):
    """The content of a log, for the writer that continues it. `is_lost`: history may be missing, so epochs rise."""

    tail: Tail
    is_lost: bool
    log_id: bytes


@cache
def boot_id() -> bytes:
    """The id of this start of the machine."""
    with open(BOOT_ID, encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace("-", ""))


def recover(
    folder: Folder,
    node: str,
    load: Callable[[str], Declaration[Any, Any, Any]],
    boot: bytes | None,
    families: Families = lambda name: None,
) -> Recovered:
    """The engines of a log, from its newest verified snapshot and what follows. Changes nothing. `boot`: `boot_id`.

    `families`: as for `Replay`.
    Raises `Damaged`, `Newer`, `Diverged`, OSError, and what loading a family raises.
    """
    began_ns = time.monotonic_ns()
    reading = partial(read_log, folder, node, load, boot, families)
    read = _from_earlier(folder, newest_snapshot(folder, checksums()), reading)
    refuse_missing(folder, boot)
    formed = _bring_to_form(read, partial(reading, read.trusted, read.is_whole))
    diverged = {name: error for name, error in read.replay.diverged().items() if name not in formed}
    return content_of(read, began_ns, boot, formed, diverged, is_lost=LOST in folder.names())


def content_of(
    read: RecoveryReading,
    began_ns: int,
    boot: bytes | None,
    formed: dict[str, Formed],
    diverged: dict[str, Diverged],
    *,
    is_lost: bool,
    is_followed: bool = False,
) -> Recovered:
    """A log that was read to its end as the content for its next writer."""
    return Recovered(
        read.replay,
        read.scan,
        read.replay.turns - read.turns_before,
        time.monotonic_ns() - began_ns,
        read.trusted.refused,
        lived_in(read.replay, read.scan) in (None, boot),
        diverged,
        formed,
        is_followed,
        read.tail,
        is_lost,
        _log_id(read.scan, read.trusted),
    )


class RecoveryReading(NamedTuple):
    """One reading of a log, from a snapshot or from its beginning; `is_whole`: with its history.

    `turns_before` are those of the snapshot.
    """

    trusted: Trusted
    is_whole: bool
    replay: Replay
    scan: Scan
    tail: Tail
    turns_before: int

    def take(self, batches: Iterator[Found]) -> int:
        """Apply batches; returns how many turns they had."""
        before = self.replay.turns
        for found in batches:
            self.replay.apply(found)
            self.tail.add(found, self.scan.last.chain if self.scan.last is not None else NO_CHAIN)
        return self.replay.turns - before


def read_log(
    folder: Folder,
    node: str,
    load: Callable[[str], Declaration[Any, Any, Any]],
    boot: bytes | None,
    families: Families,
    trusted: Trusted,
    is_whole: bool = False,
    only: str | None = None,
) -> RecoveryReading:
    """Read a log from this snapshot on, as far as it goes. Raises as `recover`."""
    sums = checksums()
    segments, start = start_of(folder, trusted)
    if is_whole:
        segments = segments_of(folder, history=True)
    scan = Scan(segments, sums, boot, start)
    names = None if only is None else {only}
    replay = Replay(node, lambda ref, _: load(ref), read_frame, sums, names, families=families, watch=only is not None)
    tail = Tail()
    if trusted.snapshot is not None:
        replay.restore(trusted.snapshot.state, may_be_replaced=True)
    read = RecoveryReading(trusted, is_whole, replay, scan, tail, replay.turns)
    read.take(scan.batches())
    replay.refuse_unmade()
    return read


def _from_earlier(folder: Folder, trusted: Trusted, read: Callable[..., RecoveryReading]) -> RecoveryReading:
    """Read from the newest snapshot, or, if a log older than the value law needs it, from an earlier one or the birth.

    A state that cannot be read, or is read as another one, was made by turns before it.
    """
    try:
        return read(trusted)
    except REFUSALS as error:
        before = trusted
        while before.snapshot is not None and _has_old_rules(folder, before.snapshot.position):
            position = before.snapshot.position
            before = newest_snapshot(folder, checksums(), position - 1)
            with suppress(*REFUSALS, Damaged):
                return read(msgspec.structs.replace(before, refused=trusted.refused), is_whole=True)
        raise error from None


def _has_old_rules(folder: Folder, position: int) -> bool:
    """Whether the segment that begins at a snapshot is older than the value law."""
    for segment in segments_of(folder, history=True):
        with suppress(Wrong):
            head = decode_segment(segment.data, checksums())
            if head.base == position:
                return head.version < FORMAT_WITH_LAW
    return False


def _bring_to_form(read: RecoveryReading, again: Callable[..., RecoveryReading]) -> dict[str, Formed]:
    """Bring engines made by old turns to the form the law requires; their streams get those environments.

    Raises `Damaged` for one that never had a form.
    """
    formed: dict[str, Formed] = {}
    for name, stream in read.replay.streams.items():
        if not stream.is_old:
            continue
        try:
            formed[name] = form(stream.family, stream.env, stream.turns)
        except Formless as error:
            watch = again(only=name).replay.streams[name].watch
            assert watch is not None
            try:
                formed[name] = watch.formed
            except Formless:
                raise Damaged("", 0, f"{name} has no state in this log that can be written: {error}") from None
            stream.cell.suspension = None
        stream.cell.env = formed[name].env
    return formed


def begin(
    folder: Folder,
    found: Recovered,
    boot: bytes,
    clock: Callable[[], int],
    *,
    durable: bool,
    log_id: bytes = b"",
    segment_bytes: int = SEGMENT_BYTES,
) -> Journal:
    """The writer that continues after `found`, whose engines get their epochs of this life.

    `durable`: an engine of the slot is durable. `clock` is the engines', and not before the log's. `log_id`: for a new
    log; 16 bytes that no other log has. Raises `LogStopped` if the disk fails, OSError.
    """
    _set_aside(folder, found.scan.cut)
    number = max([0, *numbers_of(folder, ".log"), *numbers_of(folder, ".arc")]) + 1
    carried = found.tail.batches if durable and _is_in_last_segment(found) else []
    base = carried[0].head.position if carried else found.scan.end
    synced = found.scan.synced
    if durable and synced < base:
        sync_files(folder, map(segment_name, numbers_of(folder, ".log")))  # the log was not durable before
        synced = base
    chain = found.tail.chain if carried else found.scan.chain
    kind = carried[0].kind if carried else kind_written()
    identity = found.log_id or log_id or os.urandom(LOG_ID_BYTES)
    version = carried[0].version if carried else VERSION
    head = SegmentHead(kind, number, base, synced, clock(), identity, boot, chain, version)
    journal = Journal(folder, head, checksums()[kind], clock, durable=durable, segment_bytes=segment_bytes)
    journal.open_segment(_carry(journal, found.tail) if carried else b"")
    if kind != kind_written() or version != VERSION:
        journal = _with_own_checksum(folder, journal, clock, segment_bytes)
    _say_alive(journal, found, boot, clock())
    if found.is_lost:
        folder.remove(LOST)
        folder.sync()
    return journal


def go_on(journal: Journal, found: Recovered, boot: bytes, now_ns: int) -> None:
    """Have a writer that was made before continue a log that was followed to its end, in its last segment.

    Crash points: none but those of an append. Raises `LogStopped` if the disk fails.
    """
    scan = found.scan
    assert scan.last is not None, "a log that is followed has a segment"
    journal.go_on(scan.last, scan.end, scan.synced, scan.chain, found.replay.names)
    _say_alive(journal, found, boot, now_ns)


def _is_in_last_segment(found: Recovered) -> bool:
    """Whether the tail is in the last segment; otherwise that has no batch to write again."""
    last, batches = found.scan.last, found.tail.batches
    return last is not None and bool(batches) and batches[0].head.position >= last.base


def _say_alive(journal: Journal, found: Recovered, boot: bytes, now_ns: int) -> None:
    """Write the first record of this life. Epochs rise where history may be lost."""
    raised = found.replay.next_epochs(same_boot=found.same_boot, is_lost=found.is_lost)
    journal.record("", Life(now_ns, boot, found.is_lost or bool(raised), raised))
    journal.append()
    if journal.is_durable:
        journal.sync()


def _with_own_checksum(folder: Folder, carrier: Journal, clock: Callable[[], int], segment_bytes: int) -> Journal:
    """The writer after one whose segment has the checksum of another build, like the outputs in its turns, or whose
    turns ran under the rules of an older format.
    """
    before, kind = carrier.head, kind_written()
    place = (before.number + 1, carrier.position, carrier.synced, clock())
    head = SegmentHead(kind, *place, before.log_id, before.boot_id, carrier.chain)
    journal = Journal(folder, head, checksums()[kind], clock, durable=True, segment_bytes=segment_bytes)
    journal.open_segment()
    return journal


def _set_aside(folder: Folder, cut: Cut | None) -> None:
    """Remove unfinished files, and rename segments after the end of the log, the last one first.

    A file without a whole head is empty, and its name would hide a segment that is missed later.
    """
    names = folder.names()
    for name in names:
        if name.endswith(UNDER_CONSTRUCTION):
            folder.remove(name)
    if cut is None:
        return
    behind = [*cut.later_segments[::-1], *([cut.segment] if cut.offset == 0 else [])]
    begun = [name for name in behind if len(folder.read(name)) >= SEGMENT.size]
    if begun:
        for name in [name for name in names if name.endswith(CUT)]:
            folder.remove(name)
    for name in behind:
        if name in begun:
            folder.rename(name, name.replace(".log", CUT))
        else:
            folder.remove(name)
        folder.sync()


def _carry(journal: Journal, tail: Tail) -> bytes:
    """The tail as batches of the new segment. Names keep their numbers."""
    pieces: list[bytes] = []
    position = journal.position + SEGMENT.size
    checksum = checksums()[journal.head.kind]

    def put(records: bytes, count: int) -> None:
        nonlocal position
        data = seal(records, count, position, journal.head.base, journal.chain, checksum)
        journal.chain = data[32:48]
        position += len(data)
        pieces.append(data)

    journal.batch.name_all(tail.names)
    put(*journal.batch.take())
    for found in tail.batches:
        put(*_again(journal.batch, found))
    return b"".join(pieces)


def _again(batch: LogBatch, found: Found) -> tuple[bytes, int]:
    """Re-encode the records of a batch, with the checksum of the segment they go to."""
    for kind, number, body in found.records:
        batch.copy(kind, number, body)
    return batch.take()


def _log_id(scan: Scan, trusted: Trusted) -> bytes:
    """The id of the log, which snapshot and segments share. Raises `Damaged`."""
    known = trusted.snapshot.log_id if trusted.snapshot is not None else b""
    written = scan.last.log_id if scan.last is not None else known
    if known and written != known:
        raise Damaged("snapshot", 32, "the newest snapshot is of another log")
    return written
