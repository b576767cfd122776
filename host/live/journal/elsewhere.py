"""Engines whose stream lies in the log of another slot: a changed placement must not let them begin anew.

Read before a log's writer begins, for engines that are new in it; no family is needed, nothing is changed. The other
log may be written meanwhile by its own worker: what is being written looks torn, and a file that was archived between
two looks is looked for again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from host.live.journal.checksums import checksums
from host.live.journal.data_folder import slot_name
from host.live.journal.folder import DiskFolder, Folder
from host.live.journal.log_files import newest_snapshot, start_of
from host.node.journal.records import Kind
from host.node.journal.scan import Scan

LOOKS: Final = 5


class Elsewhere(Exception):
    """Engines are in the log of another slot: which, in which, and what to do."""


def refuse_elsewhere(journal: str, names: Iterable[str]) -> None:
    """Whether one of `names`, which the log in this folder does not have, lives in a log beside it.

    Raises `Elsewhere`; `Damaged`, `Newer`, OSError of a log that cannot be read, since nobody knows then.
    """
    wanted = set(names)
    if not wanted:
        return
    for entry in sorted(os.scandir(os.path.dirname(journal)), key=lambda entry: entry.name):
        if not entry.is_dir() or os.path.abspath(entry.path) == os.path.abspath(journal):
            continue
        there = sorted(wanted & _look(DiskFolder(entry.path)))
        if there:
            raise Elsewhere(
                f"the state of {', '.join(there)} is in the log of {slot_name(entry.name)!r} ({entry.path}), where an "
                f"earlier placement put it: change the placement back, or move that log away to begin anew"
            )


def _look(folder: Folder) -> set[str]:
    for look in range(LOOKS):
        try:
            return living_in(folder)
        except FileNotFoundError:
            if look == LOOKS - 1:
                raise
    return set()


def living_in(folder: Folder) -> set[str]:
    """The engines that a log has and does not say the end of. One that stopped by itself counts, until a snapshot."""
    trusted = newest_snapshot(folder, checksums())
    segments, start = start_of(folder, trusted)
    found: set[str] = set()
    if trusted.snapshot is not None:
        found |= {image.cell.name for image in trusted.snapshot.state.streams if not image.cell.is_ended}
    names: dict[int, str] = {}
    for batch in Scan(segments, checksums(), None, start).batches():
        if batch.begins:
            names.clear()
        for kind, number, body in batch.records:
            if kind == Kind.NAME:
                names[number] = str(body, "utf-8", "replace")
            elif kind == Kind.IMAGE:
                found.add(names.get(number, ""))
            elif kind == Kind.ENDED:
                found.discard(names.get(number, ""))
    return found
