"""Session logs: follows the files that agents' programs write, and sends what is in them to measurement.

A program writes a file for each session into one folder; all files of the folder that the order's path is in are
followed. They are read from the positions in the order, so what measurement has is not read again.

The agent names the path, so it is not trusted: it must be below one of `roots`, in which `{agent}` stands for the
agent's name; no part of it may be a link, and only regular files are read. (A folder is walked part by part, each
opened relative to the one before it, without following links.)

A file is known by its device, its number there and its first line, since numbers are used again. A file that is renamed
or deleted is read to its end, as long as it was open; one that is cut short or begins anew is another file. Only whole
lines are read. Crash points: a piece that was read and not sent is read again by the next driver, from the positions
that measurement sends then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Generator
from typing import Any, Final
from zlib import crc32

from engines.agents.measuring.session_records import ADAPTERS, Adapter, LogRecord, read_claude_code
from engines.agents.measuring.tracked import FollowLog, LogRead, LogsNeeded
from engines.model import Arrived, Become, Config, Device, DeviceHost, Effects, Family, Map, Ref, Send, Value, rule

SUFFIX: Final = ".jsonl"
FILES_MAX: Final = 100
"""Files of a folder; those with the greatest names, as far as there are more."""

PIECE_BYTES: Final = 1 << 20
LINE_BYTES_MAX: Final = 8 << 20
"""A longer line is left out."""

HEAD_BYTES: Final = 4096
RECORDS_MAX: Final = 500
"""Records of one message."""


class LogFolders(Config):
    """Where logs may be, how often they are looked at, and who gets what is in them."""

    roots: tuple[str, ...]
    measurement: Ref[LogRead | LogsNeeded]
    poll_ns: int = 1_000_000_000


class LogPathRefused(Exception):
    """A path that is not read; the text says why."""


class LineFile:
    """An open file of lines. `records` is the interface of an adapter: from a position to records and the next one."""

    def __init__(self, fd: int, adapter: Adapter) -> None:
        self._fd, self._adapter = fd, adapter
        self.identity = ""

    def identify(self) -> bool:
        """Whether it is known which file this is: it has a whole first line, or enough of it."""
        about = os.fstat(self._fd)
        head, newline, _ = os.pread(self._fd, HEAD_BYTES, 0).partition(b"\n")
        if not newline and len(head) < HEAD_BYTES:
            return False
        identity = f"{about.st_dev:x}-{about.st_ino:x}-{crc32(head):08x}"
        is_same = not self.identity or self.identity == identity
        self.identity = self.identity or identity
        return is_same

    def has_shrunk_below(self, offset: int) -> bool:
        """Whether the file was cut."""
        return os.fstat(self._fd).st_size < offset

    def is_at(self, about: os.stat_result | None) -> bool:
        """Whether this is the file of that name now."""
        mine = os.fstat(self._fd)
        return about is not None and (mine.st_dev, mine.st_ino) == (about.st_dev, about.st_ino)

    def records(self, offset: int) -> tuple[list[LogRecord], int, int]:
        """The records of whole lines from `offset` on; the next offset; and how many lines were too long."""
        piece, size = b"", PIECE_BYTES
        while b"\n" not in piece:
            piece = os.pread(self._fd, size, offset)
            if len(piece) < size:
                break
            if size >= LINE_BYTES_MAX:
                return [], offset + len(piece), 1
            size *= 2
        end = piece.rfind(b"\n") + 1
        found: list[LogRecord] = []
        position = 0
        for line in piece[:end].splitlines(keepends=True):
            if len(found) == RECORDS_MAX:
                break
            position += len(line)
            if (record := self._adapter(line)) is not None:
                found.append(record)
        return found, offset + position, 0

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)


class Follower:
    """The files of one agent's log. Its functions block."""

    def __init__(self, order: FollowLog, roots: tuple[str, ...]) -> None:
        """Raises LogPathRefused."""
        self._order = order
        self._adapter = ADAPTERS.get(order.program, read_claude_code)
        self._offsets = {one.identity: one.offset for one in order.cursors}
        self._anew: set[str] = set()
        self._files: dict[str, LineFile] = {}
        self._root, self._parts = place_of(order, roots, os.getcwd())

    def look(self) -> Generator[LogRead, None, None]:
        """What is new, file by file. Raises OSError, LogPathRefused."""
        with contextlib.ExitStack() as opened:
            try:
                folder = open_folder(self._root, self._parts, opened)
            except FileNotFoundError:
                names, folder = [], None
            else:
                names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))[-FILES_MAX:]
            for name in sorted({*names, *self._files}):
                yield from self._look_at(folder, name)

    def _look_at(self, folder: int | None, name: str) -> Generator[LogRead, None, None]:
        about = _stat(folder, name)
        file = self._files.get(name)
        if file is not None:
            is_there = file.is_at(about)
            if file.identify() and not self._is_cut(file):
                yield from self._read(name, file)
                if is_there:
                    return
            file.close()
            del self._files[name]
        if folder is None or about is None or not stat.S_ISREG(about.st_mode):
            return
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        self._files[name] = file = LineFile(fd, self._adapter)
        if file.identify():
            if self._is_cut(file):  # and begun anew with the same line
                self._offsets.pop(file.identity)
                self._anew.add(file.identity)
            yield from self._read(name, file)

    def _is_cut(self, file: LineFile) -> bool:
        return file.has_shrunk_below(self._offsets.get(file.identity, 0))

    def _read(self, name: str, file: LineFile) -> Generator[LogRead, None, None]:
        while file.identity:
            offset = self._offsets.get(file.identity, 0)
            records, following, damaged = file.records(offset)
            if following == offset:
                return
            self._offsets[file.identity] = following
            is_anew = file.identity in self._anew
            self._anew.discard(file.identity)
            agent, identity = self._order.agent, file.identity
            yield LogRead(agent, name, identity, offset, following, tuple(records), damaged, is_anew=is_anew)

    def close(self) -> None:
        """Closes all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def place_of(order: FollowLog, roots: tuple[str, ...], here: str) -> tuple[str, list[str]]:
    """The root that the log is below, and the parts of the way to its folder. Relative roots begin at `here`.

    Raises LogPathRefused.
    """
    path = order.path
    for pattern in roots:
        root = os.path.normpath(os.path.join(here, pattern.replace("{agent}", order.agent)))
        absolute = path if path.startswith("/") else f"{root}/{path}"
        if absolute.startswith(root + "/"):
            parts = absolute[len(root) + 1 :].split("/")
            if all(part not in ("", ".", "..") and "\0" not in part for part in parts):
                return root, parts[:-1]
    raise LogPathRefused(f"the log of '{order.agent}' is not below a folder where logs may be: {path[:200]}")


def open_folder(root: str, parts: list[str], opened: contextlib.ExitStack) -> int:
    """The descriptor of a folder below `root`. Raises OSError; ELOOP or ENOTDIR for a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    fd = os.open(root, flags)
    opened.callback(os.close, fd)
    for part in parts:
        fd = os.open(part, flags | os.O_NOFOLLOW, dir_fd=fd)
        opened.callback(os.close, fd)
    return fd


