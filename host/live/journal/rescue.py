"""A log that went away under its writer: what its process has goes to a new log, where the old one was.

Whoever removes a file that a process writes to leaves it a file without a name: appends succeed, and are gone with the
process. The writer notices within seconds (`Tending`), or before the next append if it was idle, and acknowledges
nothing more. Then

    the folder is there, or none is      a new segment, and the snapshot of all engines, with the turns that were not
                                         appended any more: nothing that was acknowledged is lost
    another log is there                 nothing is written. What was acknowledged since is lost with this process

and in both cases the process ends, says `journal_gone`, and its slot is degraded, for somebody to look at: `restart`
goes on from what is at the place then. Crash points: a segment without its snapshot is refused as damaged, since it
claims what is before it; a kill before that finds the place as it was left.

A folder that was moved, the log in it, is no such case: the writer follows it (`DiskFolder.has`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from host.live.journal.checksums import checksums
from host.live.journal.folder import DiskFolder
from host.live.journal.log_files import numbers_of
from host.live.journal.over import LOCK
from host.live.journal.snapshots import write_snapshot
from host.live.journal.writer import Journal, LogStopped
from host.node.journal.layout import Wrong
from host.node.journal.replay import LogState

ANOTHER = "another log lies there"


def rescue(path: str, gone: Journal, state: LogState, clock: Callable[[], int], lock: int) -> str:
    """Write what a slot is to a new log at `path`; "" or why not. `lock` is the descriptor of the lock of the old one.

    The lock of the new one is held until the process ends, if there is one to be made.
    """
    try:
        folder = DiskFolder(path, make=True)
        if not _is_free(folder, lock):
            return ANOTHER
        position = gone.position
        head = msgspec.structs.replace(
            gone.head, number=gone.head.number + 1, base=position, synced=position, made_ns=clock(), chain=gone.chain
        )
        journal = Journal(folder, head, checksums()[head.kind], clock, durable=True)
        journal.open_segment()
        write_snapshot(folder, head, state)
    except (OSError, LogStopped, Wrong) as error:
        return str(error)
    return ""


def _is_free(folder: DiskFolder, lock: int) -> bool:
    """Whether the folder is the one whose lock this process has, or has no log in it."""
    place = os.path.join(folder.path, LOCK)
    if os.path.exists(place):
        return os.path.samestat(os.stat(place), os.fstat(lock))
    return not (numbers_of(folder, ".log") or numbers_of(folder, ".snap"))
