"""A folder on a disk that loses power, or fails, when it is told to.

What a process sees is the cache. What a disk has after a loss of power is less: of a file what was synced, and of each
sector of 512 bytes written since either the new content, zeros, or, if it and all behind it are gone, nothing; of names
what was there at the last sync of the folder, and any of the changes since. `after_power_loss` gives one such state.

Faults are given by the number of the call: an error of the operating system, or for a write a part of it. `room` is
how many bytes the disk still takes: a write that is longer is cut short, the next one fails. A sync that
fails leaves the pages in the cache, clean, and off the disk: what a later sync does not write again stays off it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from random import Random
from typing import Final, Literal

SECTOR: Final = 512
Loss = Literal["all", "none", "zeros", "torn", "sectors"]
LOSSES: Final[tuple[Loss, ...]] = ("all", "none", "zeros", "torn", "sectors")
Fault = Literal["ENOSPC", "EIO", "short"]


class Content:
    """A file: what the cache has, and which bytes of it the disk has as they are."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.on_disk = bytearray(b"\x01" * len(data))
        self.is_dirty = bytearray(len(data))

    def survivor(self, loss: Loss, random: Random) -> bytes:
        """What a loss of power leaves of it."""
        missing = self.on_disk.find(b"\x00")
        if missing < 0 or loss == "none":
            return bytes(self.data)
        if loss == "all":
            return bytes(self.data[:missing])
        end = len(self.data)
        if loss in ("torn", "sectors") and random.random() < 0.8:
            end = random.choice(
                [*range(missing // SECTOR * SECTOR + SECTOR, end, SECTOR), end, random.randint(missing, end)]
            )
        left = bytearray(self.data[: max(end, missing)])
        for at in range(missing // SECTOR * SECTOR, len(left), SECTOR):
            if loss == "zeros" or (loss == "sectors" and random.random() < 0.4):
                for place in range(max(at, missing), min(at + SECTOR, len(left))):
                    if not self.on_disk[place]:
                        left[place] = 0
        return bytes(left)


class SimulatedFile:
    """As `File`."""

    def __init__(self, folder: SimulatedFolder, content: Content) -> None:
        self._folder = folder
        self.content = content

    def append(self, data: bytes, /) -> int:
        fault = self._folder.call()
        if fault == "short":
            data = data[: len(data) // 2]
        elif fault:
            raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))
        data = self._folder.fitting(data)
        self.content.data += data
        self.content.on_disk += bytes(len(data))
        self.content.is_dirty += b"\x01" * len(data)
        self._folder.watch(self._folder)
        return len(data)

    def sync(self) -> None:
        fault = self._folder.call()
        content = self.content
        if not fault:
            begin = content.is_dirty.find(b"\x01")
            while begin >= 0:
                end = content.is_dirty.find(b"\x00", begin) % (len(content.data) + 1)
                content.on_disk[begin:end] = b"\x01" * (end - begin)
                begin = content.is_dirty.find(b"\x01", end)
        content.is_dirty = bytearray(len(content.data))
        if fault:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._folder.watch(self._folder)

    def close(self) -> None:
        pass

    def write_at(self, offset: int, data: bytes) -> None:
        """What a trace says was written there, over what is there already or behind it."""
        content, end = self.content, offset + len(data)
        assert offset <= len(content.data), "the model has no place for a hole"
        content.on_disk += bytes(max(0, end - len(content.data)))
        content.data[offset:end] = data
        content.is_dirty[offset:end] = b"\x01" * len(data)
        self._folder.watch(self._folder)

    def truncate(self, size: int) -> None:
        """Cut off what is behind, on the disk at once."""
        content = self.content
        assert size <= len(content.data), "the model has no place for a hole"
        for part in (content.data, content.on_disk, content.is_dirty):
            del part[size:]


class SimulatedFolder:
    """As `Folder`. `watch` is called after each change; `faults` says which call fails, and how. A removal makes no
    room.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.watch: Callable[[SimulatedFolder], None] = lambda folder: None
        self.faults: dict[int, Fault] = {}
        self.room: int | None = None
        self.calls = 0
        self._files = {name: Content(data) for name, data in (files or {}).items()}
        self._on_disk = dict(self._files)
        self._changes: list[tuple[str, str, Content]] = []
        self._note = b""

    def call(self) -> Fault | None:
        """One call of the operating system more; the fault that it has."""
        self.calls += 1
        return self.faults.get(self.calls)

    def fitting(self, data: bytes) -> bytes:
        """What of a write the disk has room for."""
        if self.room is None or not data:
            return data
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = data[: self.room]
        self.room -= len(data)
        return data

    def names(self) -> list[str]:
        return sorted(self._files)

    def read(self, name: str, /) -> memoryview:
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return memoryview(bytes(self._files[name].data))

    def head(self, name: str, size: int, /) -> tuple[memoryview, int]:
        data = self.read(name)
        return data[:size], len(data)

    def create(self, name: str, /) -> SimulatedFile:
        self._check()
        if name in self._files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        content = self._files[name] = Content()
        self._change("", name, content)
        return SimulatedFile(self, content)

    def open(self, name: str, /) -> SimulatedFile:
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return SimulatedFile(self, self._files[name])

    def has(self, name: str, file: SimulatedFile, /) -> bool:
        return self._files.get(name) is file.content

    def rename(self, old: str, new: str, /) -> None:
        self._check()
        if old not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), old)
        content = self._files.pop(old)
        self._files[new] = content
        self._change(old, new, content)

    def remove(self, name: str, /) -> None:
        self._check()
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        self._change(name, "", self._files.pop(name))

    def sync(self) -> None:
        self._check()
        self._on_disk = dict(self._files)
        self._changes = []
        self.watch(self)

    def note(self, data: bytes, /, *, synced: bool) -> None:
        self._check()
        self._note = data

    def noted(self) -> bytes:
        return self._note

    def contents(self) -> dict[str, bytes]:
        """What a process sees."""
        return {name: bytes(content.data) for name, content in self._files.items()}

    def after_power_loss(self, loss: Loss, random: Random) -> SimulatedFolder:
        """A state of the disk if power is lost now; `loss` says what becomes of what was not synced."""
        names = dict(self._on_disk)
        for old, new, content in self._changes:
            if loss == "all" or (loss in ("torn", "sectors") and random.random() < 0.4):
                continue
            if old and names.get(old) is content:
                del names[old]
            if new:
                names[new] = content
        return SimulatedFolder({name: content.survivor(loss, random) for name, content in names.items()})

    def _check(self) -> None:
        fault = self.call()
        if fault:
            number = errno.ENOSPC if fault == "ENOSPC" else errno.EIO
            raise OSError(number, os.strerror(number))

    def _change(self, old: str, new: str, content: Content) -> None:
        self._changes.append((old, new, content))
        self.watch(self)
