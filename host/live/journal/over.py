"""Logs of ended children: marked, so that no start reads them in search of living engines, and later removed.

A child in a process of its own has a log of its own. That log is not needed once the child ended, its outputs were
acknowledged, and its end is in its parent's log. An engine of the node file is started by every life of the node, so
its log stays. The mark is a file `over` in the log's folder; it contains the number of the life that wrote it.

    state      what is there                         who continues from it
    living     a log                                 the child's process
    ended      its last turn is in the log           the process: outputs are sent until they are acknowledged
    over       the mark                              the process; supervisor and parent learn of it, the parent logs it
    known      the same, `ended_logs` knows it too   the supervisor, by `journal: {retain_bytes, retain_ns}`
    going      `.gone-<name>` instead of the folder  the supervisor of this life, or of the next

A kill after

    ended      the parent spawns the child again; its process finds the end in the log, sends what is unacknowledged
    over       the same, and nothing is left to send
    known      only time is lost; a mark of an earlier life is known once every slot of this life runs, and no
               parent spawned the child again
    going      the next life removes it

A loss of power may keep the mark and lose the end, in `crash` mode. A process that begins to write such a log again,
because its parent's log lost as much, first removes the mark and syncs that. Nothing else is synced: a lost mark costs
one reading of the log.

A removal takes the log's lock, which the log's process holds for life. `replay`, `history` and `journal` read a marked
log like any other.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from host.live.journal.folder import note_path, sync_folder
from host.node.journal.retention import Over

OVER: Final = "over"
LOCK: Final = "lock"
GONE: Final = ".gone-"
"""Prefix of a folder being removed. The name of a log's folder never begins with a dot."""


def mark_over(folder: str, life: int) -> None:
    """Mark the log in `folder` as not needed any more. Called by its writer. Raises OSError."""
    with open(os.path.join(folder, OVER), "w", encoding="ascii") as file:
        file.write(str(life))


def unmark(folder: str) -> None:
    """Remove the mark, also from the disk, before the log is written again. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, OVER))
        sync_folder(folder)


def is_over(folder: str) -> bool:
    """Whether there is a mark."""
    return os.path.exists(os.path.join(folder, OVER))


def closed_before(journal: str, life: int, needed: frozenset[str]) -> dict[str, Over]:
    """The logs that an earlier life marked, but for the folders `needed`. Raises OSError.

    The removals that it began are completed first.
    """
    found = []
    for entry in list(os.scandir(journal)):
        if entry.name.startswith(GONE) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif entry.is_dir() and entry.name not in needed:
            by = _life_of(entry.path)
            if by is not None and by < life:
                found.append(entry.name)
    return extents(journal, found)


def extents(journal: str, names: Iterable[str]) -> dict[str, Over]:
    """The marked ones of these logs: bytes of their files, and time of the mark. Raises OSError."""
    found = {}
    for name in names:
        folder = os.path.join(journal, name)
        if is_over(folder):
            size = sum(entry.stat().st_size for entry in os.scandir(folder))
            found[name] = Over(name, size, os.stat(os.path.join(folder, OVER)).st_mtime_ns)
    return found


def try_remove(folder: str) -> bool:
    """Remove a marked log; False if its process is not gone yet, or the mark was removed. Raises OSError."""
    above, name = os.path.split(folder)
    aside = os.path.join(above, GONE + name)
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_over(folder):
            return False
        with suppress(FileNotFoundError):
            os.unlink(note_path(folder))
        os.rename(folder, aside)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    shutil.rmtree(aside)
    return True


def _life_of(folder: str) -> int | None:
    """The life that marked the log; None without a mark, 0 where a loss of power emptied it."""
    try:
        with open(os.path.join(folder, OVER), encoding="ascii", errors="replace") as file:
            content = file.read()
    except OSError:
        return None
    return int(content) if content.isdigit() else 0
