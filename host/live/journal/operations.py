"""The operations of commands on the logs of a node: verify, dump, repair, export, import. None of them needs a family.

`repair` and `import_logs` change files; their caller holds the lock of the data folder. Both leave a mark that makes
every epoch rise at the next start: receivers may know more of this node's messages than the log now has.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from typing import Any, Final

from host.live.journal import log_files
from host.live.journal.checksums import checksums
from host.live.journal.data_folder import JOURNAL, NODE, Logs, NotAJournal, Occupied, read_record
from host.live.journal.folder import Folder, make_folders, note_path, read_note, sync_folder, write_whole
from host.live.journal.frames import read_frame
from host.live.journal.newest import ALL_GONE, LogMissing, least, refuse_missing
from host.live.journal.recovery import LOST, boot_id
from host.node.journal.history import Teller
from host.node.journal.layout import Newer
from host.node.journal.scan import Damaged, Scan

CHOICES: Final = (
    "put the file back from a backup (`enginehost journal import`), or `enginehost journal repair --yes` to "
    "continue without the log from there on, which is set aside, not removed"
)
MISSING_CHOICES: Final = "put it back from a backup, or `enginehost journal repair --yes` to continue without it"
HISTORY_CHOICES: Final = (
    "put the file back from a backup; a start works without it, but `replay` and `history` cannot go back beyond it"
)
_MEMBER: Final = re.compile(r"journal/(node\.json|[A-Za-z0-9_.#~%-]+/(\d{8}\.(log|arc)|\d{20}\.snap))")
MEMBER_BYTES_MAX: Final = 1 << 34


def verify(logs: Logs) -> list[dict[str, Any]]:
    """An item a log: `finding` ("" if a start would succeed), `torn` (an end it would cut), `choices` (what to do)."""
    found = [_verified(name, Folder(path)) for name, path in logs.folders.items()]
    return found + [_gone(name, path) for name, path in logs.gone.items() if least(read_note(path), boot_id())]


def _gone(name: str, path: str) -> dict[str, Any]:
    finding = f"{ALL_GONE}, with the folder {path}"
    place = {"log": name, "finding": finding, "segment": "", "offset": 0, "choices": MISSING_CHOICES}
    return {**place, "torn": "", "refused": [], "position": 0, "batches": 0, "records": 0}


def _verified(name: str, folder: Folder) -> dict[str, Any]:
    batches = records = 0
    item: dict[str, Any] = {"log": name, "finding": "", "segment": "", "offset": 0, "choices": ""}
    torn = ""
    scan: Scan | None = None
    refused: tuple[str, ...] = ()
    try:
        trusted = log_files.newest_snapshot(folder, checksums())
        refused = trusted.refused
        segments, start = log_files.start_of(folder, trusted)
        scan = Scan(segments, checksums(), boot_id(), start)
        for found in scan.batches():
            batches, records = batches + 1, records + len(found.records)
        if scan.cut is not None:
            torn = f"{scan.cut.segment} at offset {scan.cut.offset}: {scan.cut.bytes} bytes: {scan.cut.finding}"
        refuse_missing(folder, boot_id())
        item |= _history(folder, start)
    except Damaged as error:
        choices = MISSING_CHOICES if isinstance(error, LogMissing) else CHOICES
        item |= {"finding": error.finding, "segment": error.segment, "offset": error.offset, "choices": choices}
    except Newer as error:
        item |= {"finding": str(error), "choices": "use the version of enginehost that wrote it, or a later one"}
    position = 0 if scan is None else scan.end
    item |= {"torn": torn, "refused": list(refused), "position": position}
    return item | {"batches": batches, "records": records}


def _history(folder: Folder, before: int) -> dict[str, Any]:
    """Check what lies before the newest snapshot too, though no start reads it; fields of an item for damage there."""
    scan = Scan(log_files.segments_of(folder, history=True), checksums(), None)
    try:
        for found in scan.batches():
            if found.head.position >= before:
                return {}
    except Damaged as error:
        segment, offset, finding = error.segment, error.offset, error.finding
    else:
        if scan.cut is None or scan.cut.position >= before:
            return {}
        segment, offset, finding = scan.cut.segment, scan.cut.offset, scan.cut.finding
    return {"finding": f"history: {finding}", "segment": segment, "offset": offset, "choices": HISTORY_CHOICES}


def dump(logs: Logs) -> Iterator[dict[str, Any]]:
    """Every record of every log, in order, as plain data. Raises `Damaged`, `Newer` where a log cannot be read on."""
    for name, path in logs.folders.items():
        teller = Teller(read_frame)
        scan = Scan(log_files.segments_of(Folder(path), history=True), checksums(), None)
        for found in scan.batches():
            for record in teller.describe(found):
                yield {"log": name, **record}


def history(logs: Logs, engine: str) -> Iterator[dict[str, Any]]:
    """The transitions of an engine, as far as they are kept, each with its cause. Raises `Damaged`, `Newer`."""
    for path in logs.folders.values():
        yield from _turns(Folder(path), engine)


def _turns(folder: Folder, engine: str) -> Iterator[dict[str, Any]]:
    """The turns in a log; if the births are not kept, from the first snapshot on, which counts the turns before."""
    teller = Teller(read_frame)
    scan = Scan(log_files.segments_of(folder, history=True), checksums(), None)
    positions = log_files.numbers_of(folder, ".snap")
    is_known = False
    for found in scan.batches():
        base = scan.last.base if scan.last is not None else 0
        is_known = is_known or base == 0
        if found.begins and not is_known and base in positions:
            teller.restore(log_files.read_snapshot_file(folder, base, checksums()).state)
            is_known = True
        if is_known:
            yield from teller.turns_of(found, engine)


def repair(folder: Folder) -> dict[str, Any] | None:
    """Set aside what follows the first damage that keeps a log from starting; None if there is none.

    The damaged file and those after it stay beside the log under another name. A missing end is not missed any more.
    Raises OSError, `Newer`, and `Damaged` if nothing before the damage can be used.
    """
    trusted = log_files.newest_snapshot(folder, checksums())
    segments, start = log_files.start_of(folder, trusted)
    scan = Scan(segments, checksums(), boot_id(), start)
    try:
        for _ in scan.batches():
            pass
    except Damaged as error:
        if scan.last is None and trusted.snapshot is None:
            raise
        return _cut(folder, error, [segment.name for segment in segments])
    try:
        refuse_missing(folder, boot_id())
    except LogMissing as error:
        _mark_changed(folder)
        os.unlink(note_path(folder.path))
        return {"segment": error.segment, "offset": 0, "finding": error.finding, "set_aside": ""}
    return None


def _cut(folder: Folder, error: Damaged, names: list[str]) -> dict[str, Any]:
    """Crash points: each step leaves a log that is damaged at the same place, until the last rename."""
    _mark_changed(folder)
    content = bytes(folder.read(error.segment)[: error.offset])
    for name in reversed(names[names.index(error.segment) + 1 :]):
        folder.rename(name, name.rpartition(".")[0] + log_files.CUT)
    aside = error.segment.rpartition(".")[0] + log_files.CUT
    _write_anew(folder, aside + log_files.UNDER_CONSTRUCTION, bytes(folder.read(error.segment)))
    folder.rename(aside + log_files.UNDER_CONSTRUCTION, aside)
    if error.offset:
        _write_anew(folder, error.segment + log_files.UNDER_CONSTRUCTION, content)
        folder.rename(error.segment + log_files.UNDER_CONSTRUCTION, error.segment)
    else:
        folder.remove(error.segment)
    folder.sync()
    return {"segment": error.segment, "offset": error.offset, "finding": error.finding, "set_aside": aside}


def _mark_changed(folder: Folder) -> None:
    mark = folder.create(LOST) if LOST not in folder.names() else folder.open(LOST)
    mark.sync()
    mark.close()
    folder.sync()


def _write_anew(folder: Folder, name: str, data: bytes) -> None:
    if name in folder.names():
        folder.remove(name)
    write_whole(folder, name, data)


def export(logs: Logs, path: str) -> int:
    """Write all logs of a node to a tar file, even while it runs; the number of files. Raises FileExistsError, OSError.

    Snapshots are added before segments: whatever a snapshot needs is then in the file too. A batch being written is
    torn in the file, and cut at the first start after an import.
    """
    count = 0
    with open(path, "xb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        with open(os.path.join(logs.data, JOURNAL, NODE), "rb") as record:
            _add(tar, f"{JOURNAL}/{NODE}", record.read())
        for log in logs.folders.values():
            folder = Folder(log)
            for suffix in (".snap", ".arc", ".log"):
                for name in [name for name in folder.names() if name.endswith(suffix)]:
                    _add(tar, f"{JOURNAL}/{os.path.basename(log)}/{name}", bytes(folder.read(name)))
                    count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def import_logs(path: str, data: str) -> int:
    """Unpack the logs of an export into a data folder that has none, whole or not at all; the number of files.

    Raises `NotAJournal` for a file that is no export, `Occupied`, OSError.
    """
    target = os.path.join(data, JOURNAL)
    if os.path.exists(target):
        raise Occupied(f"{target} exists already: move it away first, logs are never mixed")
    fresh = target + log_files.UNDER_CONSTRUCTION
    if os.path.exists(fresh):
        raise Occupied(f"{fresh} was left by an import that did not finish: remove it")
    make_folders(fresh)
    count = 0
    try:
        with tarfile.open(path, mode="r:") as tar:
            for member in tar:
                count += _extract(tar, member, fresh)
    except (tarfile.TarError, EOFError) as error:
        raise NotAJournal(f"{path} is no export of a journal: {error}") from None
    read_record(fresh)
    for entry in list(os.scandir(fresh)):
        if entry.is_dir():
            write_whole(Folder(entry.path), LOST, b"")
            sync_folder(entry.path)
    os.rename(fresh, target)
    sync_folder(data)
    return count


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, fresh: str) -> int:
    found = _MEMBER.fullmatch(member.name)
    content = tar.extractfile(member) if member.isreg() and found else None
    if content is None or member.size > MEMBER_BYTES_MAX or "/." in member.name:
        raise NotAJournal(f"{member.name} is no file of a journal")
    folder, name = os.path.split(os.path.join(fresh, member.name.removeprefix(f"{JOURNAL}/")))
    make_folders(folder)
    write_whole(Folder(folder), name, content.read())
    sync_folder(folder)
    return int(name != NODE)
