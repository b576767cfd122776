"""The last triggers of engines, out of the log that their process writes: for the rehearsal of a reload.

A child of that process runs them again, since no other process has the code that is in force, and the worker may not
stand still meanwhile. It reads the log beside its writer, up to the turns that were written at the fork, and changes
nothing. An engine whose log does not reproduce its turns has no past, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from engines.model import Declaration
from host.live.inspection.child import isolate
from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.frames import read_frame
from host.live.journal.log_files import segments_of
from host.live.journal.recovery import REFUSALS
from host.live.journal.replays import oldest_base, snapshots_of, turns_before
from host.live.packets import sized
from host.node.journal.excerpt import Excerpt
from host.node.journal.replay import Replay
from host.node.journal.scan import Damaged, Scan
from host.node.journal.snapshot_file import Snapshot
from host.node.journal.stream import Enough
from host.node.past import PastEnd, PastLost, encode_past

Load = Callable[[str], Declaration[Any, Any, Any]]


def recall(
    path: str, node: str, load: Load, turns: Mapping[str, int], count: int, deadline_ns: int, writing: int
) -> None:
    """Write the last `count` turns of each engine, of which it has `turns`, as parts to a descriptor. For a child."""
    isolate(deadline_ns)
    with suppress(BrokenPipeError), open(writing, "wb", closefd=False) as stream:
        for engine, until in turns.items():
            for part in _past(Folder(path), node, load, engine, until, count):
                stream.write(sized(part))
        stream.write(sized(encode_past(PastEnd())))


def _past(folder: Folder, node: str, load: Load, engine: str, until: int, count: int) -> Iterator[bytes]:
    try:
        found = _excerpt(folder, node, load, engine, until, max(0, until - count))
    except (*REFUSALS, Damaged, OSError) as error:
        yield encode_past(PastLost(engine, str(error)))
        return
    yield from map(encode_past, found.past)


def _excerpt(folder: Folder, node: str, load: Load, engine: str, until: int, after: int) -> Excerpt:
    """The turns behind `after`, or as many as the log reproduces. Raises what reading it raises."""
    snapshots = [*snapshots_of(folder)]
    starts: list[Snapshot | None] = [None, *snapshots] if oldest_base(folder) == 0 else [*snapshots]
    enough = [n for n, start in enumerate(starts) if start is None or turns_before(start.state, engine) <= after]
    reason: Exception | None = None
    for start in starts[enough[-1] if enough else 0 :]:
        replay = Replay(node, load, read_frame, checksums(), engine, until)
        excerpt = Excerpt(replay, engine, after)
        try:
            _read(folder, start, replay, excerpt)
        except (*REFUSALS, Damaged) as error:  # turns of other code: a reload lies between
            reason = error
            continue
        return excerpt
    raise reason or OSError("its log has no place to begin at")


def _read(folder: Folder, start: Snapshot | None, replay: Replay, excerpt: Excerpt) -> None:
    if start is not None:
        replay.restore(start.state)
    scan = Scan(segments_of(folder, history=True), checksums(), None, 0 if start is None else start.position)
    with suppress(Enough):
        for found in scan.batches():
            excerpt.apply(found)
    excerpt.close()
