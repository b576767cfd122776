"""What the conformance list runs over: three worlds in which slots are opened, linked and abandoned.

A world stands for what outlives the processes of a slot. `open` is the start of a slot's process (the first or the next
one), and may be called in a forked child as well where `crosses_processes`.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from deadline import DEADLINE_NS, DEADLINE_S

from transport.keep_memory import create_keep
from transport.local import Hub
from transport.native import native_available, native_reason
from transport.port import Closed, Frame, Link
from transport.zmq_link import ZmqLink

LANE_BYTES = 1 << 16
NEEDS_NATIVE = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")


class World(ABC):
    """Slots and what they are made of."""

    crosses_processes = True
    settles_at_once = True
    """Whether flushed frames reach their receiver when there is no process in their sender's slot any more."""

    def __init__(self, lane_bytes: int = LANE_BYTES) -> None:
        self.lane_bytes = lane_bytes
        self.links: list[Link] = []

    def open(self, slot: int, *peers: int, wait: str = "adaptive") -> Any:
        """The link of a slot's next process, attached to `peers`."""
        link = self.make(slot, wait)
        self.links.append(link)
        for peer in peers:
            self.attach(link, peer)
        return link

    def two(self) -> tuple[Any, Any]:
        """Slots 1 and 2, linked."""
        return self.open(1, 2), self.open(2, 1)

    def receive(self, link: Link, count: int, *, release: bool = True) -> list[Frame]:
        """Frames with `count` messages (a signal counts as one) in all, while the other links are served too."""
        frames: list[Frame] = []
        deadline = Deadline(f"{count} messages")
        while sum(len(frame.payloads) or 1 for frame in frames) < count:
            deadline.check()
            self.serve(link)
            link.wait(1_000_000)
            frames += link.drain(256)
            if release:
                link.release()
        return frames

    def serve(self, *but: Link) -> None:
        """Let the other links do what their processes' loops would: read acknowledgements and hellos."""
        for link in self.links:
            if link not in but:
                with suppress(Closed):
                    link.wait(0)

    @abstractmethod
    def make(self, slot: int, wait: str) -> Link: ...

    @abstractmethod
    def attach(self, link: Any, peer: int) -> None: ...

    def close(self) -> None:
        for link in self.links:
            link.close()


class LaneWorld(World):
    def __init__(self, lane_bytes: int = LANE_BYTES) -> None:
        super().__init__(lane_bytes)
        self.slots: dict[int, tuple[int, int, int]] = {}

    def descriptors(self, slot: int) -> tuple[int, int, int]:
        """Duplicates of a slot's descriptors, for a link to take."""
        from transport.lanes import create_slot

        if slot not in self.slots:
            self.slots[slot] = create_slot(self.lane_bytes)
        out_fd, in_fd, doorbell = (os.dup(fd) for fd in self.slots[slot])
        return out_fd, in_fd, doorbell

    def make(self, slot: int, wait: str) -> Link:
        from transport.lanes import LaneLink

        return LaneLink(slot, *self.descriptors(slot), wait)

    def attach(self, link: Any, peer: int) -> None:
        link.attach(peer, *self.descriptors(peer))

    def renew(self, slot: int) -> None:
        """Throw a slot's memory away."""
        for fd in self.slots.pop(slot):
            os.close(fd)

    def close(self) -> None:
        super().close()
        for slot in list(self.slots):
            self.renew(slot)


class ZmqWorld(World):
    settles_at_once = False

    def __init__(self, lane_bytes: int = LANE_BYTES) -> None:
        super().__init__(lane_bytes)
        self.folder = tempfile.mkdtemp(prefix="eh-")
        self.keeps: dict[int, int] = {}

    def address(self, slot: int) -> str:
        return f"ipc://{self.folder}/s{slot}"

    def keep(self, slot: int) -> int:
        """A duplicate of the descriptor of a slot's memory, for a link to take."""
        if slot not in self.keeps:
            self.keeps[slot] = create_keep(self.lane_bytes)
        return os.dup(self.keeps[slot])

    def make(self, slot: int, wait: str) -> Link:
        return ZmqLink(slot, self.address(slot), self.keep(slot), wait)

    def attach(self, link: Any, peer: int) -> None:
        link.attach(peer, self.address(peer), self.keep(peer))

    def renew(self, slot: int) -> None:
        """Throw a slot's memory away."""
        os.close(self.keeps.pop(slot))

    def close(self) -> None:
        super().close()
        for slot in list(self.keeps):
            self.renew(slot)
        shutil.rmtree(self.folder)


class LocalWorld(World):
    crosses_processes = False

    def __init__(self, lane_bytes: int = LANE_BYTES) -> None:
        super().__init__(lane_bytes)
        self.hub = Hub(lane_bytes)

    def make(self, slot: int, wait: str) -> Link:
        return self.hub.link(slot)

    def attach(self, link: Any, peer: int) -> None:
        link.attach(peer)


WORLDS: dict[str, type[World]] = {"lane": LaneWorld, "zmq": ZmqWorld, "local": LocalWorld}


class Deadline:
    """Bounds a loop; says what it waited for."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.end = time.monotonic() + DEADLINE_S

    def check(self) -> None:
        assert time.monotonic() < self.end, f"no {self.what} within {DEADLINE_S} s"


def receive(link: Link, count: int) -> list[Frame]:
    """Frames with `count` messages in all, all released."""
    frames: list[Frame] = []
    deadline = Deadline(f"{count} messages")
    while sum(len(frame.payloads) for frame in frames) < count:
        deadline.check()
        link.wait(DEADLINE_NS)
        frames += link.drain(256)
        link.release()
    return frames


def payloads(frames: list[Frame]) -> list[bytes]:
    """All payloads, copied out of where they lie."""
    return [bytes(payload) for frame in frames for payload in frame.payloads]


def number(n: int, size: int = 100) -> bytes:
    """A payload that says which one it is, and shows when its bytes were mixed up."""
    return n.to_bytes(8, "little") + bytes([n & 0xFF]) * max(size - 8, 0)


def send_all(link: Link, outlet: Any, peer: int, messages: Iterable[bytes]) -> None:
    """Send as a host does: a refused message waits for room."""
    deadline = Deadline("room")
    for message in messages:
        while not outlet.send(message):
            deadline.check()
            while not link.has_room(peer):
                deadline.check()
                link.wait(DEADLINE_NS)
    link.flush()


def fork(run: Callable[[], None]) -> int:
    """Run in a child process, which ends with 0, or with 1 and a traceback."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        run()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def reap(pid: int) -> int:
    """The exit code of a child, or minus the signal that killed it; a child that does not end is killed."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], DEADLINE_S)[0]:
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(pidfd)


def kill(pid: int) -> None:
    """kill -9, and wait until it is gone, as a supervisor does before it reuses a slot."""
    os.kill(pid, signal.SIGKILL)
    reap(pid)
