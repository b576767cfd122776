"""Links over ZeroMQ ipc sockets, for nodes without native lanes and for those that ask for it.

Each slot binds one PULL socket at its address and connects one PUSH socket to each peer. Plain sockets, drained without
waiting. ZeroMQ's own threads wait for connections, and nothing relies on what they hold: a frame lies in the slot's
memory (`keep.py`) before a socket gets it, stays there until the receiver has released it, and is sent again to a peer
that starts over, or by the slot's next process (`zmq_stream.py`, `zmq_peer.py`). What is kept for one peer stays below
`lane_bytes`; a large message also needs room in the arena, or is refused.

States of a link: open; open while the slot has a next process, then everything but `close` raises `Broken`; closed.
States of a peer: attached, its life unknown (only its hello counts); followed; detached by us or by a finding.

What a death leaves, beyond what `keep.py` says of each store:
  before the address is bound   the predecessor's file is there, nothing listens: peers' connections wait
  bound, peers not attached     their hellos are ignored; attaching sends a hello with a new life, which they answer
  anywhere in the sockets       everything unacknowledged is in a keep

One thing a lane does and this link cannot: frames reach a receiver while the sender's slot has no process. Here they
wait for the slot's next process; `settle` is for a process that will have no successor.
"""

from __future__ import annotations

import os
import select
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Final

import zmq

from transport.frames import decode_frame
from transport.keep import Keep
from transport.keep_memory import read_header
from transport.kept_lane import FRAME_BYTES_MAX
from transport.port import KIND_GO, KIND_STOP, MESSAGE_BYTES_MAX, SLOTS_MAX, Broken, Closed, Frame
from transport.sending import PythonOutlet
from transport.zmq_peer import HWM_MESSAGES, LinkParts, ZmqPeer
from transport.zmq_stream import DATA_FRONT, ENVELOPE, HELLO_REST, TAG_ACK, TAG_HELLO, StreamEnvelope, unpack_envelope

NS_PER_S: Final = 1_000_000_000
YIELDS_MAX: Final = 20
"""How often `wait="adaptive"` gives way before it sleeps, as in `core.h`."""
RECEIVES_MAX: Final = 4096
"""Messages taken from the socket in one go, so that acknowledgements cannot hold up a drain."""
ATTACHMENTS_MAX: Final = 1 << 20
"""Attachments of one process that have a life of their own."""


