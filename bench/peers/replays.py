"""Reading a log back: the journal by a recovery, SQLite and LMDB record by record into the bare handler.

All read batches of 64 records from the page cache, as after the death of a process. A recovery checks each batch and
record, decodes, runs guard and action, and compares outcome and outputs with the recorded ones; the others decode and
count.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from bench.peers.logs import BATCH, PAYLOAD, lmdb_log, sqlite_log
from bench.record import Counter, decoder
from bench.rounds import Contestant, Round
from engines.benchmark.oneway import SINK, Tally
from engines.model import Configuration, birth
from host.live.journal.folder import Folder
from host.live.journal.frames import frame_bytes
from host.live.journal.recovery import begin, boot_id, recover
from host.node.cell import new_cell
from host.node.journal.records import TURN, TurnResult
from host.node.journaled.keeping import EngineRecorder

NODE: Final = "bench"

Read = Callable[[str], int]
"""Read the log in a folder, and return its number of records."""


def journal(records: int) -> Contestant:
    """A recovery, without a process around it."""
    return _contestant("enginehost", records, _write_journal, _recover)


def sqlite(records: int) -> Contestant:
    """SQLite, a write-ahead log."""
    return _contestant("SQLite", records, _write_sqlite, lambda folder: _handled(_sqlite_rows(folder)))


def lmdb(records: int) -> Contestant:
    """LMDB."""
    return _contestant("LMDB", records, _write_lmdb, lambda folder: _handled(_lmdb_rows(folder)))


def _contestant(peer: str, records: int, write: Callable[[str, int], None], read: Read) -> Contestant:
    """The log is written in the first round, and read in each."""
    stack, folders = ExitStack(), list[str]()
    batches = max(records // BATCH, 1)

    def run() -> Round:
        if not folders:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="enginehost-bench-"))
            write(folder, batches)
            folders.append(folder)
        began_ns = time.perf_counter_ns()
        found = read(folders[0])
        return Round(found * 1e9 / (time.perf_counter_ns() - began_ns), found)

    return Contestant(peer, run, stack.close)


def _log(path: str) -> str:
    return os.path.join(path, "log")


def _write_journal(path: str, batches: int) -> None:
    """Write a sink's birth and all its records, as a worker does."""
    folder, boot = Folder(_log(path), make=True), boot_id()
    log = begin(folder, recover(folder, NODE, _family, boot), boot, time.time_ns, durable=False)
    configuration = Configuration[Any](NODE, "sink", None, None, 1)
    env = birth(SINK, configuration, now_ns=1, state=Tally(batches * BATCH + 1))
    log.record("sink", EngineRecorder(new_cell(SINK, configuration, env, {}), "crash", 1).image("birth", 1))
    turns = TURN.pack(1, 0, TurnResult.COMMITTED, 0) * BATCH
    for number in range(batches):
        first_n = number * BATCH + 1
        log.frame("sink", frame_bytes("source", "sink", 0, 1, first_n, [PAYLOAD] * BATCH))
        log.run("sink", "source", 0, 1, first_n, SINK.version, BATCH, turns)
        log.append()
    log.close()


def _recover(path: str) -> int:
    found = recover(Folder(_log(path)), NODE, _family, boot_id())
    left = found.replay.streams["sink"].env.state.left
    if left != 1:
        raise AssertionError(f"{left - 1} of {found.turns} records are missing")
    return found.turns


def _family(_ref: str) -> Any:
    return SINK


def _write_sqlite(path: str, batches: int) -> None:
    with ExitStack() as stack:
        append = sqlite_log(path, stack, durable=False)
        for number in range(batches):
            append(number)


def _sqlite_rows(path: str) -> Iterator[bytes]:
    base = sqlite3.connect(_log(path))
    try:
        for (record,) in base.execute("select record from log order by n"):
            yield record
    finally:
        base.close()


def _write_lmdb(path: str, batches: int) -> None:
    with ExitStack() as stack:
        append = lmdb_log(path, stack, durable=False)
        for number in range(batches):
            append(number)


def _lmdb_rows(path: str) -> Iterator[bytes]:
    base = importlib.import_module("lmdb").open(_log(path), map_size=1 << 32, readonly=True)
    try:
        with base.begin() as transaction, transaction.cursor() as cursor:
            for _, record in cursor:
                yield record
    finally:
        base.close()


def _handled(rows: Iterator[bytes]) -> int:
    counter, decode = Counter(), decoder.decode
    handle = counter.handle
    for row in rows:
        handle(decode(row))
    return counter.count
