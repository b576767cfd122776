"""Increments in a store on this machine's disk, by one process: SQLite and LMDB, so many in a transaction, not synced.

Each increment reads its counter and writes it, as a transaction of the ordering engines does.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench.peers.installed import require
from bench.rounds import Contestant, Round

Increment = Callable[[Sequence[bytes]], None]
"""Increment the counters of these keys, in one transaction."""


def sqlite(increments: int, keys: int, group: int) -> Contestant:
    """SQLite with a write-ahead log, `synchronous` OFF."""
    return _contestant("SQLite", increments, keys, group, _sqlite)


def lmdb(increments: int, keys: int, group: int) -> Contestant:
    """LMDB, not synced."""
    return _contestant("LMDB", increments, keys, group, _lmdb)


def _contestant(
    peer: str, increments: int, keys: int, group: int, opened: Callable[[str, ExitStack], Increment]
) -> Contestant:
    names = [b"counter %d" % number for number in range(keys)]

    def run() -> Round:
        with ExitStack() as stack:
            increment = opened(stack.enter_context(tempfile.TemporaryDirectory(prefix="enginehost-bench-")), stack)
            groups = [
                [names[number % keys] for number in range(first, min(first + group, increments))]
                for first in range(0, increments, group)
            ]
            began_ns = time.perf_counter_ns()
            for one in groups:
                increment(one)
            return Round(increments * 1e9 / (time.perf_counter_ns() - began_ns), increments)

    return Contestant(peer, run)


def _sqlite(path: str, stack: ExitStack) -> Increment:
    base = sqlite3.connect(os.path.join(path, "keys"), isolation_level=None)
    stack.callback(base.close)
    base.execute("pragma journal_mode = wal")
    base.execute("pragma synchronous = off")
    base.execute("create table keys (key blob primary key, value integer) without rowid")

    def increment(keys: Sequence[bytes]) -> None:
        base.execute("begin")
        for key in keys:
            found = base.execute("select value from keys where key = ?", (key,)).fetchone()
            base.execute("insert or replace into keys values (?, ?)", (key, 1 if found is None else found[0] + 1))
        base.execute("commit")

    return increment


def _lmdb(path: str, stack: ExitStack) -> Increment:
    require("lmdb")
    base = importlib.import_module("lmdb").open(os.path.join(path, "keys"), map_size=1 << 30, sync=False)
    stack.callback(base.close)

    def increment(keys: Sequence[bytes]) -> None:
        with base.begin(write=True) as transaction:
            for key in keys:
                found = transaction.get(key)
                transaction.put(key, (1 if found is None else int.from_bytes(found, "big") + 1).to_bytes(8, "big"))

    return increment
