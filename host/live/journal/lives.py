"""How often a node with a journal was started: so that epochs of what has none rise over its lives.

A journaled receiver remembers its senders' positions. A sender without a journal, or a session, counts from 1 again in
each life of the node; its epoch has to be higher than all before, or its mail is taken for repeats. Counted before any
process of that life is born, on the disk before it is used.
"""

from __future__ import annotations

import os
from typing import Final

from host.live.journal.data_folder import JOURNAL, NotAJournal, pin
from host.live.journal.folder import sync_folder

LIVES: Final = "lives"


def begin_life(data: str, node: str, roots: tuple[str, ...]) -> int:
    """The number of this life, from 1. Called under the lock of the data folder. Raises OSError.

    The hash seed is that of the first life: under another one, rules that go through a `set` may not do again what they
    did. A supervisor is started under one that is known (`host.live.control.begin`).
    """
    seed = int(os.environ["PYTHONHASHSEED"])
    try:
        pinned = pin(data, node, roots, seed).hash_seed
    except NotAJournal as error:
        raise OSError(str(error)) from error
    if pinned != seed:
        raise OSError(f"the journal in {data} was written under PYTHONHASHSEED={pinned}, and this is {seed}")
    folder = os.path.join(data, JOURNAL)
    path = os.path.join(folder, LIVES)
    life = 1
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            life += int(file.read())
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(str(life))
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
    sync_folder(folder)
    return life
