"""The log of a simulated slot: bytes in memory, written in the live format and read by the live reader.

A `Disk` is what outlives a process: segments, a snapshot, and the position up to which they are on the disk. A process
appends batches (`host.node.journal.batch`, sealed by `layout`) to a segment of its own life. The next process reads the
log with `Scan` and `Replay`, which decide what is torn, and begins a segment where the log ends.

Crash points. A kill loses the batch that was not appended, or leaves a part of it (`append_part`), which the reader
cuts. A loss of power leaves everything that was synced, and any part of the rest, which the reader cuts as well
(`lose_power`). What a new life finds is on the disk once it has begun: the live writer syncs or copies it first.

Simpler than live: a segment is never full, nothing is archived, and a snapshot is taken only when a reload hands the
log over. Checksums are zlib's, which Python has in C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec

from engines.model import AdoptError, Declaration
from host.node.journal.batch import LogBatch
from host.node.journal.checking import Diverged
from host.node.journal.checksum import CRC32, PURE
from host.node.journal.excerpt import Excerpts
from host.node.journal.layout import SegmentHead, Wrong, encode_segment, packer, seal
from host.node.journal.records import Life
from host.node.journal.replay import LogState, Replay, lived_in
from host.node.journal.scan import Cut, Damaged, Scan, SegmentData
from host.node.journaled.revival import LogContent
from host.node.mailbox import Mail
from host.node.past import encode_past
from host.node.snapshot import Families

LOG_ID: Final = b"simulated log id"
UNREADABLE: Final = (AdoptError, Damaged, Diverged, msgspec.ValidationError, ValueError)
"""What reading a log raises if its engines cannot go on."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, str, int, int, int, list[bytes]]).decode


