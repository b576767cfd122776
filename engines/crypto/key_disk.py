"""A key file on the disk, and the passphrase from outside. The only module of this folder with input and output.

`PATH` is replaced as a whole: a new file of mode 0600, fsync, rename, fsync of the folder. After a kill or a loss of
power, either the old keys are there or the new ones. The bytes of the replaced file are then overwritten, so a deleted
key is not left in a free block. A disk that writes elsewhere (an SSD, a journal of data, a snapshot) may still keep
them, encrypted. A process that may write holds the lock on `PATH.lock`.

Crash points of `KeyDisk.save`. Before the rename: the old keys, and `PATH.new`, which the next writer overwrites and
removes. Between rename and overwriting: the new keys; the old bytes stay in free blocks, encrypted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from typing import Final

from engines.crypto.key_file import (
    FILE_BYTES_MAX,
    NONCE_BYTES,
    RECORDS_MAX,
    SALT_BYTES,
    Derivation,
    KeyFileError,
    KeyRecord,
    decrypted,
    derivation_of,
    encrypted,
)

PASSPHRASE_BYTES_MAX: Final = 1024
PASSPHRASE_CHANCE_BYTES: Final = 32
"""Random bytes of a passphrase that no person has to remember."""

PASSPHRASE_WAIT_S: Final = 10
"""How long a descriptor may take to give the passphrase: nothing waits for ever."""

LOCK_POLL_S: Final = 0.05


class KeyDisk:
    """An open key file: its records, and the key to write it again. `save` needs the lock that `open_keys` took."""

    def __init__(
        self, path: str, derivation: Derivation, key: bytes, records: tuple[KeyRecord, ...], lock: int
    ) -> None:
        self.path = path
        self.records = records
        self._derivation = derivation
        self._key = key
        self._lock = lock

    def __repr__(self) -> str:
        return f"KeyDisk({self.path!r})"

    def save(self, records: tuple[KeyRecord, ...]) -> None:
        """Replace the keys. Raises OSError, or KeyFileError beyond `RECORDS_MAX` keys; then the old ones stay."""
        if len(records) > RECORDS_MAX:
            raise KeyFileError(f"{self.path}: a key file holds {RECORDS_MAX} keys")
        _replace(self.path, encrypted(records, self._derivation, self._key, os.urandom(NONCE_BYTES)))
        self.records = records

    def close(self) -> None:
        """Give the lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def open_keys(
    path: str, passphrase: Callable[[bool], bytes], *, writable: bool = True, create: bool = False, wait_s: float = 0
) -> KeyDisk:
    """Open a key file. Blocks while the key is derived.

    Args:
        path: the file; a link is followed. Missing folders are made with `create`.
        passphrase: gives the passphrase; called with True for a file that is about to be made.
        writable: take the lock, for as long as the file is open.
        create: make the file if it is not there.
        wait_s: how long another holder of the lock is waited for.

    Raises:
        KeyFileError: it is missing, in use, damaged, newer, readable by others, or has another passphrase.
        OSError: the disk.
    """
    path = os.path.realpath(path)
    if create:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    lock = _locked(path, wait_s) if writable else -1
    try:
        data = _read(path)
        if data is None:
            if not create:
                raise KeyFileError(f"{path}: there is no key file")
            derivation = Derivation(os.urandom(SALT_BYTES))
            made = KeyDisk(path, derivation, derivation.key(passphrase(True)), (), lock)
            made.save(())
            return made
        with _naming(path):
            derivation = derivation_of(data)
        key = derivation.key(passphrase(False))
        with _naming(path):
            return KeyDisk(path, derivation, key, decrypted(data, key), lock)
    except BaseException:
        if lock >= 0:
            os.close(lock)
        raise


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the file's name before the text of an error."""
    try:
        yield
    except KeyFileError as error:
        raise KeyFileError(f"{path} {error}") from None


