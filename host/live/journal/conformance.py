"""Conformance of a node's logs: every turn by its rules, all logs together, and claims of a system.

The rules of a turn are those of the version that made it (`LogCode`), or on request those of the present sources. The
reading begins as early as history is kept. Turns that the code at hand did not make and cannot reproduce are left out:
the log is then read from the next snapshot on, and a note says so.

Claims are written in the types of the present sources, so they are about the states that these make. Where other
versions made turns, there are two readings: one by their rules, one for the claims. These functions run families, so
they are called in the child of `run_in_child`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.frames import read_frame
from host.live.journal.log_files import scan_from
from host.live.journal.replays import first_start, hold_against, snapshots_of
from host.live.journal.versions import LogCode
from host.node.journal.checking import Diverged
from host.node.journal.joined import Claims, JoinedRun
from host.node.journal.records import RecordKind
from host.node.journal.replay import Replay
from host.node.journal.rerun import Deviates, Deviation, LoggedStep, RecordPlace, Rerun
from host.node.journal.scan import Scan
from host.node.journal.snapshot_file import Snapshot
from host.node.journal.stream import Stream


class LogReading:
    """One log: where its reading begins. Raises `NotRetained` where no such place is kept.

    `since_ns`: what happened before is not needed, so it may begin at the last snapshot before.
    """

    def __init__(self, name: str, folder: Folder, node: str, code: LogCode, since_ns: int = 0) -> None:
        self.name = name
        self.first: Deviation | None = None
        self._folder = folder
        self._node = node
        self._code = code
        self._snapshots = [*snapshots_of(folder)]
        late = [one for one in self._snapshots if one.state.clock_ns < since_ns]
        self._start = late[-1] if late else first_start(folder, self._snapshots)
        self._last: Replay | None = None

    @property
    def has_other_code(self) -> bool:
        """Whether an engine has last been run by another version than the one loaded here."""
        return any(stream.is_by_other_code for stream in self._streams())

    @property
    def other_code(self) -> set[str]:
        """The versions that made turns, and did not run them here."""
        return {code for stream in self._streams() for code in stream.codes - {stream.family.version}}

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
        load = self._code.of(self._folder.path)
        replay = self._last = Replay(self._node, load, read_frame, sums, across=True, verify=True)
        rerun = Rerun(self.name, replay, read_frame)
        if self._start is not None:
            yield from rerun.begin(self._start.state)
        expected = {one.position: one for one in self._snapshots}
        scan = self._scan()
        for found in scan.batches():
            if found.begins and scan.last is not None and scan.last.base in expected:
                self._compare(replay, expected[scan.last.base], found.segment)
            yield from rerun.steps(found)

    def _streams(self) -> Iterator[Stream]:
        if self._last is not None:
            yield from (*self._last.streams.values(), *self._last.leaving.values())

    def _scan(self) -> Scan:
        return scan_from(self._folder, self._start)

    def _compare(self, replay: Replay, snapshot: Snapshot, segment: str) -> None:
        try:
            hold_against(replay, snapshot.state)
        except Diverged as error:
            place = RecordPlace(segment, 0, 0)
            at = (error.engine, error.turn, replay.clock_ns)
            raise Deviates(Deviation("state", self.name, place, *at, error.recorded, error.found)) from None


class LogsVerdict(NamedTuple):
    """What a reading of all logs found."""

    turns: int
    engines: int
    notes: list[str]
    deviation: Deviation | None
    other_code: set[str]


def conformance(
    folders: Mapping[str, str],
    node: str,
    roots: Sequence[str],
    claims: Callable[[], Claims] | None,
    *,
    present: bool = False,
) -> list[dict[str, Any]]:
    """The verdict on these logs, as one item of plain data. Raises as `LogReading`, and what `claims` raises.

    `present`: by the rules of the present sources, whichever version made a turn.
    """
    made = None if claims is None else claims()
    found = _verdict(folders, node, LogCode(roots, present=present or made is not None), made)
    if made is not None and not present and found.other_code:
        found = _both(_verdict(folders, node, LogCode(roots), None), found)
    shown = None if found.deviation is None else _item(found.deviation)
    extent = {"turns": found.turns, "engines": found.engines, "notes": found.notes}
    return [{"conforms": not shown, **extent, "deviation": shown}]


def _both(rules: LogsVerdict, claimed: LogsVerdict) -> LogsVerdict:
    """The verdict on turns by the rules of their versions, and on claims about the states of the present one."""
    if rules.deviation is not None or claimed.deviation is None or claimed.deviation.kind == "property":
        return rules._replace(deviation=rules.deviation or claimed.deviation, notes=rules.notes + claimed.notes)
    engine, turn = claimed.deviation.engine, claimed.deviation.turn
    note = f"properties hold up to turn {turn} of {engine}, where the present code does something else"
    return rules._replace(notes=[*rules.notes, *claimed.notes, note])


def _verdict(folders: Mapping[str, str], node: str, code: LogCode, claims: Claims | None) -> LogsVerdict:
    logs = {name: LogReading(name, Folder(path), node, code) for name, path in folders.items()}
    inside = frozenset(name for log in logs.values() for name in log.engines())
    other_code: set[str] = set()
    while True:
        run = JoinedRun({name: log.steps() for name, log in logs.items()}, inside, claims)
        deviation = run.deviation()
        other_code |= {version for log in logs.values() for version in log.other_code}
        if deviation is None or not (deviation.is_by_other_code and logs[deviation.log].go_on_behind(deviation)):
            break
    if deviation is None or deviation.is_by_other_code:
        deviation = next((log.first for log in logs.values() if log.first and log.has_other_code), deviation)
    notes = [log.note for log in logs.values() if log.note]
    if code.note and (notes or deviation is not None):
        notes.append(code.note)
    return LogsVerdict(run.turns, len(inside), notes, deviation, other_code)


def _item(deviation: Deviation) -> dict[str, Any]:
    item: dict[str, Any] = msgspec.to_builtins(deviation)
    segment, offset, record = item.pop("place")
    return item | {"segment": segment, "offset": offset, "record": record}