def _stat(folder: int | None, name: str) -> os.stat_result | None:
    try:
        return None if folder is None else os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


class SessionLogs:
    """The driver."""

    def __init__(self) -> None:
        self._followers: dict[str, Follower] = {}

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled. What cannot be read is reported, and tried again."""
        await host.send_when_writable(host.config.measurement, LogsNeeded())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_orders(host))
                tasks.create_task(self._poll(host))
        finally:
            for follower in self._followers.values():
                follower.close()

    async def _take_orders(self, host: DeviceHost) -> None:
        while True:
            order: FollowLog = (await host.receive()).message
            try:
                follower = Follower(order, host.config.roots)
            except LogPathRefused as error:
                await host.send_when_writable(order.destination, _problem(order.agent, str(error)))
                continue
            if (before := self._followers.pop(order.agent, None)) is not None:
                before.close()
            self._followers[order.agent] = follower

    async def _poll(self, host: DeviceHost) -> None:
        reported: set[str] = set()
        while True:
            for agent in list(self._followers):
                try:
                    await self._look(host, agent)
                    reported.discard(agent)
                except OSError as error:
                    if agent not in reported:
                        reported.add(agent)
                        problem = _problem(agent, f"the log cannot be read: {error.strerror}")
                        await host.send_when_writable(host.config.measurement, problem)
            await asyncio.sleep(host.config.poll_ns / 1e9)

    async def _look(self, host: DeviceHost, agent: str) -> None:
        """Sends what is new, piece by piece; an order that comes meanwhile begins anew."""
        follower = self._followers[agent]
        pieces = follower.look()
        while self._followers.get(agent) is follower and (piece := next(pieces, None)) is not None:
            await host.send_when_writable(host.config.measurement, piece)
        pieces.close()


def _problem(agent: str, text: str) -> LogRead:
    return LogRead(agent, "", "", 0, 0, (), problem=text)


class LogLines(Value):
    """State of the twin: the lines of files, by agent and name."""

    files: Map[tuple[str, str], tuple[bytes, ...]] = Map()


@rule
def follow(order: FollowLog, t: Arrived[FollowLog, LogFolders, LogLines]) -> Effects[LogLines, Any]:
    """Twin. State: none. Messages: what is in the agent's files behind the positions given. Timers, engines: none."""
    try:
        place_of(order, t.config.roots, "/")
    except LogPathRefused as error:
        return Send(order.destination, _problem(order.agent, str(error)))
    offsets = {one.identity: one.offset for one in order.cursors}
    sends: list[Any] = []
    for (agent, name), lines in t.env.state.files.items():
        offset = offsets.get(name, 0)
        if agent == order.agent and offset < len(lines):
            records = tuple(one for one in map(read_claude_code, lines[offset:]) if one is not None)
            read = LogRead(agent, name, name, offset, len(lines), records)
            sends.append(Send(order.destination, read))
    return [Become(t.env.state), *sends]


TWIN = Family(
    "session-logs-twin", config=LogFolders, state=LogLines(), accepts=FollowLog, emits=LogRead | LogsNeeded
).rules(follow)
SESSION_LOGS = Device(
    "session-logs", config=LogFolders, accepts=FollowLog, emits=LogRead | LogsNeeded, driver=SessionLogs, twin=TWIN
)
