"""Appends to a log on this machine's disk, 64 records of 100 bytes per batch: the journal alone, SQLite, LMDB.

`crash`: written but not synced; it survives the process. `durable`: synced after each batch.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NoReturn

from bench.peers.installed import require
from bench.record import RECORD
from bench.rounds import Contestant, Round
from engines.model import encode
from host.live.journal.folder import Folder
from host.live.journal.frames import frame_bytes
from host.live.journal.recovery import begin, boot_id, recover

BATCH = 64
PAYLOAD = encode(RECORD)

Append = Callable[[int], None]
"""Append one batch, by its number, in the given mode."""


def journal(records: int, *, durable: bool) -> Contestant:
    """The journal's writer: each batch is the frame that contained its records."""
    return _contestant(f"journal {_mode(durable)}", records, lambda folder, _stack: _journal(folder, durable))


def sqlite(records: int, *, durable: bool) -> Contestant:
    """SQLite with a write-ahead log, a transaction per batch; `synchronous` FULL or OFF."""
    return _contestant(f"SQLite {_mode(durable)}", records, lambda folder, stack: sqlite_log(folder, stack, durable))


def lmdb(records: int, *, durable: bool) -> Contestant:
    """LMDB, a transaction per batch, synced or not."""
    return _contestant(f"LMDB {_mode(durable)}", records, lambda folder, stack: lmdb_log(folder, stack, durable))


def _mode(durable: bool) -> str:
    return "durable" if durable else "crash"


def _contestant(peer: str, records: int, opened: Callable[[str, ExitStack], Append]) -> Contestant:
    def run() -> Round:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="enginehost-bench-"))
            append = opened(folder, stack)
            batches = max(records // BATCH, 1)
            began_ns = time.perf_counter_ns()
            for number in range(batches):
                append(number)
            return Round(batches * BATCH * 1e9 / (time.perf_counter_ns() - began_ns), batches * BATCH)

    return Contestant(peer, run)


def _journal(path: str, durable: bool) -> Append:
    folder, boot = Folder(os.path.join(path, "log"), make=True), boot_id()
    found = recover(folder, "bench", _no_family, boot)
    log = begin(folder, found, boot, time.time_ns, durable=durable)
    raw = frame_bytes("source", "sink", 0, 1, 1, [PAYLOAD] * BATCH)

    def append(_number: int) -> None:
        log.frame("sink", raw)
        log.append()
        if durable:
            log.sync()

    return append


def _no_family(ref: str) -> NoReturn:
    raise AssertionError(f"{ref} in an empty log")


def sqlite_log(path: str, stack: ExitStack, durable: bool) -> Append:
    """A database at `path`/log that `stack` closes."""
    base = sqlite3.connect(os.path.join(path, "log"), isolation_level=None)
    stack.callback(base.close)
    base.execute("pragma journal_mode = wal")
    base.execute(f"pragma synchronous = {'full' if durable else 'off'}")
    base.execute("create table log (n integer primary key, record blob)")
    rows = [(PAYLOAD,)] * BATCH

    def append(_number: int) -> None:
        base.execute("begin")
        base.executemany("insert into log (record) values (?)", rows)
        base.execute("commit")

    return append


def lmdb_log(path: str, stack: ExitStack, durable: bool) -> Append:
    """As `sqlite_log`. Raises `Unavailable`."""
    require("lmdb")
    base = importlib.import_module("lmdb").open(os.path.join(path, "log"), map_size=1 << 32, sync=durable)
    stack.callback(base.close)

    def append(number: int) -> None:
        with base.begin(write=True) as transaction:
            for n in range(number * BATCH, (number + 1) * BATCH):
                transaction.put(n.to_bytes(8, "big"), PAYLOAD, append=True)

    return append
