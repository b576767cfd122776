"""Links over ZeroMQ ipc sockets, for nodes without native lanes and for those that ask for it.

Each slot binds one PULL socket at its address and connects one PUSH socket to each peer. Plain sockets, drained without
waiting. ZeroMQ's own threads do the waiting for connections; what must not get lost is numbered and kept here, see
`zmq_stream`. A frame is kept until the receiver has released it; all that is kept for a peer stays below `lane_bytes`.

The awkward case is a peer that died: its successor binds the same address, and the old PUSH socket may have passed
frames to a connection nobody reads. So the successor's hello, of a life not seen before, replaces that socket by a new
one, on which everything unacknowledged follows our own hello.

What a lane keeps and this cannot: frames that a killed sender had flushed, but that had not left its memory.
"""

from __future__ import annotations

import os
import select
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Final

import zmq

from transport.frames import HEADER, NAME_BYTES_MAX, decode_frame, encode_frame
from transport.port import KIND_GO, KIND_STOP, LANE_BYTES, MESSAGE_SHARE, SLOTS_MAX, Broken, Closed, Frame
from transport.sending import FRAME_SOFT_BYTES_MAX, PythonOutlet, SendingLane
from transport.zmq_stream import (
    ENVELOPE,
    HELLO_REST,
    TAG_ACK,
    TAG_DATA,
    TAG_HELLO,
    Envelope,
    Incoming,
    Marks,
    Outgoing,
    unpack_envelope,
)

NS_PER_S: Final = 1_000_000_000
YIELDS_MAX: Final = 20
"""How often `wait="adaptive"` gives way before it sleeps, as in `core.h`."""
HWM_MESSAGES: Final = 4096
"""Messages a socket holds for one peer; beyond it frames wait in `Outgoing`."""
RECEIVES_MAX: Final = 4096
"""Messages taken from the socket in one go, so that acknowledgements cannot hold up a drain."""
CLOSE_LINGER_MS: Final = 100
"""How long closing waits for the operating system to take what was flushed."""
RECONNECT_MS: Final = (5, 200)
"""First and longest pause between attempts to reach a peer that is not there."""


class _Peer:
    """One attached slot: the socket to it and the state of both directions."""

    def __init__(self, address: str, lane: SendingLane, life: int) -> None:
        self.address = address
        self.lane = lane
        self.outgoing = Outgoing(life)
        self.incoming = Incoming()
        self.push: zmq.Socket[bytes] | None = None
        self.ack_due = False


