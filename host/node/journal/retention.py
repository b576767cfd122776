"""Which files of a log are needed, which are history, and which history is due for removal.

Pure: the files there are go in, a plan comes out. Two snapshots are kept; segments before the older one are archived;
archived segments are removed, the oldest first, beyond `bytes_max` or once older than `age_ns_max`. Of older snapshots
one every SNAPSHOT_BYTES stays, as a start for replays of history. Ended logs are history as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from host.config.spec import JournalSpec

SNAPSHOTS_KEPT: Final = 2
RETAIN_BYTES: Final = JournalSpec().retain_bytes
RETAIN_NS: Final = JournalSpec().retain_ns
SNAPSHOT_TURNS: Final = 10_000
"""Turns since the last snapshot after which another is due."""
SNAPSHOT_BYTES: Final = 64 << 20
"""Bytes of log since the last snapshot after which another is due."""
SNAPSHOT_EVERY_NS: Final = 1_000_000_000
"""Between two snapshots, at least."""


class Segment(NamedTuple):
    """A segment file: its number, the positions it covers, and when it was made."""

    number: int
    base: int
    end: int
    made_ns: int


class RetentionPlan(NamedTuple):
    """The work to do, in this order. Numbers of segments; positions of snapshots."""

    archive: list[int]
    remove: list[int]
    forget: list[int]


def plan(
    live: Sequence[Segment],
    archived: Sequence[Segment],
    snapshots: Sequence[int],
    now_ns: int,
    bytes_max: int = RETAIN_BYTES,
    age_ns_max: int = RETAIN_NS,
) -> RetentionPlan:
    """The plan after a snapshot. Lists are in order, oldest first; `snapshots` are positions that were verified."""
    kept = snapshots[-SNAPSHOTS_KEPT:]
    is_safe = len(kept) == SNAPSHOTS_KEPT
    archive = [segment for segment in live[:-1] if is_safe and segment.end <= kept[0]]
    history = [*archived, *archive]
    total = sum(segment.end - segment.base for segment in history)
    removed = 0
    while removed < len(history) and (total > bytes_max or now_ns - history[removed].made_ns > age_ns_max):
        total -= history[removed].end - history[removed].base
        removed += 1
    left = [*history[removed:], *live[len(archive) :]]
    remove = [segment.number for segment in history[:removed]]
    return RetentionPlan(
        [segment.number for segment in archive], remove, _forget(snapshots, left[0].base if left else 0)
    )


def _forget(snapshots: Sequence[int], oldest: int) -> list[int]:
    """Snapshots where no replay would begin: older than the oldest segment, or close behind another of the history."""
    forget, last = [], None
    for position in snapshots[:-SNAPSHOTS_KEPT]:
        if position < oldest or (last is not None and position - last < SNAPSHOT_BYTES):
            forget.append(position)
        else:
            last = position
    return forget


class Over(NamedTuple):
    """A log that is no longer needed: its name, its length, when it ended (nanoseconds since 1970)."""

    name: str
    bytes: int
    ended_ns: int


def over_at(logs: Iterable[Over], now_ns: int, bytes_max: int = RETAIN_BYTES, age_ns_max: int = RETAIN_NS) -> list[str]:
    """Which of the ended logs to remove, the oldest first, so that together they keep to the bounds of one log."""
    ordered = sorted(logs, key=lambda log: (log.ended_ns, log.name))
    total = sum(log.bytes for log in ordered)
    gone = 0
    while gone < len(ordered) and (total > bytes_max or now_ns - ordered[gone].ended_ns > age_ns_max):
        total -= ordered[gone].bytes
        gone += 1
    return [log.name for log in ordered[:gone]]
