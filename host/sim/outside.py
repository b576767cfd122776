"""The world outside the engines of a simulated node: who sends to them, and the names that listen.

It has slot 0, like the supervisor of a live node, with lanes to the others. What it sends is numbered for each sender,
mailbox by mailbox, and waits here while a lane has no room. It outlives a loss of power.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from engines.model import encode
from engines.model.values import Decoder
from host.node.news import Letter
from host.node.report import render
from host.node.routing import Missing
from host.sim import links
from host.sim.agenda import Entry
from host.sim.lanes import SimLink
from host.sim.node import OUTSIDE, SimNode
from transport.port import KIND_MESSAGES, Outlet

MESSAGES_MAX: Final = 1_000_000

Decode = Callable[[str, Any], Any]
"""From the name of a sender and an encoded message to the message."""


class Outside:
    """Mutable, one a world. `received` are the messages for each name that listens."""

    def __init__(self, node: SimNode, decode: Decode) -> None:
        self.received: dict[str, list[Any]] = {"outside": []}
        self._node = node
        self._decode = decode
        self._link = SimLink(node.lanes, node.agenda, OUTSIDE)
        self._outlets: dict[tuple[str, str, int], tuple[int, Outlet]] = {}
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._waiting: deque[tuple[str, str, int, Any]] = deque()
        self._wake: Entry | None = None
        node.is_outside = self.received.__contains__
        node.drain_outside = self._ring

    def listen(self, name: str) -> list[Any]:
        """Keep messages for `name`, which is no engine, from now on."""
        return self.received.setdefault(name, [])

    def send(self, sender: str, target: str, mailbox: int, message: Any) -> None:
        """Send a message as `sender`; it is on its way at once, or as soon as there is room."""
        self._waiting.append((sender, target, mailbox, message))
        self._send_waiting()
        self._link.flush()

    def begin_again(self) -> None:
        """The node lost its memory, and with it all lanes."""
        self._numbers.update({key: outlet.next_n for key, (_, outlet) in self._outlets.items()})
        self._outlets.clear()
        self._link = SimLink(self._node.lanes, self._node.agenda, OUTSIDE)

    def _send_waiting(self) -> None:
        while self._waiting:
            sender, target, mailbox, message = self._waiting[0]
            found = self._node.directory.find(target)
            if isinstance(found, Missing):
                at = (sender, target, mailbox, self._node.agenda.now_ns, render(message, False))
                self._node.record.bury({found.reason: 1}, [Letter(found.reason, *at)])
            elif not self._outlet(found.slot, sender, target, mailbox).send(encode(message)):
                return
            self._waiting.popleft()

    def _outlet(self, slot: int, sender: str, target: str, mailbox: int) -> Outlet:
        key = (sender, target, mailbox)
        known = self._outlets.get(key)
        if known is not None and known[0] == slot:
            return known[1]
        if known is not None:
            self._numbers[key] = known[1].next_n
        links.link(self._node, slot, OUTSIDE)
        self._link.attach(slot)
        outlet = self._link.outlet(slot, *key, 1, self._numbers.get(key, 1))
        self._outlets[key] = (slot, outlet)
        return outlet

    def _ring(self, at_ns: int) -> None:
        """There is mail for a name outside at a time, or room."""
        wake = self._wake
        if wake is not None and wake.call is not None:
            if wake.at_ns <= at_ns:
                return
            self._node.agenda.cancel(wake)
        self._wake = self._node.agenda.at(at_ns, self.drain)

    def drain(self) -> None:
        """Take what has arrived, and send what had no room."""
        record = self._node.record
        for frame in self._link.drain(MESSAGES_MAX):
            if frame.kind != KIND_MESSAGES:
                continue
            for payload in frame.payloads:
                message = self._decode(frame.sender, payload)
                record.say(f"{frame.target} < {frame.sender}: {message!r}")
                self.received.setdefault(frame.target, []).append(message)
        self._link.release()
        self._send_waiting()
        self._link.flush()
        arrives_ns = self._link.arrives_ns()
        if arrives_ns is not None:
            self._ring(arrives_ns)


def decoded(payload: Any, emits: Any) -> Any:
    """A message of one of these types, or plain data if it is none of them."""
    try:
        return Decoder(emits).decode(payload)
    except (msgspec.DecodeError, TypeError):
        return msgspec.msgpack.decode(payload)
