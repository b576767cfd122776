"""Files of a log's folder, as few operations as a journal needs: the seam between it and a disk.

Names are flat. Nothing is written twice at one place: files are made whole, or grow at their end. An `append` may write
less than it was given, as write(2) may; whoever calls decides what that means. Every operation raises OSError.
"""

from __future__ import annotations

import mmap
import os
from typing import Any, Final, Protocol


class File(Protocol):
    """A file that grows."""

    def append(self, data: bytes, /) -> int:
        """Write at the end; how many bytes were written. They survive this process, not the machine."""

    def sync(self) -> None:
        """What was written survives the machine."""

    def close(self) -> None:
        """Idempotent."""


class Folder(Protocol):
    """The files of one log."""

    def names(self) -> list[str]:
        """All files, sorted."""

    def read(self, name: str, /) -> memoryview:
        """The content of a file as it is now, never shorter later."""

    def create(self, name: str, /) -> File:
        """A new, empty file. Raises FileExistsError."""

    def open(self, name: str, /) -> File:
        """A file that is there, to sync it or to go on at its end."""

    def has(self, name: str, file: Any, /) -> bool:
        """Whether this name, at this folder's place, is that of this file, which was created or opened here."""

    def rename(self, old: str, new: str, /) -> None:
        """Give a file another name, instead of any that has it."""

    def remove(self, name: str, /) -> None:
        """Remove a file."""

    def sync(self) -> None:
        """Names made, changed and removed survive the machine."""


MAPPED_BYTES: Final = 4 << 20
"""Files up to this size are read into memory."""

_APPENDING: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC


class DiskFile:
    """A `File` of the operating system."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def append(self, data: bytes, /) -> int:
        """As `File.append`."""
        return os.write(self.fd, data)

    def sync(self) -> None:
        """As `File.sync`."""
        os.fdatasync(self.fd)

    def close(self) -> None:
        """As `File.close`."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


class DiskFolder:
    """A `Folder` of the operating system; made with its parents if it is not there."""

    def __init__(self, path: str, *, make: bool = False) -> None:
        """Raises FileNotFoundError unless `make`."""
        if make:
            make_folders(path)
        self.path = path
        os.stat(path)

    def names(self) -> list[str]:
        """As `Folder.names`."""
        return sorted(entry.name for entry in os.scandir(self.path) if entry.is_file(follow_symlinks=False))

    def read(self, name: str, /) -> memoryview:
        """As `Folder.read`. A large one is mapped, since a log may be larger than the memory; a small one is not, since
        a mapping holds a descriptor, and there may be thousands.
        """
        fd = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size > MAPPED_BYTES:
                return memoryview(mmap.mmap(fd, size, access=mmap.ACCESS_READ))
            with open(fd, "rb", buffering=0, closefd=False) as file:
                return memoryview(file.readall())
        finally:
            os.close(fd)

    def create(self, name: str, /) -> DiskFile:
        """As `Folder.create`."""
        return DiskFile(os.open(self._path(name), _APPENDING | os.O_CREAT | os.O_EXCL, 0o600))

    def open(self, name: str, /) -> DiskFile:
        """As `Folder.open`."""
        return DiskFile(os.open(self._path(name), _APPENDING))

    def has(self, name: str, file: DiskFile, /) -> bool:
        """As `Folder.has`. A folder that was moved, this file in it, is followed."""
        if self._is_at(self.path, name, file):
            return True
        path, found = os.path.split(os.readlink(f"/proc/self/fd/{file.fd}"))
        if found != name or not self._is_at(path, name, file):
            return False
        self.path = path
        return True

    def rename(self, old: str, new: str, /) -> None:
        """As `Folder.rename`."""
        os.replace(self._path(old), self._path(new))

    def remove(self, name: str, /) -> None:
        """As `Folder.remove`."""
        os.unlink(self._path(name))

    def sync(self) -> None:
        """As `Folder.sync`."""
        sync_folder(self.path)

    @staticmethod
    def _is_at(path: str, name: str, file: DiskFile) -> bool:
        try:
            return os.path.samestat(os.stat(os.path.join(path, name)), os.fstat(file.fd))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _path(self, name: str) -> str:
        return os.path.join(self.path, name)


def write_whole(folder: Folder, name: str, data: bytes) -> None:
    """A new file with this content, on the disk. Raises OSError, also when the disk took a part of it only."""
    file = folder.create(name)
    try:
        if file.append(data) != len(data):
            raise OSError(f"{name}: not all of {len(data)} bytes were written")
        file.sync()
    finally:
        file.close()


def make_folders(path: str) -> None:
    """A folder with all above it, each of which survives the machine from then on."""
    above = os.path.dirname(path) or "."
    if not os.path.isdir(above):
        make_folders(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    sync_folder(above)


def sync_folder(path: str) -> None:
    """The names in a folder survive the machine."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
