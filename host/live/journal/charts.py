"""The moments of a node's logs, for a chart: which part of each log is read, and which moments of it are kept.

The work is bounded by where a log's reading begins. With a lower bound that is the last snapshot before it. Without
one the newest moments are wanted: the reading begins at the newest snapshot, and if too few moments follow, once more
at one that has enough behind it. These functions run families, so they are called in the child of `run_in_child`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from host.chart.model import ChartMark
from host.chart.moments import Moment, Source
from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.frames import read_frame
from host.live.journal.log_files import scan_from
from host.live.journal.recovery import boot_id
from host.live.journal.replays import oldest_base, snapshots_of, turns_before
from host.live.journal.versions import LogCode
from host.node.journal.replay import Replay
from host.node.journal.scan import Scan
from host.node.journal.snapshot_file import Snapshot
from host.node.journal.trace import Tracer

LOOKS: Final = 5
"""Attempts at a log whose files are archived or removed by its writer meanwhile."""


class Selection(msgspec.Struct, frozen=True):
    """The moments wanted. `engines`: of these, () for all; bounds are inclusive, those by turn are of one engine.

    At most `moments_max` of each log: the first ones if there is a lower bound, else the newest.
    """

    moments_max: int
    engines: tuple[str, ...] = ()
    from_ns: int | None = None
    to_ns: int | None = None
    from_turn: int | None = None
    to_turn: int | None = None

    @property
    def begins_at_bound(self) -> bool:
        """Whether the first moments are wanted."""
        return self.from_ns is not None or self.from_turn is not None

    @property
    def only(self) -> str | None:
        """The only engine, if there is one."""
        return self.engines[0] if len(self.engines) == 1 else None

    def is_early(self, time_ns: int, turn: int) -> bool:
        """Whether a moment is below the lower bound; `turn` is its engine's, or the last of the only one."""
        is_early = self.from_ns is not None and time_ns < self.from_ns
        return is_early or (self.from_turn is not None and turn < self.from_turn)

    def is_late(self, time_ns: int, turn: int) -> bool:
        """Whether a moment is above the upper bound."""
        is_late = self.to_ns is not None and time_ns > self.to_ns
        return is_late or (self.to_turn is not None and turn > self.to_turn)

    def of_engines(self, moment: Moment) -> Moment | None:
        """The moment as far as it is of the engines wanted."""
        if not self.engines or moment.engine in self.engines:
            return moment
        if moment.engine:
            return None
        marks = tuple(kept for mark in moment.marks if (kept := self._of_engines(mark)).engines)
        return msgspec.structs.replace(moment, marks=marks) if marks else None

    def _of_engines(self, mark: ChartMark) -> ChartMark:
        return msgspec.structs.replace(mark, engines=tuple(name for name in mark.engines if name in self.engines))


class LogMoments(msgspec.Struct, frozen=True):
    """The moments of a log. `known` are all engines met in it, `notes` remarks about the reading.

    `was_cut`: there were more moments than wanted; `kept_from_ns`: the time from which on the log has its history, 0 if
    that is the birth of its engines.
    """

    source: Source
    known: tuple[str, ...]
    notes: tuple[str, ...]
    was_cut: bool
    kept_from_ns: int


def log_moments(folders: dict[str, str], node: str, roots: Sequence[str], selection: Selection) -> list[dict[str, Any]]:
    """The moments of each log that has some, as plain data of `LogMoments`. Raises `Damaged`, `Newer`, OSError."""
    code = LogCode(roots)
    found = (_looked_at(name, Folder(path), node, code, selection) for name, path in folders.items())
    return [msgspec.to_builtins(one) for one in found]


def _looked_at(name: str, folder: Folder, node: str, code: LogCode, selection: Selection) -> LogMoments:
    for _ in range(LOOKS - 1):
        try:
            return _Reading(name, folder, node, code, selection).read()
        except FileNotFoundError:
            continue
    return _Reading(name, folder, node, code, selection).read()


