"""Tables of bytes by key: sqlite3, always there; LMDB, an extra; and a twin's. Each is used by one thread at a time.

On the disk, a transaction that ends without an error is synced. The folder is synced when the file is made.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import takewhile
from typing import Any, Final, Protocol

from engines.model import Map

ENTRIES_BYTES_MAX: Final = 8 << 20
"""Bytes that `entries` reads, one entry more at most."""

PAGE_BYTES: Final = 4096
BUSY_S: Final = 10
"""How long a table waits for the process before it, which is ending."""


def bounded(entries: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The entries up to the one with which they reach `ENTRIES_BYTES_MAX`."""
    taken: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in entries:
        taken.append((key, value))
        size += len(key) + len(value)
        if size >= ENTRIES_BYTES_MAX:
            break
    return taken


class TableFull(Exception):
    """A transaction does not fit; nothing of it was done."""


class Table(Protocol):
    """Entries within a transaction."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        ...

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a value; None deletes."""
        ...

    def entries(self, first: bytes, prefix: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """At most `count` entries from `first` on with `prefix`, in order; fewer beyond `ENTRIES_BYTES_MAX`."""
        ...


class StoredTable(Table, Protocol):
    """A table on the disk."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything in it, synced at the end, or nothing. Raises TableFull."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class MapTable:
    """A twin's table during an order."""

    def __init__(self, values: Map[bytes, bytes]) -> None:
        self.values = values

    def get(self, key: bytes) -> bytes | None:
        """As `Table.get`."""
        return self.values.get(key)

    def put(self, key: bytes, value: bytes | None) -> None:
        """As `Table.put`."""
        self.values = self.values.set(key, value) if value is not None else self.values.without(key)

    def entries(self, first: bytes, prefix: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """As `Table.entries`."""
        keys = sorted(key for key in self.values if key >= first and key.startswith(prefix))
        return bounded((key, self.values[key]) for key in keys[:count])


class SqliteTable:
    """A table in an SQLite file, with its log beside it."""

    def __init__(self, path: str, size_bytes_max: int) -> None:
        """Open or make it. Raises OSError, sqlite3.Error."""
        os.makedirs(folder := os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        # WAL with FULL: each commit syncs the log, and only the log.
        for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.execute(f"PRAGMA max_page_count={max(1, size_bytes_max // PAGE_BYTES)}")
        self._db.execute("CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        sync_folder(folder)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in it, synced at the end, or nothing. Raises TableFull."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise TableFull(str(error)) from None
            raise

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        found = self._db.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a value; None deletes."""
        if value is None:
            self._db.execute("DELETE FROM entries WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (key, value))

    def entries(self, first: bytes, prefix: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """At most `count` entries from `first` on with `prefix`, in order; fewer beyond `ENTRIES_BYTES_MAX`."""
        rows = self._db.execute("SELECT key, value FROM entries WHERE key >= ? ORDER BY key LIMIT ?", (first, count))
        return bounded(takewhile(lambda row: row[0].startswith(prefix), rows))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class LmdbTable:
    """A table in an LMDB folder."""

    def __init__(self, path: str, size_bytes_max: int) -> None:
        """Open or make it. Raises OSError, lmdb.Error, ImportError without the extra."""
        import lmdb

        os.makedirs(path, exist_ok=True)
        self._full: type[Exception] = lmdb.MapFullError
        self._environment = lmdb.open(path, map_size=size_bytes_max)
        self._transaction: Any = None
        sync_folder(path)
        sync_folder(os.path.dirname(os.path.abspath(path)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in it, synced at the end, or nothing. Raises TableFull."""
        try:
            with self._environment.begin(write=True) as self._transaction:
                yield
        except self._full as error:
            raise TableFull(str(error)) from None

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        found: bytes | None = self._transaction.get(key)
        return found

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a value; None deletes."""
        if value is None:
            self._transaction.delete(key)
        else:
            self._transaction.put(key, value)

    def entries(self, first: bytes, prefix: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """At most `count` entries from `first` on with `prefix`, in order; fewer beyond `ENTRIES_BYTES_MAX`."""
        return bounded(self._matching(first, prefix, count))

    def _matching(self, first: bytes, prefix: bytes, count: int) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._transaction.cursor()
        found = cursor.set_range(first) if first else cursor.first()
        while found and count and cursor.key().startswith(prefix):
            yield cursor.key(), cursor.value()
            found, count = cursor.next(), count - 1

    def close(self) -> None:
        """Close the folder."""
        self._environment.close()


def sync_folder(path: str) -> None:
    """Let the names in a folder survive a loss of power. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