def read_passphrase(source: str) -> bytes:
    """The passphrase from `file:PATH`, `env:NAME` or `fd:NUMBER`, without the end of its line. Never asks a person.

    Raises KeyFileError: there is none, it is empty or too long, others can read the file, or nothing comes in time.
    """
    kind, _, name = source.partition(":")
    readers = {"file": _from_file, "env": _from_environment, "fd": _from_descriptor}
    if kind not in readers or not name:
        # The source is not shown: it may be a passphrase, by mistake.
        raise KeyFileError("passphrase: its source is none of file:PATH, env:NAME, fd:NUMBER")
    text = readers[kind](name)
    if len(text) > PASSPHRASE_BYTES_MAX:
        raise KeyFileError(f"passphrase: {source} has more than {PASSPHRASE_BYTES_MAX} bytes")
    line = text.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise KeyFileError(f"passphrase: {source} is empty")
    return line


def make_passphrase(path: str) -> None:
    """A file with a random passphrase, unless there is one. It is on the disk before anything depends on it.

    Raises OSError.
    """
    path = os.path.realpath(path)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if not os.path.exists(path):
        _replace(path, os.urandom(PASSPHRASE_CHANCE_BYTES).hex().encode() + b"\n")


def _from_environment(name: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if value is None:
        raise KeyFileError(f"passphrase: the environment has no {name}")
    return value


def _from_file(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"passphrase: {path}: {error.strerror}") from None
    try:
        _check_private(fd, f"passphrase: {path}")
        return os.read(fd, PASSPHRASE_BYTES_MAX + 2)
    finally:
        os.close(fd)


def _from_descriptor(number: str) -> bytes:
    """Reads to the end of file, and closes the descriptor."""
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise KeyFileError(f"passphrase: fd:{number} is no descriptor")
    fd = int(number)
    try:
        if os.isatty(fd):
            raise KeyFileError(f"passphrase: fd:{fd} is a terminal")
        text, deadline, ready = b"", time.monotonic() + PASSPHRASE_WAIT_S, select.poll()
        ready.register(fd, select.POLLIN)
        while len(text) <= PASSPHRASE_BYTES_MAX + 1:
            if not ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise KeyFileError(f"passphrase: fd:{fd} gave none within {PASSPHRASE_WAIT_S} s")
            if not (part := os.read(fd, PASSPHRASE_BYTES_MAX + 2)):
                break
            text += part
        os.close(fd)
    except OSError as error:
        raise KeyFileError(f"passphrase: fd:{fd}: {error.strerror}") from None
    return text


def _check_private(fd: int, name: str) -> None:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(f"{name} is no regular file")
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(f"{name} belongs to another user")
    if found.st_mode & 0o077:
        raise KeyFileError(f"{name} can be read or written by others (mode {found.st_mode & 0o777:04o}): chmod 600")


def _read(path: str) -> bytes | None:
    """The bytes; None if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        _check_private(fd, path)
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise KeyFileError(f"{path} has more than {FILE_BYTES_MAX} bytes: it is no key file")
    return data


def _locked(path: str, wait_s: float) -> int:
    try:
        fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise KeyFileError(f"{path}: there is no key file") from None
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise KeyFileError(f"{path} is in use by another process") from None
        time.sleep(LOCK_POLL_S)


def _replace(path: str, data: bytes) -> None:
    fresh = f"{path}.new"
    if (torn := _open_old(fresh)) >= 0:
        os.unlink(fresh)
        _overwrite(torn)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    old = _open_old(path)
    os.replace(fresh, path)
    _sync_folder(path)
    if old >= 0:
        _overwrite(old)


def _open_old(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _overwrite(fd: int) -> None:
    """Zeros over a file that has no name any more, unless it has another one (a hard link: somebody's copy)."""
    with open(fd, "r+b", buffering=0) as file:
        found = os.fstat(fd)
        if found.st_nlink == 0:
            file.write(bytes(found.st_size))
            os.fsync(fd)


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
