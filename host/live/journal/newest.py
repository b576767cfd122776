"""The number of a log's newest segment, noted beside the log's folder: so a removed end, or a removed log, is missed.

A writer notes it once the segment is at its place: in a durable log both are on the disk by then, and in any other log
neither may be, so a note from before a restart of the machine says nothing about it. A missing or unreadable note says
nothing either: it came with an earlier version, an import, or a loss of power.
"""

from __future__ import annotations

from typing import Final

import msgspec

from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.log_files import CUT, numbers_of, segment_name
from host.node.journal.layout import SEGMENT, SegmentHead, Wrong, decode_segment
from host.node.journal.scan import Damaged

ALL_GONE: Final = "all segments of this log are gone"


class Newest(msgspec.Struct, frozen=True):
    """What is noted. `boot`: the start of the machine that the segment was written in."""

    number: int
    boot: bytes
    durable: bool


def note_newest(folder: Folder, head: SegmentHead, *, durable: bool) -> None:
    """Note this segment, which is at its place. Raises OSError."""
    folder.note(msgspec.json.encode(Newest(head.number, head.boot_id, durable)), synced=durable)


class LogMissing(Damaged):
    """The end of a log, or all of it, is gone."""


def least(noted: bytes, boot: bytes | None) -> int:
    """The number that a log's newest segment has at least, by what is noted; 0 if that says nothing."""
    try:
        newest = msgspec.json.decode(noted, type=Newest)
    except msgspec.DecodeError:
        return 0
    return newest.number if newest.durable or newest.boot == boot else 0


def refuse_missing(folder: Folder, boot: bytes | None) -> None:
    """Raises `LogMissing` if the newest segment, or its head, is gone; one set aside counts as there. And `Newer`."""
    number = least(folder.noted(), boot)  # before the names: a writer notes what is there
    last = max((number for suffix in (".log", ".arc", CUT) for number in numbers_of(folder, suffix)), default=0)
    if last < number:
        what = f"this segment and all from {last + 1} on are gone" if last else ALL_GONE
        raise LogMissing(segment_name(number), 0, what)
    if (name := segment_name(number)) in folder.names():
        try:
            decode_segment(folder.head(name, SEGMENT.size)[0], checksums())
        except Wrong as wrong:  # it was whole when it was noted
            raise LogMissing(name, 0, f"the head of this segment is gone: {wrong}") from None
