"""The folder of a file store: files named by the hash of their content, in 256 folders, written by several threads."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from contextlib import suppress
from itertools import count
from typing import Final

from engines.devices.tables import sync_folder
from engines.model import Blob

ADDRESS_BYTES: Final = 32
INCOMING: Final = "incoming"
NAME: Final = re.compile(rf"[0-9a-f]{{{2 * ADDRESS_BYTES}}}")

LOCK_WAIT_S: Final = 10
"""How long a folder waits for the process before it, which is ending."""

LOCK_POLL_S: Final = 0.05


class FolderInUse(Exception):
    """Another process has the folder."""


def path_of(folder: str, address: bytes) -> str:
    """The file of an address. The name is made of hexadecimal digits only."""
    name = address.hex()
    return os.path.join(folder, name[:2], name)


class Folder:
    """An open folder. It holds a lock, so two nodes never write one folder."""

    def __init__(self, path: str, size_bytes_max: int) -> None:
        """Make or open it, and remove what a killed process had not finished. Raises OSError, FolderInUse."""
        self._path = os.path.abspath(path)
        self._size_bytes_max = size_bytes_max
        self._numbers = count()
        self._lock = threading.Lock()
        incoming = os.path.join(self._path, INCOMING)
        os.makedirs(incoming, exist_ok=True)
        self._held = _hold(incoming)
        for name in os.listdir(incoming):
            os.unlink(os.path.join(incoming, name))
        for number in range(256):
            os.makedirs(part := os.path.join(self._path, f"{number:02x}"), exist_ok=True)
            sync_folder(part)
        sync_folder(self._path)
        self._size_bytes = sum(os.path.getsize(self.path(address)) for address in self.addresses(b"", 1 << 62))

    def path(self, address: bytes) -> str:
        """Where the file of an address is."""
        return path_of(self._path, address)

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes more would fit."""
        return self._size_bytes + size_bytes <= self._size_bytes_max

    def read(self, address: bytes) -> bytes | None:
        """The bytes there; None: no file. Raises OSError."""
        try:
            with open(self.path(address), "rb", buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, address: bytes, content: Blob) -> bool:
        """Keep content, synced; False: it does not fit. Raises OSError. Several threads may write the same content."""
        with self._lock:
            if self._size_bytes + len(content) > self._size_bytes_max:
                return False
            self._size_bytes += len(content)
            number = next(self._numbers)
        fresh = os.path.join(self._path, INCOMING, str(number))
        try:
            _write_synced(fresh, content)
        except OSError as error:
            with self._lock:
                self._size_bytes -= len(content)
            with suppress(FileNotFoundError):
                os.unlink(fresh)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return False
            raise
        self._rename(fresh, self.path(address))
        return True

    def _rename(self, fresh: str, path: str) -> None:
        """Give a synced file its name; a damaged one of that name is replaced."""
        with self._lock:
            with suppress(FileNotFoundError):
                self._size_bytes -= os.path.getsize(path)
            os.replace(fresh, path)
        sync_folder(os.path.dirname(path))

    def delete(self, addresses: tuple[bytes, ...]) -> tuple[int, int]:
        """Delete files; how many there were, of how many bytes. Raises OSError."""
        deleted, size = 0, 0
        for address in addresses:
            try:
                found = os.path.getsize(self.path(address))
                os.unlink(self.path(address))
            except FileNotFoundError:
                continue
            deleted, size = deleted + 1, size + found
        with self._lock:
            self._size_bytes -= size
        return deleted, size

    def addresses(self, first: bytes, count: int) -> list[bytes]:
        """At most `count` addresses from `first` on, in order. Raises OSError."""
        found: list[bytes] = []
        for number in range(first[0] if first else 0, 256):
            if len(found) >= count:
                break
            names = sorted(filter(NAME.fullmatch, os.listdir(os.path.join(self._path, f"{number:02x}"))))
            found += [address for name in names if (address := bytes.fromhex(name)) >= first]
        return found[:count]

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._held)


def _write_synced(path: str, content: Blob) -> None:
    with open(path, "xb", buffering=0) as file:
        left = content.view
        while left:
            left = left[file.write(left) :]
        os.fdatasync(file.fileno())


def _hold(incoming: str) -> int:
    """The descriptor that holds the lock."""
    fd = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise FolderInUse(f"{os.path.dirname(incoming)} is in use by another process") from None
        time.sleep(LOCK_POLL_S)
