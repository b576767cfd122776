"""Finds engines whose stream lies in the log of another slot: a changed placement must not let them begin anew.

The search runs before a log's writer begins, for engines that are new in that log; no family is needed. A child that
was just spawned is not looked for: its name was never used. The first process of a life that searches reads all logs
except those marked `over`, once, and writes its findings to the file `homes`, under its lock, for the others. A kill
leaves an unreadable file, or one of an earlier life; the next process that searches then reads the logs again. Within a
life the findings stay true: an engine does not move, and a name is not used twice. Before an engine is refused, the one
log in question is read again.

Other logs may be written meanwhile by their own workers: a batch being written looks torn, and if a file was archived
during the reading, the log is read again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from typing import Final

import msgspec

from host.live.journal.checksums import checksums
from host.live.journal.data_folder import file_name, slot_name
from host.live.journal.folder import Folder
from host.live.journal.log_files import newest_snapshot, numbers_of, start_of
from host.live.journal.over import is_over
from host.node.journal.layout import Newer
from host.node.journal.records import RecordKind
from host.node.journal.scan import Damaged, Scan

LOOKS: Final = 5
HOMES: Final = "homes"


class Elsewhere(Exception):
    """Engines are, or may be, in the log of another slot: which engines, which log, and what to do."""


class Homes(msgspec.Struct, frozen=True):
    """The folders of living engines, and the reasons for logs that could not be read, as found in a `life`."""

    life: int
    engines: dict[str, list[str]]
    unknown: dict[str, str]


def refuse_elsewhere(journal: str, names: Iterable[str], life: int) -> None:
    """Refuse `names`, which are not in the log of this folder, if one of them lives in a log beside it.

    Raises `Elsewhere`, also when a log beside it cannot be read; OSError.
    """
    wanted = sorted(set(names))
    if not wanted:
        return
    above, own = os.path.split(os.path.abspath(journal))
    homes = _homes(above, life)
    for folder, finding in homes.unknown.items():
        if folder != own:
            where = os.path.join(above, folder)
            raise Elsewhere(f"{', '.join(wanted)} may be in the log {where}, which cannot be read: {finding}")
    there = sorted({folder for name in wanted for folder in homes.engines.get(name, ())} - {own})
    for folder in there:
        _refuse(above, folder, wanted)


def refuse_logs_of_their_own(journal: str, names: Iterable[str]) -> None:
    """Refuse `names`, to be born in this log, if one has a log of its own, from when children had their own processes.

    Raises `Elsewhere`, OSError.
    """
    above = os.path.dirname(os.path.abspath(journal))
    for name in names:
        folder = os.path.join(above, file_name(name))
        if os.path.isdir(folder) and numbers_of(Folder(folder), ".log"):
            raise Elsewhere(_sentence([name], name, folder))


def _refuse(above: str, folder: str, wanted: list[str]) -> None:
    path = os.path.join(above, folder)
    if os.path.isdir(path) and (there := sorted(_look(Folder(path)).intersection(wanted))):
        raise Elsewhere(_sentence(there, slot_name(folder), path))


def _sentence(names: list[str], slot: str, path: str) -> str:
    return (
        f"the state of {', '.join(names)} is in the log of {slot!r} ({path}), where an "
        f"earlier placement put it: change the placement back, or move that log away to begin anew"
    )


def _homes(journal: str, life: int) -> Homes:
    """The findings of this life, gathered now if there are none yet."""
    fd = os.open(os.path.join(journal, HOMES), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(fd, "r+b") as file:
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            known = msgspec.json.decode(file.read(), type=Homes)
        except msgspec.DecodeError:
            known = None
        if known is None or known.life != life:
            known = _look_everywhere(journal, life)
            file.seek(0)
            file.truncate()
            file.write(msgspec.json.encode(known))
        return known


def _look_everywhere(journal: str, life: int) -> Homes:
    engines: dict[str, list[str]] = {}
    unknown: dict[str, str] = {}
    for entry in sorted(os.scandir(journal), key=lambda entry: entry.name):
        if entry.name.startswith(".") or not entry.is_dir() or is_over(entry.path):
            continue
        try:
            for name in _look(Folder(entry.path)):
                engines.setdefault(name, []).append(entry.name)
        except (Damaged, Newer) as error:
            unknown[entry.name] = str(error)
    return Homes(life, engines, unknown)


def _look(folder: Folder) -> set[str]:
    for look in range(LOOKS):
        try:
            return living_in(folder)
        except FileNotFoundError:
            if look == LOOKS - 1:
                raise
    return set()


def living_in(folder: Folder) -> set[str]:
    """The engines in a log without a recorded end. One that stopped by itself counts until the next snapshot."""
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
            if kind == RecordKind.NAME:
                names[number] = str(body, "utf-8", "replace")
            elif kind == RecordKind.IMAGE:
                found.add(names.get(number, ""))
            elif kind == RecordKind.ENDED:
                found.discard(names.get(number, ""))
    return found
