"""Rescues the state of a writer whose log was removed: writes it to a new log, where the old one was.

A writer whose file is removed keeps a file without a name: appends succeed, and vanish with the process. The writer
notices within seconds (`Tending`), or before the next append if it was idle, and acknowledges nothing more. Then

    the folder is there, or none is      a new segment, and a snapshot of all engines, with the turns that were not
                                         appended yet: nothing that was acknowledged is lost
    another log is there                 nothing is written. What was acknowledged since is lost with this process

and in both cases the process reports `journal_gone` and exits, and its slot is degraded until an operator acts:
`restart` continues from what is at the place by then. Crash points: a segment without its snapshot is refused as
damaged, since its base claims earlier content; after a kill before that, the place is unchanged.

A folder that was moved with the log in it is not such a case: the writer follows it (`Folder.has`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from host.live.journal.checksums import checksums
from host.live.journal.folder import Folder
from host.live.journal.log_files import numbers_of
from host.live.journal.over import LOCK
from host.live.journal.snapshots import write_snapshot
from host.live.journal.writer import Journal, LogStopped
from host.node.journal.layout import Wrong
from host.node.journal.replay import LogState

ANOTHER = "another log lies there"


def rescue(path: str, gone: Journal, state: LogState, clock: Callable[[], int], lock: int) -> str:
    """Write a slot's state to a new log at `path`; "" or why not. `lock` is the descriptor of the old log's lock."""
    try:
        folder = Folder(path, make=True)
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


def _is_free(folder: Folder, lock: int) -> bool:
    """Whether the folder is the one whose lock this process holds, or has no log in it."""
    place = os.path.join(folder.path, LOCK)
    if os.path.exists(place):
        return os.path.samestat(os.stat(place), os.fstat(lock))
    return not (numbers_of(folder, ".log") or numbers_of(folder, ".snap"))