class _Reading:
    """One log, as its files are now."""

    def __init__(self, name: str, folder: Folder, node: str, code: LogCode, selection: Selection) -> None:
        self._name = name
        self._folder = folder
        self._node = node
        self._code = code
        self._selection = selection
        self._snapshots = [*snapshots_of(folder)]
        self._scan: Scan | None = None
        self._early: dict[str, int] = {}
        self._passed = 0
        self._has_births = oldest_base(folder) == 0

    def read(self) -> LogMoments:
        """The moments wanted."""
        if not self._has_births and not self._snapshots:
            note = f"{self._name}: its history begins without a snapshot, so nothing of it can be read"
            return LogMoments(Source(self._name, (), ()), (), (note,), False, 0)
        begins = [one for one in self._snapshots if not self._is_behind(one)]
        first = None if self._has_births else self._snapshots[0]
        start = begins[-1] if begins else first
        found = self._from(start)
        if start is not first and not self._selection.begins_at_bound and not found.was_cut:
            assert start is not None
            missing = self._selection.moments_max - len(found.source.moments)
            enough = [one for one in begins if self._turns(start) - self._turns(one) >= missing]
            found = self._from(enough[-1] if enough else first)
            found = msgspec.structs.replace(found, was_cut=found.was_cut or bool(enough))
        return found

    def _is_early(self, name: str, turn: int, time_ns: int) -> bool:
        """Whether a turn is not wanted: it is of another engine, below a bound, or surely not among the newest."""
        wanted = self._selection
        if wanted.engines and name not in wanted.engines:
            return True
        is_early = turn <= self._early.get(name, 0) or wanted.is_early(time_ns, turn)
        self._passed += is_early
        return is_early

    def _is_behind(self, snapshot: Snapshot) -> bool:
        """Whether moments that are wanted lie before a snapshot."""
        wanted, state = self._selection, snapshot.state
        if wanted.from_turn is not None and turns_before(state, wanted.only) >= wanted.from_turn:
            return True
        if wanted.to_turn is not None and turns_before(state, wanted.only) >= wanted.to_turn:
            return True
        bound_ns = wanted.from_ns if wanted.from_ns is not None else wanted.to_ns
        return bound_ns is not None and state.clock_ns >= bound_ns

    def _turns(self, snapshot: Snapshot) -> int:
        """The turns before a snapshot of the engines wanted."""
        wanted, state = self._selection.engines, snapshot.state
        return sum(image.turns for image in state.streams if image.cell.name in wanted) if wanted else state.turns

    def _from(self, start: Snapshot | None) -> LogMoments:
        wanted = self._selection
        tracer = Tracer(read_frame, self._replay, self._is_early)
        known: set[str] = set()
        if start is not None:
            tracer.begin(start.state, start.position)
            known.update(start.state.ended)
        kept_from_ns = tracer.clock_ns
        kept: deque[Moment] = deque(maxlen=None if wanted.begins_at_bound else wanted.moments_max)
        count, is_whole, is_long = 0, True, False
        self._passed = 0
        for moment, turn in self._moments(tracer, start):
            if wanted.is_early(moment.time_ns, turn):
                self._passed += 1
            elif wanted.is_late(moment.time_ns, turn) or (wanted.begins_at_bound and count == wanted.moments_max):
                is_whole, is_long = False, not wanted.is_late(moment.time_ns, turn)
                break
            else:
                kept.append(moment)
                count += 1
        if self._scan is not None and (cut := self._scan.cut) is not None:
            is_whole = False
            where = f"{cut.segment} at offset {cut.offset}: {cut.finding}"
            tracer.notes.append(f"the end of its log cannot be read, and is left out: {where}")
        was_cut = count > len(kept) or is_long or (self._passed > 0 and not wanted.begins_at_bound)
        self._early = {name: turns - wanted.moments_max - 1 for name, turns in tracer.turns.items()}
        known.update(tracer.turns)
        engines = tuple(sorted(name for name in tracer.turns if not wanted.engines or name in wanted.engines))
        complete: int | None = kept_from_ns
        if not is_whole or self._passed or count > len(kept):
            complete = kept[0].time_ns + 1 if is_whole and kept else None
        waiting = tuple(tracer.waiting()) if is_whole else ()
        source = Source(self._name, tuple(kept), engines, waiting, complete)
        if tracer.notes and self._code.note:
            tracer.notes.append(self._code.note)
        notes = tuple(f"{self._name}: {note}" for note in tracer.notes)
        return LogMoments(source, tuple(sorted(known)), notes, was_cut, kept_from_ns)

    def _moments(self, tracer: Tracer, start: Snapshot | None) -> Iterator[tuple[Moment, int]]:
        """The moments of the engines wanted, each with the turn that bounds are compared with."""
        turn = 0
        for moment in self._traced(tracer, start):
            chosen = self._selection.of_engines(moment)
            if chosen is not None:
                turn = chosen.turn if chosen.engine else turn
                yield chosen, turn

    def _traced(self, tracer: Tracer, start: Snapshot | None) -> Iterable[Moment]:
        states = {one.position: one.state for one in self._snapshots}
        position = 0 if start is None else start.position
        scan = self._scan = scan_from(self._folder, start, boot_id())
        for found in scan.batches():
            base = scan.last.base if scan.last is not None else 0
            if found.begins and tracer.is_bare and base in states and base != position:
                tracer.resume(states[base])
            yield from tracer.moments(found)

    def _replay(self) -> Replay:
        only = None if self._selection.only is None else {self._selection.only}
        return Replay(self._node, self._code.of(self._folder.path), read_frame, checksums(), only, across=True)
