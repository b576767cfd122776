"""The files of a log's folder, with the few operations that a journal needs: the seam between it and a disk.

Names are flat. No place is written twice: files are made whole, or grow at their end. An `append` may write less than
it was given, like write(2); its caller decides what that means. Every operation raises OSError.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

MAPPED_BYTES: Final = 4 << 20
"""Files up to this size are read into memory."""

NOTE: Final = ".newest-{}.json"
"""A file beside a log's folder, by the folder's name, which never begins with a dot."""

_APPENDING: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC


class File:
    """A file that grows."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def append(self, data: bytes, /) -> int:
        """Write at the end; the number of bytes written. They survive this process, not a crash of the machine."""
        return os.write(self.fd, data)

    def sync(self) -> None:
        """Make what was written survive a crash of the machine."""
        os.fdatasync(self.fd)

    def close(self) -> None:
        """Idempotent."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


class Folder:
    """The files of one log."""

    def __init__(self, path: str, *, make: bool = False) -> None:
        """`make` creates it, with its parents, if missing; otherwise raises FileNotFoundError."""
        if make:
            make_folders(path)
        self.path = path
        os.stat(path)

    def names(self) -> list[str]:
        """All files, sorted."""
        return sorted(entry.name for entry in os.scandir(self.path) if entry.is_file(follow_symlinks=False))

    def read(self, name: str, /, mapped_bytes: int = MAPPED_BYTES) -> memoryview:
        """The content of a file as it is now, never shorter later. Beyond `mapped_bytes` it is mapped.

        A large file is mapped, since a log may be larger than the memory; a small one is not, since a mapping holds a
        descriptor, and there may be thousands of files.
        """
        fd = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size > mapped_bytes:
                return memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
            with open(fd, "rb", buffering=0, closefd=False) as file:
                return memoryview(file.readall())
        finally:
            os.close(fd)

    def head(self, name: str, size: int, /) -> tuple[memoryview, int]:
        """The first `size` bytes of a file, or as many as it has; and its length."""
        fd = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return memoryview(os.pread(fd, size, 0)), os.fstat(fd).st_size
        finally:
            os.close(fd)

    def create(self, name: str, /) -> File:
        """A new, empty file. Raises FileExistsError."""
        return File(os.open(self._path(name), _APPENDING | os.O_CREAT | os.O_EXCL, 0o600))

    def open(self, name: str, /) -> File:
        """An existing file, to sync it or to append to it."""
        return File(os.open(self._path(name), _APPENDING))

    def has(self, name: str, file: File, /) -> bool:
        """Whether this name, in this folder's place, still is that of this file, which was created or opened here.

        A folder that was moved with this file in it is followed.
        """
        if self._is_at(self.path, name, file):
            return True
        path, found = os.path.split(os.readlink(f"/proc/self/fd/{file.fd}"))
        if found != name or not self._is_at(path, name, file):
            return False
        self.path = path
        return True

    def rename(self, old: str, new: str, /) -> None:
        """Give a file another name, replacing any file of that name."""
        os.replace(self._path(old), self._path(new))

    def remove(self, name: str, /) -> None:
        """Remove a file."""
        os.unlink(self._path(name))

    def sync(self) -> None:
        """Make changes of names survive a crash of the machine."""
        sync_folder(self.path)

    def note(self, data: bytes, /, *, synced: bool) -> None:
        """Replace the note beside this folder; unless `synced`, a crash of the machine may lose or empty it."""
        replace_file(note_path(self.path), data, synced=synced)

    def noted(self) -> bytes:
        """The note beside this folder; empty without one."""
        return read_note(self.path)

    @staticmethod
    def _is_at(path: str, name: str, file: File) -> bool:
        try:
            return os.path.samestat(os.stat(os.path.join(path, name)), os.fstat(file.fd))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)


def write_whole(folder: Folder, name: str, data: bytes) -> None:
    """Write a new file with this content to the disk. Raises OSError, also if the disk took only a part of it."""
    file = folder.create(name)
    try:
        if file.append(data) != len(data):
            raise OSError(f"{name}: not all of {len(data)} bytes were written")
        file.sync()
    finally:
        file.close()


def note_path(folder: str) -> str:
    """The file of the note beside the folder of a log."""
    above, name = os.path.split(folder)
    return os.path.join(above, NOTE.format(name))


def read_note(folder: str) -> bytes:
    """The note beside the folder of a log, which may be gone; empty without one. Raises OSError."""
    try:
        with open(note_path(folder), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def sync_files(folder: Folder, names: Iterable[str]) -> None:
    """Make these files, and changes of names, survive a crash of the machine. Raises OSError."""
    for name in names:
        file = folder.open(name)
        try:
            file.sync()
        finally:
            file.close()
    folder.sync()


def replace_file(path: str, data: bytes, *, synced: bool = True) -> None:
    """Replace a file whole or not at all; if `synced`, it then survives a crash of the machine. Raises OSError; nothing
    is left of the new one then: a full disk needs the room."""
    temporary = path + ".new"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if synced:
        sync_folder(os.path.dirname(path) or ".")


def make_folders(path: str) -> None:
    """Make a folder with its parents; each survives a crash of the machine from then on."""
    above = os.path.dirname(path) or "."
    if not os.path.isdir(above):
        make_folders(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    sync_folder(above)


def sync_folder(path: str) -> None:
    """Make the names in a folder survive a crash of the machine."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
