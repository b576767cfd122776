"""The last triggers of engines, out of the log that their process writes: for the rehearsal of a reload.

A child of that process reads the log beside its writer, up to the turns that were written at the fork, and changes
nothing (`host.live.worker.recalling`). An engine whose log does not reproduce its turns has no past, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from engines.model import Declaration, LoadError
from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.frames import read_frame
from host.live.journal.log_files import scan_from
from host.live.journal.recovery import REFUSALS
from host.live.journal.replays import oldest_base, snapshots_of
from host.node.journal.checking import Diverged
from host.node.journal.excerpt import Excerpts
from host.node.journal.layout import Newer
from host.node.journal.replay import Replay
from host.node.journal.scan import Damaged
from host.node.journal.snapshot_file import Snapshot
from host.node.past import Past, PastLost

UNREADABLE: Final = (*REFUSALS, LoadError, Damaged, Newer, OSError)
"""Reasons for which an engine has no past."""

Load = Callable[[str], Declaration[Any, Any, Any]]

RECALLED_TIMES: Final = 10
"""Thousands of engines in a process share this many times the turns that are recalled of one."""

DIVERGED_MAX: Final = 10
"""Engines, among those that are read together, whose turns the log does not reproduce, before all are given up."""


def log_pasts(path: str, node: str, load: Load, turns: Mapping[str, int], count: int) -> Iterator[Past]:
    """The last `count` turns of each engine, of which it has `turns`, or as many as the log reproduces."""
    folder, after = Folder(path), first_turns(turns, count)
    try:
        starts = _starts(folder, after)
    except UNREADABLE as error:
        yield from (PastLost(engine, str(error)) for engine in after)
        return
    made = [{} if start is None else _turns(start) for start in starts]
    groups: dict[int, dict[str, int]] = {}
    for engine, first in after.items():
        latest = max((n for n, before in enumerate(made) if before.get(engine, 0) <= first), default=0)
        groups.setdefault(latest, {})[engine] = first
    for latest, group in groups.items():
        yield from _of_group(folder, node, load, starts[latest:], group)


def first_turns(turns: Mapping[str, int], count: int) -> dict[str, int]:
    """The turns of engines behind which they are recalled; engines without any are left out, and those too many."""
    limit = RECALLED_TIMES * count
    made = dict(islice(((engine, n) for engine, n in turns.items() if n), limit))
    each = min(count, limit // max(1, len(made)))
    return {engine: max(0, n - each) for engine, n in made.items()}


def _starts(folder: Folder, after: Mapping[str, int]) -> list[Snapshot | None]:
    """The places to begin at, the earliest first: as few as have every engine before its turns; None: the birth."""
    starts: list[Snapshot | None] = []
    for snapshot in snapshots_of(folder, newest_first=True):
        starts.insert(0, snapshot)
        made = _turns(snapshot)
        if all(made.get(engine, 0) <= first for engine, first in after.items()):
            return starts
    return [None, *starts] if oldest_base(folder) == 0 else starts


def _turns(snapshot: Snapshot) -> dict[str, int]:
    return {image.cell.name: image.turns for image in snapshot.state.streams}


def _of_group(
    folder: Folder, node: str, load: Load, starts: list[Snapshot | None], after: dict[str, int]
) -> Iterator[Past]:
    """From the first place at which it can be read: before a later one there may be turns of other code, by a reload.

    What cannot be read from the last place either is lost.
    """
    reason: Exception = OSError("its log has no place to begin at")
    for start in [*starts, *starts[-1:] * DIVERGED_MAX]:
        try:
            excerpts = _read(folder, node, load, start, after)
        except UNREADABLE as error:
            reason = error
            if start is starts[-1] and isinstance(error, Diverged) and after.pop(error.engine, None) is not None:
                yield PastLost(error.engine, str(error))
            continue
        for excerpt in excerpts.of.values():
            yield from excerpt.past
        return
    yield from (PastLost(engine, str(reason)) for engine in after)


def _read(folder: Folder, node: str, load: Load, start: Snapshot | None, after: Mapping[str, int]) -> Excerpts:
    replay = Replay(node, lambda ref, _: load(ref), read_frame, checksums(), after.keys())
    excerpts = Excerpts(replay, after)
    if start is not None:
        replay.restore(start.state, may_be_replaced=True)
    for found in scan_from(folder, start).batches():
        excerpts.apply(found)
    replay.refuse_unmade()
    excerpts.close()
    return excerpts
