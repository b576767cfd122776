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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from host.live.journal.folder import sync_folder

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


def life_of(folder: str) -> int | None:
    """The life that marked the log; None without a mark, 0 where a loss of power emptied it."""
    try:
        with open(os.path.join(folder, OVER), encoding="ascii", errors="replace") as file:
            content = file.read()
    except OSError:
        return None
    return int(content) if content.isdigit() else 0


def extent(folder: str) -> tuple[int, int]:
    """Bytes of a log's files, and the time of its mark, in nanoseconds since 1970. Raises OSError."""
    total = sum(entry.stat().st_size for entry in os.scandir(folder))
    return total, os.stat(os.path.join(folder, OVER)).st_mtime_ns


def try_remove(folder: str) -> bool:
    """Remove a marked log; False if its process is not gone yet, or the mark was removed. Raises OSError."""
    above, name = os.path.split(folder)
    aside = os.path.join(above, GONE + name)
    with _locked(folder) as is_ours:
        if not is_ours or not is_over(folder):
            return False
        os.rename(folder, aside)
    shutil.rmtree(aside)
    return True


def finish_removals(journal: str) -> None:
    """Complete the removals that an earlier life began. Raises OSError."""
    for entry in os.scandir(journal):
        if entry.name.startswith(GONE) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)


@contextmanager
def _locked(folder: str) -> Iterator[bool]:
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)
