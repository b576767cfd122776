"""Conformance of a node's logs: every turn by the rules of the present code, all logs together, and claims of a system.

The reading begins as early as history is kept. Turns before a reload that the present code cannot reproduce are left
out: the log is then read from the snapshot of the reload on, and a note says so. These functions run families, so they
are called in the child of `run_in_child`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from engines.model import load_family
from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.frames import read_frame
from host.live.journal.log_files import segments_of
from host.live.journal.replays import first_start, hold_against, snapshots_of
from host.node.journal.checking import Diverged
from host.node.journal.joined import Claims, JoinedRun
from host.node.journal.records import RecordKind
from host.node.journal.replay import Replay
from host.node.journal.rerun import Deviates, Deviation, LoggedStep, RecordPlace, Rerun
from host.node.journal.scan import Scan
from host.node.journal.snapshot_file import Snapshot


class LogReading:
    """One log: where its reading begins. Raises `NotRetained` where no such place is kept."""

    def __init__(self, name: str, folder: Folder, node: str, roots: Sequence[str]) -> None:
        self.name = name
        self.first: Deviation | None = None
        self._folder = folder
        self._node = node
        self._roots = roots
        self._snapshots = [*snapshots_of(folder)]
        self._start = first_start(folder, self._snapshots)
        self._last: Replay | None = None

    @property
    def has_other_code(self) -> bool:
        """Whether an engine has last been run by another version than the one loaded here."""
        return self._last is not None and any(stream.is_by_other_code for stream in self._last.streams.values())

    @property
    def note(self) -> str:
        """What is left out, and why; "" if nothing is."""
        if self._start is None:
            return ""
        turns = sum(image.turns for image in self._start.state.streams)
        why = "earlier history is not kept" if self.first is None else "other code ran before, which differs from this"
        return f"{self.name}: checked behind its first {turns} turns; {why}"

    def go_on_behind(self, deviation: Deviation) -> bool:
        """Begin at the next snapshot instead; False: there is none."""
        position = -1 if self._start is None else self._start.position
        later = next((one for one in self._snapshots if one.position > position), None)
        if later is not None:
            self.first, self._start = self.first or deviation, later
        return later is not None

    def engines(self) -> Iterator[str]:
        """All engines with a stream in the part that is read."""
        if self._start is not None:
            yield from (image.cell.name for image in self._start.state.streams)
        names: dict[int, str] = {}
        for found in self._scan().batches():
            if found.begins:
                names.clear()
            for kind, number, body in found.records:
                if kind == RecordKind.NAME:
                    names[number] = str(body, "utf-8", "replace")
                elif kind == RecordKind.IMAGE and number in names:
                    yield names[number]

    def steps(self) -> Iterator[LoggedStep]:
        """The steps of the log. Raises `Deviates`, `Damaged`, `Newer`, LoadError."""
        sums = checksums()
        replay = self._last = Replay(
            self._node, lambda ref: load_family(ref, self._roots), read_frame, sums, verify=True
        )
        rerun = Rerun(self.name, replay, read_frame)
        if self._start is not None:
            yield from rerun.begin(self._start.state)
        expected = {one.position: one for one in self._snapshots}
        scan = self._scan()
        for found in scan.batches():
            if found.begins and scan.last is not None and scan.last.base in expected:
                self._compare(replay, expected[scan.last.base], found.segment)
            yield from rerun.steps(found)

    def _scan(self) -> Scan:
        position = 0 if self._start is None else self._start.position
        return Scan(segments_of(self._folder, history=True), checksums(), None, position)

    def _compare(self, replay: Replay, snapshot: Snapshot, segment: str) -> None:
        try:
            hold_against(replay, snapshot.state)
        except Diverged as error:
            place = RecordPlace(segment, 0, 0)
            at = (error.engine, error.turn, replay.clock_ns)
            raise Deviates(Deviation("state", self.name, place, *at, error.recorded, error.found)) from None


def conformance(
    folders: dict[str, str], node: str, roots: Sequence[str], claims: Callable[[], Claims] | None
) -> list[dict[str, Any]]:
    """The verdict on these logs, as one item of plain data. Raises as `LogReading`, and what `claims` raises."""
    made = None if claims is None else claims()
    logs = {name: LogReading(name, Folder(path), node, roots) for name, path in folders.items()}
    inside = frozenset(name for log in logs.values() for name in log.engines())
    while True:
        run = JoinedRun({name: log.steps() for name, log in logs.items()}, inside, made)
        deviation = run.deviation()
        if deviation is None or not (deviation.is_by_other_code and logs[deviation.log].go_on_behind(deviation)):
            break
    if deviation is None or deviation.is_by_other_code:
        deviation = next((log.first for log in logs.values() if log.first and log.has_other_code), deviation)
    shown = None if deviation is None else _item(deviation)
    notes = [log.note for log in logs.values() if log.note]
    return [{"conforms": not shown, "turns": run.turns, "engines": len(inside), "notes": notes, "deviation": shown}]


def _item(deviation: Deviation) -> dict[str, Any]:
    item: dict[str, Any] = msgspec.to_builtins(deviation)
    segment, offset, record = item.pop("place")
    return item | {"segment": segment, "offset": offset, "record": record}