class Disk:
    """What a log has on the disk and in the page cache. `snapshot` is (position, encoded `LogState`)."""

    def __init__(self) -> None:
        self.segments: list[bytearray] = []
        self.bases: list[int] = []
        self.snapshot: tuple[int, bytes] | None = None
        self.synced = 0
        self.boot = 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever written."""
        return not self.segments

    def lose_power(self, draw: Random) -> None:
        """Power is lost: of what was not synced, some first part is left. The machine boots with another id."""
        self.boot += 1
        for index, base in enumerate(self.bases):
            segment = self.segments[index]
            safe = min(max(0, self.synced - base), len(segment))
            if safe < len(segment):
                del segment[draw.randint(safe, len(segment)) :]
                del self.segments[index + 1 :], self.bases[index + 1 :]
                return

    def boot_id(self) -> bytes:
        """The id of this boot of the machine."""
        return self.boot.to_bytes(16, "little")


def read_log(
    disk: Disk,
    node: str,
    load: Callable[[str], Declaration[Any, Any, Any]],
    families: Families = lambda name: None,
) -> LogContent:
    """The engines of a log. Changes nothing. Raises one of `UNREADABLE`, and what loading a family raises."""
    scan = _scan(disk)
    replay = Replay(node, lambda ref, _: load(ref), read_mail, PURE, families=families)
    if disk.snapshot is not None:
        replay.restore(msgspec.msgpack.decode(disk.snapshot[1], type=LogState))
    turns = replay.turns
    for found in scan.batches():
        replay.apply(found)
    same_boot = lived_in(replay, scan) in (None, disk.boot_id())
    return LogContent(replay, scan, replay.turns - turns, 0, (), same_boot, replay.diverged(), {}, False)


def read_past(
    disk: Disk, node: str, load: Callable[[str], Declaration[Any, Any, Any]], engine: str, count: int
) -> list[bytes]:
    """The last `count` turns of an engine in a log, and before them its state, for `host.node.rehearsal`. Changes
    nothing. Raises as `read_log`."""
    turns = read_log(disk, node, load).replay.streams[engine].turns
    replay = Replay(node, lambda ref, _: load(ref), read_mail, PURE, {engine})
    if disk.snapshot is not None:
        replay.restore(msgspec.msgpack.decode(disk.snapshot[1], type=LogState))
    excerpts = Excerpts(replay, {engine: max(0, turns - count)})
    for found in _scan(disk).batches():
        excerpts.apply(found)
    excerpts.close()
    return [*map(encode_past, excerpts.of[engine].past)]


def _scan(disk: Disk) -> Scan:
    segments = [SegmentData(f"segment {n}", n, memoryview(bytes(data))) for n, data in enumerate(disk.segments, 1)]
    return Scan(segments, PURE, disk.boot_id(), None if disk.snapshot is None else disk.snapshot[0])


class SimLog:
    """The writer of one life of a log. Records are added to `batch`, and written with it."""

    def __init__(
        self, disk: Disk, found: LogContent, clock: Callable[[], int], *, durable: bool, lives: bool = True
    ) -> None:
        """`lives` False: the process is killed before it has recorded that it lives; only a segment is there."""
        self.is_durable = durable
        self.batch = LogBatch(packer(PURE[CRC32]))
        self._disk = disk
        self._clock = clock
        self._drop_cut(found.scan.cut)
        self._chain = found.scan.chain
        self._position = disk.synced = found.scan.end
        self._begin_segment()
        if not lives:
            return
        raised = found.replay.next_epochs(same_boot=found.same_boot, is_lost=False)
        self.batch.record("", Life(clock(), disk.boot_id(), bool(raised), raised))
        self.append()
        self.sync()

    def append(self) -> None:
        """Write the batch into the page cache."""
        self._write(self._sealed())

    def append_part(self, draw: Random) -> None:
        """Be killed in the write: some first part of the batch is there."""
        data = self._sealed()
        if data:
            self._write(data[: draw.randrange(len(data))])

    def sync(self) -> None:
        """Everything appended is on the disk."""
        self._disk.synced = self._position

    def close(self) -> None:
        """A normal exit."""
        self.append()
        self.batch.closed()
        self.append()
        self.sync()

    def take_snapshot(self, state: Callable[[], LogState]) -> None:
        """From here on the log begins with `state`."""
        self.append()
        self.sync()
        self._disk.snapshot = (self._position, _encode(state()))
        self.batch.begin_segment()
        self._begin_segment()

    def _sealed(self) -> bytes:
        records, count = self.batch.take()
        if not count:
            return b""
        chain = self._chain if self.is_durable else None
        data = seal(records, count, self._position, self._disk.synced, chain, PURE[CRC32])
        if self.is_durable:
            self._chain = data[32:48]
        return data

    def _write(self, data: bytes) -> None:
        self._disk.segments[-1] += data
        self._position += len(data)

    def _begin_segment(self) -> None:
        disk = self._disk
        number = len(disk.segments) + 1
        head = SegmentHead(
            CRC32, number, self._position, disk.synced, self._clock(), LOG_ID, disk.boot_id(), self._chain
        )
        disk.segments.append(bytearray())
        disk.bases.append(self._position)
        self._write(encode_segment(head, PURE[CRC32]))
        disk.synced = self._position

    def _drop_cut(self, cut: Cut | None) -> None:
        """Remove the torn end, and the segments behind it."""
        if cut is None:
            return
        disk = self._disk
        at = next(index for index in range(len(disk.segments)) if cut.segment == f"segment {index + 1}")
        keep = at if cut.offset == 0 else at + 1
        if cut.offset:
            del disk.segments[at][cut.offset :]
        del disk.segments[keep:], disk.bases[keep:]


def encode_mail(
    sender: str, target: str, mailbox: int, epoch: int, first_n: int, payloads: Sequence[bytes | memoryview]
) -> bytes:
    """Mail as a record's body. A live log has the frame of the transport there, which this stands for."""
    return _encode((sender, target, mailbox, epoch, first_n, payloads))


def read_mail(data: memoryview) -> Mail:
    """The mail in a record's body. Raises `Wrong`."""
    try:
        return Mail(*_decode(data))
    except msgspec.DecodeError as error:
        raise Wrong(f"a frame: {error}") from None
