"""The sessions of a keeper: found, watched, and followed to their exit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import selectors
import signal
import struct
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import files, limits, processes
from .isolation import delete_container


@dataclass
class KeptSession:
    """A session that runs, or has exited and was not noted."""

    agent: str
    number: int
    folder: str
    pid: int = 0
    pid_started: int = 0
    info: dict[str, Any] = field(default_factory=dict)
    exit: dict[str, Any] | None = None
    giving: list[tuple[int, bytes]] = field(default_factory=list)
    given: int = 0
    fifo: int = -1


class KeptSessions:
    """All sessions of one root. `tell` reports an event to all who want to know."""

    def __init__(self, root: str, selector: selectors.BaseSelector, tell: Callable[..., None]) -> None:
        self.root = root
        self.selector = selector
        self.tell = tell
        self.by_key: dict[tuple[str, int], KeptSession] = {}
        self.statuses: dict[int, int] = {}

    def running(self) -> list[KeptSession]:
        """Those whose launcher lives."""
        return [each for each in self.by_key.values() if each.exit is None and each.pid]

    def find(self) -> None:
        """Take over what an earlier keeper left."""
        for agent, number, folder in files.session_folders(self.root):
            if os.path.exists(os.path.join(folder, "noted")):
                continue
            info = files.read_json(os.path.join(folder, "launcher.json"))
            ended = files.read_json(os.path.join(folder, "exit.json"))
            if info is None and ended is None:
                continue
            given = (files.read_json(os.path.join(folder, "given.json")) or {}).get("prompt", 0)
            found = KeptSession(agent, number, folder, info=info or {}, exit=ended, given=given)
            if info is not None:
                found.pid, found.pid_started = info["pid"], info["started"]
            self.by_key[agent, number] = found
            self.watch(found)

    def watch(self, session: KeptSession) -> None:
        """Wake up when the launcher ends."""
        if session.exit is None and session.pid:
            with contextlib.suppress(ProcessLookupError):
                fd = os.pidfd_open(session.pid)
                self.selector.register(fd, selectors.EVENT_READ, lambda: self._launcher_ended(fd))

    def _launcher_ended(self, fd: int) -> None:
        self.selector.unregister(fd)
        os.close(fd)

    def look(self) -> None:
        """Report launchers that have ended, and give what now finds room."""
        processes.reap(os.getpid(), self.statuses)
        self.statuses.clear()
        for session in list(self.by_key.values()):
            if session.exit is None and session.pid and not self._lives(session):
                self._ended(session)
            if session.giving:
                self.give_on(session)

    def _ended(self, session: KeptSession) -> None:
        """The launcher is gone: the exit that it wrote, or that it was lost."""
        path = os.path.join(session.folder, "exit.json")
        ended = files.read_json(path)
        if ended is None:
            ended = {"status": None, "signal": 0, "reason": "lost", "is_clear": self._end_lost(session)}
            with contextlib.suppress(OSError):  # a full disk, or a root that was deleted: it is reported all the same
                files.write_json(path, ended)
        session.exit = ended
        session.giving = []
        if session.fifo >= 0:
            os.close(session.fifo)
            session.fifo = -1
        self.tell("exited", agent=session.agent, session=session.number, **ended)

    def _end_lost(self, session: KeptSession) -> bool:
        """End what a launcher that was killed has left: our own descendants that are in none of the other trees."""
        groups = limits.Groups(session.info.get("group", ""), {}) if session.info.get("group") else None
        if groups is not None:
            groups.kill()
        if session.info.get("level") == "runc":
            delete_container(session.info["group"])
        rest = [each for each in self.by_key.values() if each is not session and each.exit is None]
        others = {pid for each in rest for pid in _tree(each.pid)}
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            own = processes.descendants(os.getpid())
            left = [pid for pid in own if pid not in others and not self._is_launcher(pid)]
            agent = session.info.get("agent_pid", 0)
            if agent and processes.started(agent) == session.info.get("agent_started"):
                left.append(agent)
            for pid in left:
                processes.kill(pid, signal.SIGKILL)
            processes.reap(os.getpid(), self.statuses)
            if not left:
                if groups is not None:
                    groups.remove()
                return True
            time.sleep(0.002)
        return False

    def _lives(self, session: KeptSession) -> bool:
        started = processes.started(session.pid)
        return started != 0 and started == session.pid_started

    def _is_launcher(self, pid: int) -> bool:
        return any(pid == each.pid for each in self.by_key.values())

    def give_on(self, session: KeptSession) -> None:
        """Write prompts, as far as the pipe has room; the rest waits here.

        One that may not fit in one piece waits until the pipe is empty, so that no part of it is left by a death of
        this process.
        """
        try:
            if session.fifo < 0:
                path = os.path.join(session.folder, "stdin")
                session.fifo = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            while session.giving:
                prompt, rest = session.giving[0]
                if len(rest) > select.PIPE_BUF and _unread(session.fifo):
                    return
                rest = rest[os.write(session.fifo, rest) :]
                if rest:
                    session.giving[0] = (prompt, rest)
                    return
                del session.giving[0]
                session.given = prompt
                files.write_json(os.path.join(session.folder, "given.json"), {"prompt": prompt}, is_synced=False)
                self.tell("given", agent=session.agent, session=session.number, prompt=prompt)
        except OSError:
            return  # full, or the agent's end is not open yet: again at the next look

    def usage(self, session: KeptSession, children: dict[int, list[int]]) -> dict[str, Any]:
        """What the tree of a session uses, and what it has written."""
        tree = processes.descendants(session.pid, children)
        sizes = [_size(os.path.join(session.folder, name)) for name in ("stdout.log", "stderr.log")]
        return {
            "agent": session.agent,
            "session": session.number,
            "processes": len(tree),
            "memory_bytes": processes.memory_bytes(tree),
            "cpu_ns": processes.cpu_ns(tree),
            "output": sizes,
            "given": session.given,
        }


def _unread(fifo: int) -> int:
    """Bytes in a pipe that nobody has read."""
    return int(struct.unpack("i", fcntl.ioctl(fifo, termios.FIONREAD, b"    "))[0])


def _tree(pid: int) -> list[int]:
    return [pid, *processes.descendants(pid)] if pid else []


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
