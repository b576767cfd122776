"""Re-executes a log for commands: the state at any turn, the first divergence, the difference of two states.

These functions run families, so they are called in the child process of `run_in_child`; they return plain data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engines.model import AdoptError, encode
from engines.model.check.determinism import compare
from engines.model.store.dump import read_dump
from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.frames import read_frame
from host.live.journal.log_files import numbers_of, read_snapshot_file, scan_from, segment_names
from host.live.journal.versions import LogCode
from host.node.journal.checking import Diverged
from host.node.journal.layout import Wrong
from host.node.journal.replay import LogState, Replay
from host.node.journal.scan import Scan, SegmentData
from host.node.journal.snapshot_file import Snapshot
from host.node.journal.stream import Enough, Stream


class NotRetained(Exception):
    """The turn asked for is older than the history kept, or newer than the last one."""


def states(
    path: str, node: str, roots: Sequence[str], engine: str | None, until: int | None, *, verify: bool
) -> list[dict[str, Any]]:
    """The engines of a log after turn `until`, or after the last.

    With `verify` the replay begins as early as it can, and compares its state with each snapshot and digest on the way;
    without it, `diverged` reports an engine whose state does not match the last digest. Each turn is run by the version
    that made it (`LogCode`). `other_code` are versions that are not kept, whose turns the present code has run; those
    that it cannot reproduce are left out: the replay begins at a later snapshot. `from_turn` is the turn of it.
    Raises `Damaged`, `Newer`, `Diverged`, `NotRetained`, LoadError.
    """
    replay = _replayed(Folder(path), node, roots, engine, until, verify=verify)
    names = [engine] if engine is not None else sorted(replay.streams)
    found = [stream for stream in (replay.of(name) for name in names) if stream is not None]
    if engine is not None and not found:
        raise NotRetained(f"{engine} has no stream in this log")
    for stream in found:
        if until is not None and stream.turns < until:
            raise NotRetained(f"{engine} has made {stream.turns} turns, not {until}")
    diverged = replay.diverged()
    return [_item(stream, diverged.get(stream.name)) for stream in found]


def difference(
    path: str, node: str, roots: Sequence[str], engine: str, first: int, second: int
) -> list[dict[str, Any]]:
    """Where the environment of `engine` after turn `second` differs from that after turn `first`. Raises as `states`.

    Each state is shown in the shape of the version that it was made by; `other_code` as for `states`.
    """
    streams = [_stream(path, node, roots, engine, turn) for turn in (first, second)]
    before, after = (encode(_parts(stream.family.dump(stream.env))) for stream in streams)
    other = sorted({code for stream in streams for code in _other_code(stream)})
    return [
        {"where": one.where, "from": one.first, "to": one.second, "other_code": other} for one in compare(before, after)
    ]


def _stream(path: str, node: str, roots: Sequence[str], engine: str, turn: int) -> Stream:
    replay = _replayed(Folder(path), node, roots, engine, turn, verify=False)
    stream = replay.of(engine)
    if stream is None or stream.turns < turn:
        made = "no stream in this log" if stream is None else f"made {stream.turns} turns, not {turn}"
        raise NotRetained(f"{engine} has {made}")
    return stream


def _other_code(stream: Stream) -> list[str]:
    return sorted(stream.codes - {stream.family.version})


def _replayed(
    folder: Folder,
    node: str,
    roots: Sequence[str],
    engine: str | None,
    until: int | None,
    *,
    verify: bool,
) -> Replay:
    sums, code = checksums(), LogCode(roots)
    snapshots = [*snapshots_of(folder)]
    start = _start(folder, snapshots, engine, until, verify=verify)
    first: Diverged | AdoptError | None = None
    while True:
        only = None if engine is None else {engine}
        replay = Replay(node, code.of(folder.path), read_frame, sums, only, until, across=True, verify=verify)
        try:
            if start is None or until is None or turns_before(start.state, engine) < until:
                _run(replay, folder, start, snapshots if verify else [])
            else:
                replay.restore(start.state)
        except (Diverged, AdoptError) as error:
            if code.note:
                error.add_note(code.note)
            later = _behind(snapshots, start, until, engine) if _is_by_other_code(replay, error) else None
            if later is None:
                raise first or error from None
            first, start = first or error, later
        else:
            if first is not None and any(stream.is_by_other_code for stream in replay.streams.values()):
                raise first
            return replay


def _is_by_other_code(replay: Replay, error: Diverged | AdoptError) -> bool:
    """Whether another version made turns that cannot be run again here: a reload after them may be a place to begin."""
    if isinstance(error, AdoptError):
        return True
    stream = replay.of(error.engine)
    return stream is not None and stream.is_by_other_code


def _behind(
    snapshots: list[Snapshot], start: Snapshot | None, until: int | None, engine: str | None
) -> Snapshot | None:
    """The next snapshot to begin with that is not after the turn asked for."""
    position = -1 if start is None else start.position
    later = [one for one in snapshots if one.position > position]
    return next((one for one in later if until is None or turns_before(one.state, engine) <= until), None)


def _run(replay: Replay, folder: Folder, start: Snapshot | None, held_against: list[Snapshot]) -> None:
    """Replay the log from `start` on, until `replay` has enough."""
    if start is not None:
        replay.restore(start.state)
    expected = {one.position: one.state for one in held_against}
    scan = scan_from(folder, start)
    try:
        for found in scan.batches():
            if found.begins and scan.last is not None and scan.last.base in expected:
                hold_against(replay, expected[scan.last.base])
            replay.apply(found)
    except Enough:
        pass


def snapshots_of(folder: Folder, *, newest_first: bool = False) -> Iterator[Snapshot]:
    """The snapshots that can be read, the oldest first unless `newest_first`."""
    positions = numbers_of(folder, ".snap")
    for position in reversed(positions) if newest_first else positions:
        try:
            yield read_snapshot_file(folder, position, checksums())
        except Wrong:
            continue


def _start(
    folder: Folder, snapshots: list[Snapshot], engine: str | None, until: int | None, *, verify: bool
) -> Snapshot | None:
    """The snapshot to begin with: as late as the turn allows, with `verify` as early as possible. None: the birth."""
    has_all = oldest_base(folder) == 0
    usable = [one for one in snapshots if until is None or turns_before(one.state, engine) <= until]
    if has_all and (verify or not usable):
        return None
    if not usable:
        oldest = min((turns_before(one.state, engine) for one in snapshots), default=0)
        raise NotRetained(f"retained from turn {oldest}")
    return usable[0] if verify else usable[-1]


def first_start(folder: Folder, snapshots: list[Snapshot]) -> Snapshot | None:
    """The earliest place to begin with; None: the birth. Raises `NotRetained`."""
    return _start(folder, snapshots, None, None, verify=True)


def oldest_base(folder: Folder) -> int:
    """Where the history kept begins; 0: with the births."""
    oldest = [SegmentData(name, number, folder.read(name)) for name, number in segment_names(folder)[:1]]
    scan = Scan(oldest, checksums(), None)
    next(scan.batches(), None)
    return scan.last.base if scan.last is not None else 0


def turns_before(state: LogState, engine: str | None) -> int:
    """The turns of an engine before a snapshot, or the most of any engine."""
    return max((image.turns for image in state.streams if engine in (None, image.cell.name)), default=0)


def hold_against(replay: Replay, state: LogState) -> None:
    """Check that a snapshot equals the state of the replay at that place. Raises `Diverged`."""
    for image in state.streams:
        name = image.cell.name
        stream = replay.streams.get(name)
        if stream is None or image.code != stream.family.version:
            continue
        if stream.family.dump(stream.env) != image.cell.env:
            found = compare(encode(_parts(image.cell.env)), encode(_parts(stream.family.dump(stream.env))))
            text = "; ".join(f"{one.where}: {one.first}, {one.second}" for one in found[:3])
            raise Diverged(name, stream.turns, "a snapshot", f"another state ({text})")


def _item(stream: Stream, diverged: Diverged | None) -> dict[str, Any]:
    parts = _parts(stream.family.dump(stream.env))
    suspension = stream.cell.suspension
    return {
        "engine": stream.name,
        "turn": stream.turns,
        "from_turn": stream.from_turn,
        "family": stream.family.ref,
        "code": stream.family.version,
        "time": stream.clock_ns,
        "state": parts["state"],
        "mailboxes": {str(number): _mailbox(state, stored) for number, state, _, stored in parts["mailboxes"]},
        "timers": {name: deadline_ns for name, _, deadline_ns in parts["timers"]},
        "waiting": stream.cell.depth,
        "unacked": sum(map(len, stream.kept.unacked.values())),
        "question": list(suspension.question.options) if suspension is not None else [],
        "diverged": "" if diverged is None else str(diverged),
        "other_code": _other_code(stream),
    }


def _mailbox(state: Any, stored: list[Any]) -> dict[str, Any]:
    return {"state": state, "stored": [{"sender": sender, "message": message} for _, sender, _, message in stored]}


def _parts(dump: bytes) -> dict[str, Any]:
    parts = read_dump(dump)
    return {name: msgspec.msgpack.decode(encode(getattr(parts, name))) for name in parts.__struct_fields__}
