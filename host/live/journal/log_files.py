"""The files of a log by kind, and the newest snapshot that can be trusted."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.node.journal.checksum import Checksum
from host.node.journal.layout import SegmentHead, Wrong, decode_segment
from host.node.journal.scan import Damaged, Scan, SegmentData
from host.node.journal.snapshot_file import Snapshot, decode_snapshot

Suffix = Literal["log", "arc"]
_NAME: Final = re.compile(r"([0-9]{8}|[0-9]{20})\.(log|arc|snap|cut|new)")
UNDER_CONSTRUCTION: Final = ".new"
SNAPSHOT_UNDER_CONSTRUCTION: Final = ".snap.new"
CUT: Final = ".cut"


def segment_name(number: int, suffix: Suffix = "log") -> str:
    """The file of a segment."""
    return f"{number:08}.{suffix}"


def snapshot_name(position: int) -> str:
    """The file of a snapshot."""
    return f"{position:020}.snap"


def numbers_of(folder: Folder, suffix: str) -> list[int]:
    """Numbers of segments, or positions of snapshots, in order."""
    return _numbers_in(folder.names(), suffix)


def _numbers_in(names: list[str], suffix: str) -> list[int]:
    return sorted(int(name.split(".")[0]) for name in names if _NAME.fullmatch(name) and name.endswith(suffix))


def segments_of(folder: Folder, *, history: bool = False, start: Snapshot | None = None) -> list[SegmentData]:
    """The segments in force; with `history` the archived ones before them. Those before `start` are not read.

    A history has a gigabyte, and its readers begin at a snapshot near its end.
    """
    found: list[SegmentData] = []
    for name, number in reversed(segment_names(folder)):
        if not history and not name.endswith(".log"):
            break
        found.append(SegmentData(name, number, folder.read(name)))
        head = None if start is None else _head_of(found[-1])
        if start is not None and head is not None and head.log_id == start.log_id and head.base <= start.position:
            break
    return found[::-1]


def scan_from(folder: Folder, start: Snapshot | None, boot: bytes | None = None) -> Scan:
    """A pass over a log and its history, from the place of a snapshot on; None: from the oldest segment."""
    segments = segments_of(folder, history=True, start=start)
    return Scan(segments, checksums(), boot, 0 if start is None else start.position)


def segment_names(folder: Folder) -> list[tuple[str, int]]:
    """Files and numbers of all segments: the archived ones, then those in force.

    The folder is listed once: a segment that is archived meanwhile would be in neither of two lists.
    """
    names = folder.names()
    suffixes: tuple[Suffix, ...] = ("arc", "log")
    return [(segment_name(n, suffix), n) for suffix in suffixes for n in _numbers_in(names, f".{suffix}")]


class Trusted(msgspec.Struct, frozen=True):
    """The newest snapshot that passed its checks; `refused` are newer ones that did not, each with the reason."""

    snapshot: Snapshot | None
    refused: tuple[str, ...]


def newest_snapshot(folder: Folder, sums: dict[int, Checksum], at_most: int | None = None) -> Trusted:
    """The newest snapshot, at a position of at most `at_most`. Raises `Newer`."""
    refused: list[str] = []
    for position in reversed(numbers_of(folder, ".snap")):
        if at_most is not None and position > at_most:
            continue
        name = snapshot_name(position)
        try:
            return Trusted(read_snapshot_file(folder, position, sums), tuple(refused))
        except Wrong as wrong:
            refused.append(f"{name}: {wrong}")
    return Trusted(None, tuple(refused))


def read_snapshot_file(folder: Folder, position: int, sums: dict[int, Checksum]) -> Snapshot:
    """One snapshot. Raises `Wrong`, `Newer`, OSError."""
    snapshot = decode_snapshot(folder.read(snapshot_name(position)), sums)
    if snapshot.position != position:
        raise Wrong(f"the snapshot of position {snapshot.position}")
    return snapshot


def start_of(folder: Folder, trusted: Trusted) -> tuple[list[SegmentData], int]:
    """The segments to read after a snapshot, and the position to begin at. Raises `Damaged` if none can be used."""
    if trusted.snapshot is not None:
        segments = segments_of(folder)
        _refuse_gap(folder, segments, trusted.snapshot.position)
        return segments, trusted.snapshot.position
    segments = segments_of(folder, history=bool(trusted.refused))
    if trusted.refused and not segments:
        raise Damaged(trusted.refused[0].split(":")[0], 0, f"no snapshot can be used: {'; '.join(trusted.refused)}")
    return segments, 0


def _refuse_gap(folder: Folder, segments: list[SegmentData], position: int) -> None:
    """Raises `Damaged` if no segment begins at a snapshot's place: it was on the disk before the snapshot was in force.

    If power was lost in it, and a writer was killed right after setting it aside, it has another suffix.
    """
    if any(name.endswith(CUT) for name in folder.names()):
        return
    name, end = (segments[-1].name, _end_of(segments[-1])) if segments else (snapshot_name(position), position)
    if end is not None and end <= position:
        raise Damaged(name, 0, f"there is no segment behind position {position}, where a snapshot was taken")


def _end_of(segment: SegmentData) -> int | None:
    """The end of a segment; None if its head cannot be read."""
    head = _head_of(segment)
    return None if head is None else head.base + len(segment.data)


def _head_of(segment: SegmentData) -> SegmentHead | None:
    """Raises `Newer`."""
    try:
        return decode_segment(segment.data, checksums())
    except Wrong:
        return None
