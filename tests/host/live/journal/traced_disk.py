"""The disk below a live node, from a trace of all that its processes did: what is left of it when power is lost.

`Tracing` has every process of a node write down what it does below the data folder (`traced_disk.c`, preloaded), and
gives it a boot id of its own. `Disk` replays a trace, up to a place, into one `SimulatedFolder` a folder, whose rules
say which states a loss of power may leave; each folder's fate is drawn by itself: nothing orders what is unsynced.

A truncation counts as done and on the disk at once; a call that the model has no place for is an AssertionError.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import pytest
from simulated_disk import LOSSES, Loss, SimulatedFile, SimulatedFolder

SOURCE: Final = Path(__file__).with_name("traced_disk.c")
OPEN, WRITE, SYNC, TRUNCATE, RENAME, UNLINK, MKDIR = range(1, 8)
_HEAD: Final = struct.Struct("<IIIIQQ")


Base = dict[str, dict[str, tuple[int, bytes]]]
"""Folders by path, what is in them by name: inode and content, which is empty for a folder."""


class Record(NamedTuple):
    """One call. `end` is its place: the size of the trace with it."""

    end: int
    kind: int
    flags: int
    inode: int
    offset: int
    payload: bytes


def build(folder: Path) -> Path:
    """The library to preload, made in `folder`."""
    library = folder / "traced_disk.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, SOURCE], check=True)
    return library


class Tracing:
    """A data folder whose nodes are traced, life after life; each is another boot of its machine."""

    def __init__(self, library: Path, folder: Path, data: Path) -> None:
        """`folder` holds traces and boot ids; `data` is made here, if it is not there, and is on the disk."""
        self._library, self._folder, self.data = library, folder, data
        self._lives = 0
        self.trace = folder / "trace0"
        data.mkdir(parents=True, exist_ok=True)
        self._base = _base(data)

    @contextmanager
    def life(self) -> Iterator[None]:
        """What is started in here is traced, from the folder as it is now."""
        self._lives += 1
        self._base = _base(self.data)
        self.trace = self._folder / f"trace{self._lives}"
        self.trace.touch()
        boot = self._folder / "boot_id"
        boot.write_text(f"{uuid.uuid4()}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(self._library))
            patch.setenv("TRACED_ROOT", str(self.data))
            patch.setenv("TRACED_TO", str(self.trace))
            patch.setenv("TRACED_BOOT", str(boot))
            yield

    @property
    def now(self) -> int:
        """A place in the trace with everything before it that we have heard of."""
        return self.trace.stat().st_size

    def recording(self) -> Recording:
        """This life so far."""
        return Recording(self.data, self._base, list(_records(self.trace.read_bytes())))

    def put(self, state: dict[str, bytes | None]) -> None:
        """Have this state of the disk in the data folder, instead of what is there."""
        shutil.rmtree(self.data)
        lay_out(state, self.data)


class Recording:
    """One life of a node, as its disk saw it."""

    def __init__(self, root: Path, base: Base, records: list[Record]) -> None:
        self._root, self._base, self.records = root, base, records

    @property
    def end(self) -> int:
        """The place behind the last call."""
        return self.records[-1].end

    def disks(self, cuts: Iterable[int]) -> Iterator[tuple[int, Disk]]:
        """The disk at each of these places, which rise; it is the same object all the time."""
        disk, rest = Disk(self._root, self._base), iter([*self.records, None])
        record = next(rest)
        for cut in cuts:
            while record is not None and record.end <= cut:
                disk.apply(record)
                record = next(rest)
            yield cut, disk

    def last(self) -> Disk:
        """The disk behind the last call."""
        return next(disk for _, disk in self.disks([self.end]))


class Disk:
    """Folders by their path below the root, "" for itself; files that were ever open by their inode."""

    def __init__(self, root: Path, base: Base) -> None:
        """`base`: what is there to begin with, all of it on the disk."""
        self._root = str(root)
        self._folders: dict[str, SimulatedFolder] = {}
        self._files: dict[int, SimulatedFile] = {}
        for path, found in base.items():
            folder = self._folders[path] = SimulatedFolder({name: content for name, (_, content) in found.items()})
            self._files |= {inode: folder.open(name) for name, (inode, _) in found.items()}

    def apply(self, record: Record) -> None:
        """One call more."""
        paths = [self._inner(os.fsdecode(path)) for path in record.payload.split(b"\0")] if record.kind != WRITE else []
        if record.kind == OPEN:
            self._open(record, paths[0])
        elif record.kind == WRITE:
            self._files[record.inode].write_at(record.offset, record.payload)
        elif record.kind == SYNC:
            self._folders[paths[0]].sync() if record.flags else self._files[record.inode].sync()
        elif record.kind == TRUNCATE:
            self._files[record.inode].truncate(record.offset)
        elif record.kind == RENAME:
            self._rename(*paths)
        elif record.kind == UNLINK:
            folder, name = self._place(paths[0])
            folder.remove(name)
        else:
            folder, name = self._place(paths[0])
            folder.create(name)
            self._folders[paths[0]] = SimulatedFolder()

    def contents(self) -> dict[str, bytes | None]:
        """What a process sees: files by path, None for a folder."""
        return self._tree({path: folder.contents() for path, folder in self._folders.items()})

    def after_power_loss(self, random: Random, losses: tuple[Loss, ...] = LOSSES) -> dict[str, bytes | None]:
        """A state that a loss of power may leave now. `losses`: what may become of a folder."""
        left = {path: folder.after_power_loss(random.choice(losses), random) for path, folder in self._folders.items()}
        return self._tree({path: folder.contents() for path, folder in left.items()})

    def _open(self, record: Record, path: str) -> None:
        folder, name = self._place(path)
        if name not in folder.names():
            folder.create(name)
        file = self._files[record.inode] = folder.open(name)
        if record.flags & os.O_TRUNC:
            file.truncate(0)

    def _rename(self, old: str, new: str) -> None:
        (above, old_name), (folder, new_name) = self._place(old), self._place(new)
        assert above is folder, f"the model has no place for {old} -> {new}"
        assert old not in self._folders, f"the model has no place for a folder that is renamed: {old}"
        folder.rename(old_name, new_name)

    def _place(self, path: str) -> tuple[SimulatedFolder, str]:
        above, name = os.path.split(path)
        return self._folders[above], name

    def _inner(self, path: str) -> str:
        return "" if path in ("", self._root) else os.path.relpath(path, self._root)

    def _tree(self, found: dict[str, dict[str, bytes]]) -> dict[str, bytes | None]:
        """Everything whose folders are all there."""
        tree: dict[str, bytes | None] = {}
        for path in sorted(found):
            if path == "" or path in tree:
                for name, content in found[path].items():
                    inner = os.path.join(path, name)
                    tree[inner] = None if inner in self._folders else content
        return tree


def read_tree(root: Path) -> dict[str, bytes | None]:
    """What is below a folder, as `Disk.contents`."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in sorted(root.rglob("*"))
    }


def lay_out(state: dict[str, bytes | None], root: Path) -> None:
    """Make a folder that has this state."""
    root.mkdir(mode=0o700)
    for path in sorted(state):
        content = state[path]
        if content is None:
            (root / path).mkdir(mode=0o700)
        else:
            (root / path).write_bytes(content)


def _base(root: Path) -> Base:
    """What is below `root` now."""
    base: Base = {}
    for path, folders, files in os.walk(root):
        here = Path(path)
        found = {name: (here / name, b"") for name in folders} | {
            name: (here / name, (here / name).read_bytes()) for name in files
        }
        inner = "" if here == root else str(here.relative_to(root))
        base[inner] = {name: (place.stat().st_ino, content) for name, (place, content) in found.items()}
    return base


def _records(data: bytes) -> Iterator[Record]:
    at = 0
    while at < len(data):
        length, kind, flags, _pid, inode, offset = _HEAD.unpack_from(data, at)
        begin = at + _HEAD.size
        at = begin + length
        yield Record(at, kind, flags, inode, offset, data[begin:at])
