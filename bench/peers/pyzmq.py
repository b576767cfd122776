"""pyzmq over ipc with msgspec and a bare handler: the usual way to do this in Python, done well.

Plain sockets, drained without waiting; one message per record, as in an application. PUSH/PULL and DEALER/ROUTER, where
the ROUTER receives, and so gets the identity of the sender.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import zmq

from bench.rounds import Contestant, Round
from bench.topologies import End, Send, Weave

HIGH_WATER: Final = 100_000
"""Records queued on either side; enough to avoid waiting for the other's time slice."""
DRAIN_MAX: Final = 1023
"""Parts taken after the first one: an even number in all, so no message of two parts is torn."""


def push_pull(run: Callable[[Weave], Round]) -> Contestant:
    """PUSH to PULL."""
    return Contestant("pyzmq", lambda: run(lambda ways: weave(ways, zmq.PUSH, zmq.PULL)))


def dealer_router(run: Callable[[Weave], Round]) -> Contestant:
    """DEALER to ROUTER: every message arrives after its sender's identity."""
    return Contestant("pyzmq-router", lambda: run(lambda ways: weave(ways, zmq.DEALER, zmq.ROUTER)))


@contextmanager
def weave(ways: Sequence[tuple[int, int]], sender: int, receiver: int) -> Iterator[Addresses]:
    """A folder for the sockets of one round; each receiving place binds one."""
    with tempfile.TemporaryDirectory(prefix="enginehost-bench-") as folder:
        yield Addresses(folder, frozenset(there for _, there in ways), sender, receiver)


class Addresses:
    """The addresses of the places of a round."""

    def __init__(self, folder: str, receiving: frozenset[int], sender: int, receiver: int) -> None:
        self._folder, self._receiving, self._sender, self._receiver = folder, receiving, sender, receiver

    def join(self, place: int) -> End:
        """A context, with a receiving socket if the place receives."""
        end = SocketEnd(self._folder, self._sender)
        if place in self._receiving:
            end.listen(place, self._receiver)
        return end


class SocketEnd:
    """A place's sockets."""

    def __init__(self, folder: str, kind: int) -> None:
        self._folder, self._kind = folder, kind
        self._context = zmq.Context()
        self._sending: list[zmq.Socket[bytes]] = []
        self._receiving: zmq.Socket[bytes] | None = None
        self._framed = False

    def listen(self, place: int, kind: int) -> None:
        """Bind the socket of a place."""
        self._receiving, self._framed = self._context.socket(kind), kind == zmq.ROUTER
        self._receiving.setsockopt(zmq.RCVHWM, HIGH_WATER)
        self._receiving.bind(f"ipc://{self._folder}/{place}")

    def outlet(self, place: int) -> Send:
        """Sends to a place; waits while its queue is full."""
        socket = self._context.socket(self._kind)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        socket.connect(f"ipc://{self._folder}/{place}")
        self._sending.append(socket)
        return socket.send

    def wait_for_room(self) -> None:
        """A send waits by itself."""

    def flush(self) -> None:
        """Nothing to do: ZeroMQ's own thread sends at once."""

    def drain(self) -> Sequence[Sequence[bytes]]:
        """Waits for one part, then takes those that have arrived."""
        assert self._receiving is not None, "this place receives"
        receive = self._receiving.recv
        taken = [receive()]
        try:
            for _ in range(DRAIN_MAX):
                taken.append(receive(zmq.NOBLOCK))
        except zmq.Again:
            pass
        return [taken[1::2]] if self._framed else [taken]

    def release(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Close all; discard messages that are not sent yet."""
        self._context.destroy(linger=0)