class ZmqLink:
    """One process's end of its slot, bound at `address` (`ipc://PATH`). See `transport.port.Link`."""

    def __init__(self, slot: int, address: str, lane_bytes: int = LANE_BYTES, wait: str = "adaptive") -> None:
        if not 0 <= slot < SLOTS_MAX or not address.startswith("ipc://") or wait not in ("adaptive", "block"):
            raise ValueError(f"slot {slot} below {SLOTS_MAX}, address {address!r} as ipc://PATH, wait {wait!r}")
        self.slot = slot
        self.message_bytes_max = lane_bytes // MESSAGE_SHARE
        self._lane_bytes = lane_bytes
        self._yields = YIELDS_MAX if wait == "adaptive" else 0
        self._peers: dict[int, _Peer] = {}
        self._inbox: deque[tuple[Envelope, Frame]] = deque()
        self._late: Broken | None = None
        self._life = 0
        self._counters: Counter[str] = Counter()
        self._open = True
        self._path = address.removeprefix("ipc://")
        self._marks = Marks(self._path + ".marks")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self._pull = self._context.socket(zmq.PULL)
        self._pull.set(zmq.RCVHWM, HWM_MESSAGES)
        self._pull.set(zmq.MAXMSGSIZE, _largest_message(lane_bytes))
        self._pull.set(zmq.LINGER, 0)
        self._pull.bind(address)
        self._inode = os.stat(self._path).st_ino
        self._fileno = int(self._pull.get(zmq.FD))
        self._epoll = select.epoll()
        self._epoll.register(self._fileno, select.EPOLLIN)

    # --- peers

    def attach(self, peer: int, address: str) -> None:
        """Link with a slot at its address, whether a process is there yet or not. Both ends must attach each other."""
        self._check_open()
        if peer == self.slot or not 0 <= peer < SLOTS_MAX or peer in self._peers:
            raise ValueError(f"slot {peer} is out of range, this link's own, or attached already")
        self._life = max(self._life + 1, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        lane = SendingLane(self.slot, self._lane_bytes, lambda: self._publish(peer))
        self._peers[peer] = _Peer(address, lane, self._life)
        self._connect(peer)

    def detach(self, peer: int) -> None:
        """See `transport.port.Link`. Frames that were not acknowledged are forgotten."""
        self._check_open()
        link = self._peers.pop(peer, None)
        if link is None:
            return
        link.lane.attached = False
        self._inbox = deque(entry for entry in self._inbox if entry[0].slot != peer)
        if link.push is not None:
            link.push.close(CLOSE_LINGER_MS)

    def _connect(self, peer: int) -> None:
        """Make a fresh connection: hello, then all that is not acknowledged."""
        link = self._peers[peer]
        if link.push is not None:
            link.push.close(0)
        link.push = push = self._context.socket(zmq.PUSH)
        push.set(zmq.SNDHWM, HWM_MESSAGES)
        push.set(zmq.RECONNECT_IVL, RECONNECT_MS[0])
        push.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MS[1])
        push.set(zmq.LINGER, 0)
        push.connect(link.address)
        front = ENVELOPE.pack(TAG_HELLO, self.slot, link.outgoing.life, link.outgoing.first_number())
        self._pass(link, front + HELLO_REST.pack(link.incoming.life, link.incoming.released))
        link.ack_due = False
        link.outgoing.passed = 0
        self._push(link)

    # --- sending

    def outlet(self, peer: int, sender: str, target: str, mailbox: int, epoch: int, next_n: int) -> PythonOutlet:
        """See `transport.port.Link`."""
        return PythonOutlet(self._attached(peer).lane, sender, target, mailbox, epoch, next_n)

    def signal(self, peer: int, kind: int, target: str) -> bool:
        """See `transport.port.Link`."""
        if kind not in (KIND_STOP, KIND_GO):
            raise ValueError(f"kind {kind} is not stop or go")
        return self._attached(peer).lane.signal(kind, target)

    def flush(self) -> None:
        """See `transport.port.Link`."""
        self._check_open()
        for peer in self._peers:
            self._publish(peer)

    def _publish(self, peer: int) -> None:
        link = self._peers[peer]
        for sealed in link.lane.take():
            link.outgoing.keep(encode_frame(sealed.frame, link.outgoing.next_number), sealed.size)
            self._counters["frames_out"] += 1
            self._counters["messages_out"] += len(sealed.frame.payloads)
        self._push(link)

    def _push(self, link: _Peer) -> None:
        """Pass kept frames to the socket as far as it takes them, and an acknowledgement that is due."""
        if link.ack_due:
            self._acknowledge(link)
        out = link.outgoing
        while out.passed < len(out.kept):
            kept = out.kept[out.passed]
            if not self._pass(link, ENVELOPE.pack(TAG_DATA, self.slot, out.life, kept.number) + kept.data):
                return
            out.passed += 1

    def _acknowledge(self, link: _Peer) -> None:
        incoming = link.incoming
        link.ack_due = not self._pass(link, ENVELOPE.pack(TAG_ACK, self.slot, incoming.life, incoming.released))

    def _pass(self, link: _Peer, data: bytes) -> bool:
        """Whether the socket took a message."""
        if link.push is None:
            return False
        try:
            link.push.send(data, zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return False
        return True

    def has_room(self, peer: int) -> bool:
        """See `transport.port.Link`."""
        link = self._attached(peer)
        return link.lane.room() or (self._receive_some() and peer in self._peers and link.lane.room())

    def published(self, peer: int) -> int:
        """See `transport.port.Link`; counts frames."""
        return self._attached(peer).outgoing.next_number

    def released(self, peer: int) -> int:
        """See `transport.port.Link`; acknowledgements that have come are read first."""
        self._receive_some()
        return self._attached(peer).outgoing.first_number()

    # --- receiving

    def drain(self, messages_max: int) -> list[Frame]:
        """See `transport.port.Link`."""
        self._check_open()
        frames: list[Frame] = []
        left = messages_max
        while left > 0 and (self._inbox or (self._late is None and self._receive_some())):
            if not self._inbox:
                continue
            envelope, frame = self._inbox.popleft()
            self._peers[envelope.slot].incoming.drain(envelope.life, envelope.number)
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
        for peer, link in self._peers.items():
            incoming = link.incoming
            if incoming.drained > incoming.released:
                incoming.released = incoming.drained
                self._marks.write(peer, incoming.life, incoming.released)
                self._acknowledge(link)

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
        if link is None:
            return False
        try:
            return self._handle_from(link, envelope, data)
        except Broken as finding:
            self._late = Broken(f"lane {envelope.slot}>{self.slot} at frame {link.incoming.expected}: {finding}")
            self.detach(envelope.slot)
            return True

    def _handle_from(self, link: _Peer, envelope: Envelope, data: bytes) -> bool:
        if envelope.tag == TAG_HELLO:
            self._meet(link, envelope, *HELLO_REST.unpack_from(data, ENVELOPE.size))
        elif envelope.tag == TAG_ACK:
            self._settle_frames(link, envelope.life, envelope.number)
        elif link.incoming.expects(envelope.life, envelope.number):
            frame = decode_frame(data[ENVELOPE.size :], envelope.slot, envelope.number)
            link.incoming.expected += 1
            self._inbox.append((envelope, frame))
            return True
        return False

    def _meet(self, link: _Peer, hello: Envelope, your_life: int, released: int) -> None:
        """A peer says who it is. A life not seen before: follow it, and connect anew."""
        self._settle_frames(link, your_life, released)
        if hello.life <= link.incoming.life:
            return
        link.incoming.follow(hello.life, hello.number, self._marks.read(hello.slot, hello.life))
        self._connect(hello.slot)

    def _settle_frames(self, link: _Peer, life: int, number: int) -> None:
        link.lane.kept_bytes -= link.outgoing.acknowledge(life, number)
        self._push(link)

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
        """See `transport.port.Link`. The descriptor only speaks again once the socket was found empty."""
        self._check_open()
        while not self._has_news():
            if not int(self._pull.get(zmq.EVENTS)) & zmq.POLLIN:
                return True
        return False

    def _has_news(self) -> bool:
        """Read until there is a frame or nothing; also whether there is room a refused message waits for, said once."""
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
        """See `transport.port.Link`. Removes the socket's file; the marks stay for the slot's next process."""
        if not self._open:
            return
        for peer in list(self._peers):
            self.detach(peer)
        self._open = False
        self._epoll.close()
        self._pull.close(0)
        self._context.term()
        self._marks.close()
        with suppress(FileNotFoundError):
            if os.stat(self._path).st_ino == self._inode:  # else a successor has bound it
                os.unlink(self._path)

    def _attached(self, peer: int) -> _Peer:
        self._check_open()
        link = self._peers.get(peer)
        if link is None:
            raise Closed(f"slot {peer} is not attached")
        return link

    def _check_open(self) -> None:
        if not self._open:
            raise Closed("the link is closed")


def _largest_message(lane_bytes: int) -> int:
    """The largest message a peer may send: envelope, a frame's head, and a soft-full frame or one largest payload."""
    return ENVELOPE.size + HEADER.size + 2 * NAME_BYTES_MAX + max(FRAME_SOFT_BYTES_MAX, lane_bytes // MESSAGE_SHARE + 8)