class ZmqLink:
    """One process's end of its slot, bound at `address` (`ipc://PATH`). See `transport.port.Link`."""

    def __init__(self, slot: int, address: str, keep_fd: int, wait: str = "adaptive") -> None:
        """Takes the slot over from its last process, and takes over `keep_fd`, also when it fails.

        Raises `Broken` when the keep is not one, OSError, zmq.ZMQError.
        """
        if not 0 <= slot < SLOTS_MAX or not address.startswith("ipc://") or wait not in ("adaptive", "block"):
            os.close(keep_fd)
            raise ValueError(f"slot {slot} below {SLOTS_MAX}, address {address!r} as ipc://PATH, wait {wait!r}")
        self.slot = slot
        self.message_bytes_max = MESSAGE_BYTES_MAX
        self._keep = Keep(keep_fd)
        self._lives = self._keep.generation * ATTACHMENTS_MAX
        self._yields = YIELDS_MAX if wait == "adaptive" else 0
        self._peers: dict[int, ZmqPeer] = {}
        self._inbox: deque[tuple[int, int, Frame]] = deque()
        self._late: Broken | None = None
        self._counters: Counter[str] = Counter()
        self._open = True
        self._path = address.removeprefix("ipc://")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self._pull = self._context.socket(zmq.PULL)
        self._epoll = select.epoll()
        try:
            self._bind(address)
        except BaseException:
            self._free()
            raise
        self._inode = os.stat(self._path).st_ino
        self._fileno = int(self._pull.get(zmq.FD))
        self._epoll.register(self._fileno, select.EPOLLIN)

    def _bind(self, address: str) -> None:
        self._pull.set(zmq.RCVHWM, HWM_MESSAGES)
        self._pull.set(zmq.MAXMSGSIZE, DATA_FRONT.size + FRAME_BYTES_MAX)
        self._pull.set(zmq.LINGER, 0)
        self._pull.bind(address)

    # --- peers

    def attach(self, peer: int, address: str, keep_fd: int) -> None:
        """Link with a slot at its address, whether a process is there yet or not. Both ends must attach each other.

        Takes over `keep_fd`, a descriptor of the peer's keep, which may be for reading only. Raises `Broken`, Closed.
        """
        try:
            self._check_open()
            if peer == self.slot or not 0 <= peer < SLOTS_MAX or peer in self._peers:
                raise ValueError(f"slot {peer} is out of range, this link's own, or attached already")
            header = read_header(keep_fd)
        finally:
            os.close(keep_fd)
        if header.identity == self._keep.header.identity:
            raise Broken(f"slot {peer}: its keep is this link's own")
        self._lives += 1
        place = LinkParts(self.slot, self._keep, self._context, self._counters, self.flush)
        self._peers[peer] = ZmqPeer(place, peer, address, header, self._lives)

    def detach(self, peer: int) -> None:
        """See `transport.port.Link`. Unacknowledged frames are dropped, those of earlier processes too."""
        self._check_open()
        link = self._peers.pop(peer, None)
        if link is None:
            self._keep.forget(peer)
            return
        link.forget()
        link.close()
        self._inbox = deque(entry for entry in self._inbox if entry[0] != peer)

    # --- sending

    def outlet(self, peer: int, sender: str, target: str, mailbox: int, epoch: int, next_n: int) -> PythonOutlet:
        """See `transport.port.Link`."""
        return PythonOutlet(self._sending(peer).lane, sender, target, mailbox, epoch, next_n)

    def signal(self, peer: int, kind: int, target: str) -> bool:
        """See `transport.port.Link`."""
        if kind not in (KIND_STOP, KIND_GO):
            raise ValueError(f"kind {kind} is not stop or go")
        return self._sending(peer).lane.signal(kind, target)

    def _sending(self, peer: int) -> ZmqPeer:
        """A peer to send to. Its ring is allocated on first use; raises OSError when there is no memory for it."""
        link = self._attached(peer)
        link.outgoing.lane.reserve()
        return link

    def flush(self) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        for link in self._peers.values():
            link.publish()

    def has_room(self, peer: int) -> bool:
        """See `transport.port.Link`."""
        link = self._attached(peer)
        return link.lane.room() or (self._receive_some() and peer in self._peers and link.lane.room())

    def published(self, peer: int) -> int:
        """See `transport.port.Link`."""
        return self._attached(peer).outgoing.tail

    def released(self, peer: int) -> int:
        """See `transport.port.Link`; as far as `wait`, `drain` and `arm` have read acknowledgements."""
        return self._attached(peer).outgoing.head()

    # --- receiving

    def drain(self, messages_max: int) -> list[Frame]:
        """See `transport.port.Link`."""
        self._check_open()
        frames: list[Frame] = []
        left = messages_max
        while left > 0 and (self._inbox or (self._late is None and self._receive_some())):
            if not self._inbox:
                continue
            peer, end, frame = self._inbox.popleft()
            self._peers[peer].incoming.drained = end
            frames.append(frame)
            left -= len(frame.payloads) or 1
        self._counters["frames_in"] += len(frames)
        self._counters["messages_in"] += sum(len(frame.payloads) for frame in frames)
        if self._late is not None and not frames:
            late, self._late = self._late, None
            raise late
        return frames

    def release(self) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        for link in self._peers.values():
            if link.incoming.release():
                link.acknowledge()

    def _receive_some(self) -> bool:
        """Take messages from the socket until there is one frame, or a finding. Whether any message was there."""
        for taken in range(RECEIVES_MAX):
            try:
                data = self._pull.recv(zmq.NOBLOCK)
            except zmq.Again:
                return taken > 0
            if self._handle(data):
                break
        return True

    def _handle(self, data: bytes) -> bool:
        """Whether a message was a frame for the inbox, or a finding that `drain` will raise."""
        try:
            envelope = unpack_envelope(data)
        except Broken as finding:
            self._late = Broken(f"lane ?>{self.slot}: {finding}")
            return True
        link = self._peers.get(envelope.slot)
        if link is None or envelope.identity != link.incoming.identity:
            return False
        try:
            return self._handle_from(link, envelope, data)
        except Broken as finding:
            self._late = Broken(f"lane {envelope.slot}>{self.slot} at {link.incoming.expected}: {finding}")
            self.detach(envelope.slot)
            return True

    def _handle_from(self, link: ZmqPeer, envelope: StreamEnvelope, data: bytes) -> bool:
        if envelope.tag == TAG_HELLO:
            link.meet(envelope, *HELLO_REST.unpack_from(data, ENVELOPE.size))
        elif envelope.tag == TAG_ACK:
            link.settle(envelope.life, envelope.position)
        else:
            *_, position, end = DATA_FRONT.unpack_from(data)
            if link.incoming.take(envelope.life, position, end):
                frame = decode_frame(data[DATA_FRONT.size :], envelope.slot, position)
                self._inbox.append((envelope.slot, end, frame))
                return True
        return False

    # --- waiting

    def wait(self, timeout_ns: int | None) -> list[int]:
        """See `transport.port.Link`. The time-out is rounded up to milliseconds."""
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        while True:
            has_news = not self.arm() or (timeout_ns != 0 and self._yield())
            left = None if deadline is None else max(deadline - time.monotonic_ns(), 0)
            ready = self._sleep(0 if has_news else left)
            if ready or has_news or left == 0:
                return ready

    def _yield(self) -> bool:
        """Give way until there is news, a bounded number of times."""
        for _ in range(self._yields):
            self._counters["yields"] += 1
            os.sched_yield()
            if not self.arm():
                return True
        return False

    def _sleep(self, timeout_ns: int | None) -> list[int]:
        self._counters["blocks"] += timeout_ns != 0
        events = self._epoll.poll(None if timeout_ns is None else timeout_ns / NS_PER_S)
        return [fd for fd, _ in events if fd != self._fileno]

    def arm(self) -> bool:
        """See `transport.port.Link`. The descriptor becomes readable again only after the socket was found empty."""
        self._check_open()
        while not self._has_news():
            if not int(self._pull.get(zmq.EVENTS)) & zmq.POLLIN:
                return True
        return False

    def _has_news(self) -> bool:
        """Read until a frame or nothing is there. Also true when a refused message has room now; reported once."""
        while not self._inbox and self._late is None and self._receive_some():
            pass
        roomy = any(link.lane.room() for link in self._peers.values() if link.lane.wanted)
        return bool(self._inbox) or self._late is not None or roomy

    def hush(self) -> None:
        """See `transport.port.Link`. ZeroMQ takes its ring itself when the socket is read."""
        self._check_open()

    def fileno(self) -> int:
        """See `transport.port.Link`."""
        self._check_open()
        return self._fileno

    def watch(self, fd: int) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        self._epoll.unregister(fd)

    # --- ending

    def settle(self, timeout_ns: int | None) -> bool:
        """See `transport.port.Link`."""
        deadline = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        doorbell = select.poll()
        doorbell.register(self._fileno, select.POLLIN)
        self.flush()
        while True:
            while self._late is None and self._receive_some():
                pass
            if not any(link.outgoing.kept for link in self._peers.values()):
                return True
            left = None if deadline is None else max(deadline - time.monotonic_ns(), 0)
            if left == 0 or self._late is not None:
                return False
            doorbell.poll(None if left is None else left / 1_000_000)

    def counters(self) -> dict[str, int]:
        """See `transport.port.Link`. ZeroMQ rings by itself, so there are no `rings`."""
        names = ("frames_in", "messages_in", "frames_out", "messages_out", "rings", "yields", "blocks")
        return {name: self._counters[name] for name in names}

    def close(self) -> None:
        """See `transport.port.Link`. Removes the socket's file; what is kept stays for the slot's next process."""
        if not self._open:
            return
        for link in self._peers.values():
            link.close()
        self._free()
        with suppress(FileNotFoundError):
            if os.stat(self._path).st_ino == self._inode:  # else a successor has bound it
                os.unlink(self._path)

    def _free(self) -> None:
        self._open = False
        self._epoll.close()
        self._pull.close(0)
        self._context.term()
        self._keep.close()

    def _attached(self, peer: int) -> ZmqPeer:
        self._check_open()
        link = self._peers.get(peer)
        if link is None:
            raise Closed(f"slot {peer} is not attached")
        return link

    def _check_open(self) -> None:
        if not self._open:
            raise Closed("the link is closed")
        self._keep.check_owner(self.slot)
