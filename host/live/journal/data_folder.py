"""The journals of a node: `journal/` in its data folder, one folder a slot, and `node.json` with what a replay needs.

`node.json` pins what a replay depends on: the node's name, the code roots, and the hash seed of its workers. It is
written once, whole or not at all; later roots come from the node file. One node at a time: the supervisor holds the
data folder's lock (`lock_data`), as does a command that changes a log.
"""

from __future__ import annotations

import os
import re
from typing import Final

import msgspec

from host.live.journal.folder import NOTE, Folder, make_folders, replace_file

FORMAT: Final = 1
NODE: Final = "node.json"
JOURNAL: Final = "journal"
_NOTE: Final = re.compile(re.escape(NOTE).replace(re.escape("{}"), "(.+)"))
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.#~-]+")


class NodeRecord(msgspec.Struct, frozen=True):
    """What a data folder pins."""

    format: int
    node: str
    roots: tuple[str, ...]
    hash_seed: int


class NotAJournal(Exception):
    """A path that leads to no journal; the text names what was looked for."""


class Occupied(Exception):
    """There is already a journal at the target."""


class Logs(msgspec.Struct, frozen=True):
    """Logs that a path leads to: their folders by name. `data` is the data folder.

    `gone` are the places of logs that are noted, and have no folder any more.
    """

    data: str
    node: NodeRecord
    folders: dict[str, str]
    gone: dict[str, str] = {}


def pin(data: str, node: str, roots: tuple[str, ...], hash_seed: int) -> NodeRecord:
    """The record of a data folder, written now if there is none. Raises OSError, `NotAJournal`."""
    folder = os.path.join(data, JOURNAL)
    path = os.path.join(folder, NODE)
    if os.path.exists(path):
        return read_record(folder)
    make_folders(folder)
    record = NodeRecord(FORMAT, node, roots, hash_seed)
    replace_file(path, msgspec.json.encode(record))
    return record


def log_folder(data: str, slot: str, *, make: bool = False) -> Folder:
    """The folder of a slot's log; `slot` is the name of its engine or group."""
    return Folder(os.path.join(data, JOURNAL, file_name(slot)), make=make)


def find_logs(path: str) -> Logs:
    """The logs of a data folder, of its `journal` folder, or the one log in a folder. Raises `NotAJournal`."""
    path = os.path.abspath(path)
    for data in (path, os.path.dirname(path), os.path.dirname(os.path.dirname(path))):
        folder = os.path.join(data, JOURNAL)
        if not os.path.isfile(os.path.join(folder, NODE)):
            continue
        entries = list(os.scandir(folder))
        there = {entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")}
        gone = {found[1] for entry in entries if (found := _NOTE.fullmatch(entry.name))} - there
        if path.startswith(folder + os.sep):
            one = os.path.relpath(path, folder)
            there, gone = ({one}, set()) if one not in gone else (set(), {one})
        folders, missing = (
            {slot_name(name): os.path.join(folder, name) for name in sorted(names)} for names in (there, gone)
        )
        return Logs(data, read_record(folder), folders, missing)
    raise NotAJournal(f"{path} has no {JOURNAL}/{NODE}: name the data folder of a node that keeps a journal")


def read_record(folder: str) -> NodeRecord:
    """The record in `node.json` of a journal folder. Raises `NotAJournal`."""
    path = os.path.join(folder, NODE)
    try:
        with open(path, "rb") as file:
            record = msgspec.json.decode(file.read(), type=NodeRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise NotAJournal(f"{path}: {error}") from None
    if record.format > FORMAT:
        raise NotAJournal(f"{path} is of format {record.format}; this program reads up to format {FORMAT}")
    return record


def file_name(slot: str) -> str:
    """The folder name for a slot's name: plain letters stay, any other byte is written in hexadecimal after `%`."""
    pieces = [char if _PLAIN.fullmatch(char) else "".join(f"%{byte:02x}" for byte in char.encode()) for char in slot]
    name = "".join(pieces)
    return f"%2e{name[1:]}" if name.startswith(".") else name


def slot_name(name: str) -> str:
    """The slot whose log has this folder."""
    data = re.sub(rb"%([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), os.fsencode(name))
    return data.decode("utf-8", "replace")
