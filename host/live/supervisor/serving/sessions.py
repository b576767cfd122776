"""Messages from outside: each `send` of the command line is a temporary engine, called `cli.N`, in slot 0.

It has no state and no rules: it sends one message, may wait for one answer, and ends; a later message becomes a dead
letter `ended`. A name is never used twice in the life of a node, with one exception: a message with a user's id is sent
by the engine `id.<digest of the id>`, in an epoch that never rises. A receiver therefore takes it once for as long as
it has its marks, a journaled one through every restart. The sessions share the supervisor's own link; the event loop
watches its doorbell. After a stop from a target nothing is sent to it until its go, or until the time is up.

A session knows that its message arrived from the worker's position on the lane, followed by two queries through its
socket. The second answer comes after a whole turn of the worker's loop, and after the dead letters about what that turn
drained. With lanes the answers alone would do, since that turn drained what we flushed; ZeroMQ has a delay of its own.
A worker that does not answer in time is busy or stopped: the message lies in its lane, and the `send` reports that it
was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from host.live.supervisor.memory import Attacher, SlotMemory
from host.live.supervisor.slots import Slot
from host.node.news import Letter
from transport.port import EVERYONE, KIND_GO, KIND_MESSAGES, KIND_STOP, Broken, Closed, Frame, Link

ID_PREFIX: Final = "id."
ID_EPOCH: Final = 1

DRAIN_MESSAGES: Final = 256
"""Messages handled before the loop gets its turn."""

DETACH_DRAINS: Final = 1_000
"""Drains that suffice to empty one lane, even among the frames of others."""

ROOM_S: Final = 0.005
"""Between two looks at a lane without room; sessions are not a data path."""

RELEASE_S: Final = 0.0005
"""Between two looks at the worker's position: about one turn of its loop."""


class SessionMail(msgspec.Struct, frozen=True):
    """A message received by a session."""

    sender: str
    payload: bytes


class Session:
    """A temporary engine. `inbox` holds the messages it received, and the dead letters of those it sent."""

    def __init__(self, name: str, epoch: int) -> None:
        self.name = name
        self.epoch = epoch
        self.inbox: asyncio.Queue[SessionMail | Letter] = asyncio.Queue()


class Sessions:
    """All sessions of a node, and the link of slot 0."""

    def __init__(
        self,
        memory: SlotMemory,
        link: Link,
        attach: Attacher,
        on_late: Callable[[Frame], None],
        on_broken: Callable[[str], None],
    ) -> None:
        """`on_late` gets messages for sessions that ended, `on_broken` the finding about a damaged lane."""
        self.memory = memory
        self.epoch = 1
        self._link = link
        self._attach = attach
        self._on_late = on_late
        self._on_broken = on_broken
        self._numbers = itertools.count(1)
        self._last = 0
        self._open: dict[str, Session] = {}
        self._go: dict[tuple[int, str], asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._rung)
        self._take_mail()

    def open(self, key: str | None = None) -> Session:
        """A new session, with a new name or, for a message with an id, the name of the id."""
        if key is None:
            self._last = next(self._numbers)
            session = Session(f"cli.{self._last}", self.epoch)
        else:
            session = Session(ID_PREFIX + blake2b(key.encode(), digest_size=16).hexdigest(), ID_EPOCH)
        self._open[session.name] = session
        return session

    def end(self, session: Session) -> None:
        """Close a session: its name is not reachable any more."""
        if self._open.get(session.name) is session:
            del self._open[session.name]

    def has(self, name: str) -> bool:
        """Whether a session of that name is open."""
        return name in self._open

    def had(self, name: str) -> bool:
        """Whether there was such a session."""
        prefix, _, number = name.partition(".")
        if name.startswith(ID_PREFIX):
            return name not in self._open
        return prefix == "cli" and number.isdecimal() and 0 < int(number) <= self._last and name not in self._open

    async def send(self, session: Session, slot: int, target: str, mailbox: int, payload: bytes) -> int:
        """Put a message into the lane. Waits while the target is stopped or the lane is full; the caller bounds that.

        Returns the position after it, for `await_release`. Raises `TooLarge`, `Closed`.
        """
        while (go := self._go.get((slot, target))) is not None:
            await go.wait()
        outlet = self._link.outlet(slot, session.name, target, mailbox, session.epoch, 1)
        while not outlet.send(payload):
            self._link.flush()
            await asyncio.sleep(ROOM_S)
        self._link.flush()
        return self._link.published(slot)

    async def await_release(self, slot: int, position: int, timeout_ns: int) -> None:
        """Wait until the worker in a slot has released everything up to `position`, its time is up, or it is gone."""
        with contextlib.suppress(TimeoutError, Closed):
            async with asyncio.timeout(timeout_ns / 1e9):
                while self._link.released(slot) < position:
                    await asyncio.sleep(RELEASE_S)

    def take_letters(self, letters: Iterable[Letter]) -> None:
        """Take dead letters reported by a worker: each open session gets its own."""
        for letter in letters:
            session = self._open.get(letter.sender)
            if session is not None:
                session.inbox.put_nowait(letter)

    def attach(self, slot: Slot) -> None:
        """Link with a slot; the caller attaches the slot's end."""
        self._attach(slot.number, slot.memory)

    def detach(self, slot: int) -> None:
        """Forget a slot, after taking the messages it had sent."""
        for _ in range(DETACH_DRAINS):
            if not self._take_some():
                break
        self._link.detach(slot)
        self.peer_restarted(slot)

    def peer_restarted(self, slot: int) -> None:
        """Drop the stops sent by the engines of a dead process."""
        for peer, target in tuple(self._go):
            if peer == slot:
                self._go.pop((peer, target)).set()

    def close(self) -> None:
        """Close the link and its memory."""
        self._loop.remove_reader(self._link.fileno())
        self._link.close()
        self.memory.close()

    def _rung(self) -> None:
        self._link.hush()
        self._take_mail()

    def _take_mail(self) -> None:
        """Handle received frames; again at once if more are there, otherwise when the doorbell rings."""
        self._take_some()
        if not self._link.arm():
            self._loop.call_soon(self._take_mail)

    def _take_some(self) -> bool:
        """Whether there was anything. A lane that breaks is detached, and must not block the others."""
        try:
            frames = self._link.drain(DRAIN_MESSAGES)
        except Broken as error:
            self._on_broken(str(error))
            return True
        for frame in frames:
            self._deliver(frame)
        self._link.release()
        return bool(frames)

    def _deliver(self, frame: Frame) -> None:
        match frame.kind:
            case k if k == KIND_MESSAGES:
                self._hand_out(frame)
            case k if k == KIND_STOP:
                self._go.setdefault((frame.peer, frame.target), asyncio.Event())
            case k if k == KIND_GO and frame.target == EVERYONE:
                self.peer_restarted(frame.peer)
            case k if k == KIND_GO and (frame.peer, frame.target) in self._go:
                self._go.pop((frame.peer, frame.target)).set()

    def _hand_out(self, frame: Frame) -> None:
        session = self._open.get(frame.target)
        if session is None:
            self._on_late(frame)
            return
        for payload in frame.payloads:
            session.inbox.put_nowait(SessionMail(frame.sender, bytes(payload)))
