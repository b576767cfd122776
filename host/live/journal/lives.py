"""Counts the lives of a node with a journal: epochs of engines without one must rise from life to life.

A journaled receiver remembers its senders' positions. A sender without a journal, or a session, counts from 1 again in
each life of the node; its epoch has to be higher than all before, or its mail is taken for repeats. The count rises
before any process of the life is born, and is on the disk before it is used.

If the count is lost while there are logs (they were imported, or the file was removed or overwritten), it continues
from the seconds since 1970, which is above any earlier count, and any earlier such start.
"""

from __future__ import annotations

import os
import time
from typing import Final

from host.live.journal.data_folder import JOURNAL, NotAJournal, pin
from host.live.journal.folder import replace_file

LIVES: Final = "lives"


LIVES_MAX: Final = 1 << 31
"""More than the lives of any node, and than the seconds since 1970 until 2038; epochs have room for it."""


def begin_life(data: str, node: str, roots: tuple[str, ...]) -> int:
    """The number of this life, from 1. Called under the lock of the data folder. Raises OSError.

    The hash seed is that of the first life: under another one, rules that iterate over a `set` may act differently in a
    replay. A supervisor is started under a known seed (`host.live.control.begin`).
    """
    seed = int(os.environ["PYTHONHASHSEED"])
    try:
        record = pin(data, node, roots, seed)
    except NotAJournal as error:
        raise OSError(str(error)) from error
    pinned = record.hash_seed
    if record.node != node:
        raise OSError(f"the journal in {data} is that of node {record.node}, and this is {node}: name another `data`")
    if pinned != seed:
        raise OSError(f"the journal in {data} was written under PYTHONHASHSEED={pinned}, and this is {seed}")
    folder = os.path.join(data, JOURNAL)
    path = os.path.join(folder, LIVES)
    life = 1 + _lived(folder, path)
    replace_file(path, str(life).encode("ascii"))
    return life


def _lived(folder: str, path: str) -> int:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            counted = file.read()
    except FileNotFoundError:
        return int(time.time()) if any(entry.is_dir() for entry in os.scandir(folder)) else 0
    return int(counted) if counted.isdecimal() and int(counted) < LIVES_MAX else int(time.time())
