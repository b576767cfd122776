"""Following a log behind its writer: how a candidate makes the engines while the old process still runs them.

A first reading is that of a recovery, from the newest snapshot on; then only what was written since is read. Every
turn is run by the candidate's code and compared with its record, and its outputs go nowhere. Nothing is locked or
written. The writer may begin segments, archive them and take snapshots meanwhile: a segment is known by its number, and
what is half written is read the next time.

The state that comes of it is the migrated one if migration and transitions commute, which the rehearsal looked at. So
all turns run here must lie within those rehearsed, or behind them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from engines.model import Declaration
from host.live import wire
from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.log_files import Trusted, newest_snapshot, numbers_of, segment_name
from host.live.journal.recovery import REFUSALS, Recovered, boot_id, content_of, read_log
from host.node.journal.layout import Newer, SegmentHead
from host.node.journal.scan import Damaged, SegmentData
from host.node.snapshot import Families

LEVEL_TURNS: Final = 512
"""Turns of one pass; a candidate with fewer is level. They take some milliseconds at most."""

LEVEL_NS_MAX: Final = 3_000_000_000
"""To come level after the first reading. Nobody meets an engine whose turns take longer to run again than they took."""

SNAPSHOT_NS_MAX: Final = 1_500_000_000
"""To wait for a snapshot. A busy writer makes one a second; that of another has few turns since the last."""

LOOK_S: Final = 0.02

GONE_MAX: Final = 10
"""Passes over files of which one was renamed between looking and opening."""

Load = Callable[[str], Declaration[Any, Any, Any]]


class CannotFollow(Exception):
    """The engines cannot be made from this log; a snapshot of them can be migrated nevertheless."""


class Follower:
    """Mutable, one a candidate."""

    def __init__(self, boot: wire.Boot, load: Load, families: Families, rehearsed_from: Mapping[str, int]) -> None:
        """`rehearsed_from`: by engine, the turns behind which it was rehearsed. Raises `CannotFollow`."""
        self._began_ns = time.monotonic_ns()
        self._folder, self._boot_id = Folder(boot.journal), boot_id()
        try:
            trusted = self._snapshot_within(rehearsed_from)
            self._read = read_log(self._folder, boot.node, load, self._boot_id, families, trusted)
        except (*REFUSALS, Damaged, Newer, OSError) as error:
            raise CannotFollow(str(error)) from None
        self._check(rehearsed_from)

    def come_level(self) -> None:
        """Run turns until few are left. Raises `CannotFollow`, and as `catch_up`."""
        until_ns = time.monotonic_ns() + LEVEL_NS_MAX
        while self.catch_up() > LEVEL_TURNS:
            if time.monotonic_ns() > until_ns:
                raise CannotFollow("its turns take longer to run again than they took")

    def catch_up(self) -> int:
        """Run what was written since; how many turns that were. Raises `Diverged`, and what reading raises."""
        for _ in range(GONE_MAX):
            with suppress(FileNotFoundError):
                return self._read.take(self._read.scan.more(self._segments()))
        raise FileNotFoundError(f"{self._folder.path}: its segments are renamed again and again")

    def content(self, log_end: int) -> Recovered:
        """The log, which ends here, for its next writer. Raises `Damaged` if it ends elsewhere."""
        self.catch_up()
        scan = self._read.scan
        if scan.end != log_end:
            raise Damaged("log", scan.end, f"it ends here, and its writer was at {log_end}")
        return self.so_far()

    def so_far(self) -> Recovered:
        """The log as far as it was read."""
        return content_of(self._read, self._began_ns, self._boot_id, {}, {}, is_lost=False, is_followed=True)

    @property
    def head(self) -> SegmentHead:
        """The head of the segment that is being written."""
        assert self._read.scan.last is not None
        return self._read.scan.last

    def _snapshot_within(self, rehearsed_from: Mapping[str, int]) -> Trusted:
        """The newest snapshot; the next one, if that lies before what was rehearsed and another comes soon."""
        trusted = newest_snapshot(self._folder, checksums())
        until_ns = self._began_ns + SNAPSHOT_NS_MAX
        while _is_before(trusted, rehearsed_from) and time.monotonic_ns() < until_ns:
            time.sleep(LOOK_S)
            position = -1 if trusted.snapshot is None else trusted.snapshot.position
            if numbers_of(self._folder, ".snap")[-1:] > [position]:
                trusted = newest_snapshot(self._folder, checksums())
        return trusted

    def _segments(self) -> list[SegmentData]:
        """The segment read last, and those after it: a writer numbers them in a row."""
        number = self.head.number
        found = [self._segment(number)]
        with suppress(FileNotFoundError):
            while True:
                number += 1
                found.append(self._segment(number))
        return found

    def _segment(self, number: int) -> SegmentData:
        """In force or, if it was just archived, in the history. A look at all names would take longer than the rest."""
        try:
            name = segment_name(number)
            return SegmentData(name, number, self._folder.read(name, mapped_bytes=0))
        except FileNotFoundError:
            name = segment_name(number, "arc")
            return SegmentData(name, number, self._folder.read(name, mapped_bytes=0))

    def _check(self, rehearsed_from: Mapping[str, int]) -> None:
        replay = self._read.replay
        if replay.unread or any(stream.is_old for stream in replay.streams.values()) or self._read.scan.last is None:
            raise CannotFollow("its log has turns from before the value law")
        for name, stream in replay.streams.items():
            is_other = stream.codes != {stream.family.version}
            if is_other and stream.image_turn < rehearsed_from.get(name, stream.turns):
                raise CannotFollow(f"{name} was rehearsed on fewer turns than its log has since the last snapshot")


def _is_before(trusted: Trusted, rehearsed_from: Mapping[str, int]) -> bool:
    """Whether a snapshot has an engine as it was before the turns that were rehearsed."""
    images = () if trusted.snapshot is None else trusted.snapshot.state.streams
    return any(image.turns < rehearsed_from.get(image.cell.name, 0) for image in images)
