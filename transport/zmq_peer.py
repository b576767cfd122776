"""One slot that a ZeroMQ link is attached to: the socket to it, and both directions of its stream.

The awkward case is a peer that died: its successor binds the same address, and the old PUSH socket may have passed
frames to a connection that nothing reads. So a hello of a new life makes us replace the socket; on the new one our own
hello comes first, then everything unacknowledged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

import zmq

from transport.keep import Keep
from transport.keep_memory import Header
from transport.kept_lane import KeptFrame
from transport.port import MESSAGE_BYTES_MAX
from transport.sending import SendingLane
from transport.zmq_stream import (
    DATA_FRONT,
    ENVELOPE,
    HELLO_REST,
    TAG_ACK,
    TAG_DATA,
    TAG_HELLO,
    IncomingStream,
    OutgoingStream,
    StreamEnvelope,
)

HWM_MESSAGES: Final = 4096
"""Messages a socket holds for one peer; beyond it frames wait in `OutgoingStream`."""
CLOSE_LINGER_MS: Final = 100
"""How long closing waits for the operating system to take what was flushed."""
RECONNECT_MS: Final = (5, 200)
"""First and longest pause between attempts to reach a peer that is not there."""


class LinkParts(NamedTuple):
    """What the peers of a link have in common."""

    slot: int
    keep: Keep
    context: zmq.Context[zmq.Socket[bytes]]
    counters: Counter[str]
    flush: Callable[[], None]
    """Of the whole link."""


class ZmqPeer:
    """Connected from the start. `header` is that of the peer's keep; `life` numbers this attachment."""

    def __init__(self, parts: LinkParts, number: int, address: str, header: Header, life: int) -> None:
        """Raises Broken when what the keep holds for this peer is not readable."""
        self._own, self._keep, self._context, self._counters, flush = parts
        self._address = address
        self.outgoing = OutgoingStream(life, self._keep.lane(number, header.identity), self._keep.arena)
        self.incoming = IncomingStream(header, self._keep.mark(number, header.identity))
        keep, kept_bytes = self._keep, self.outgoing.kept_bytes()
        self.lane = SendingLane(
            self._own, keep.header.lane_bytes, self.publish, kept_bytes, MESSAGE_BYTES_MAX, keep.arena, flush
        )
        self._ack_due = False
        self._push = self._connect()

    # --- sending

    def publish(self) -> None:
        """Store sealed frames in the keep, then pass them to the socket. Raises Broken when the slot was taken over."""
        sealed = self.lane.take()
        if sealed:
            self._keep.check_owner(self._own)
            written = self.outgoing.publish(sealed)
            self._counters["frames_out"] += len(written)
            self._counters["messages_out"] += sum(len(frame.payloads) for frame, _ in sealed)
            self.push()
            self._pass_new(written)
        else:
            self.push()

    def _pass_new(self, written: list[tuple[KeptFrame, bytes]]) -> None:
        waiting = self.outgoing.waiting
        for kept, data in written:
            if waiting or not self._pass(self._front(kept) + data):
                waiting.append(kept)

    def push(self) -> None:
        """Pass frames that wait to the socket as far as it takes them, and an acknowledgement that is due."""
        if self._ack_due:
            self.acknowledge()
        out = self.outgoing
        while out.waiting:
            kept = out.waiting[0]
            if not self._pass(self._front(kept) + out.lane.frame(kept)):
                return
            out.waiting.popleft()

    def _front(self, kept: KeptFrame) -> bytes:
        return DATA_FRONT.pack(
            TAG_DATA, self._own, self._keep.header.identity, self.outgoing.life, kept.position, kept.end
        )

    def acknowledge(self) -> None:
        """Send an acknowledgement of what was released."""
        incoming = self.incoming
        identity = self._keep.header.identity
        ack = ENVELOPE.pack(TAG_ACK, self._own, identity, incoming.life, incoming.released)
        self._ack_due = not self._pass(ack)

    def _pass(self, data: bytes) -> bool:
        """Whether the socket took a message."""
        try:
            self._push.send(data, zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return False
        return True

    # --- receiving

    def meet(self, hello: StreamEnvelope, your_identity: int, your_life: int, released: int) -> None:
        """Handle the peer's hello. A new life is followed, over a new connection."""
        if your_identity != self._keep.header.identity:
            return
        self.settle(your_life, released)
        if hello.life <= self.incoming.life:
            return
        self.incoming.follow(hello.life, hello.position)
        self._push.close(0)
        self._push = self._connect()

    def settle(self, life: int, position: int) -> None:
        """Handle an acknowledgement of our frames up to `position`. Raises Broken for frames that were never sent."""
        self.lane.kept_bytes -= self.outgoing.acknowledge(life, position)
        self.push()

    # --- the socket

    def _connect(self) -> zmq.Socket[bytes]:
        """Connect anew: a hello, then every unacknowledged frame."""
        self._push = push = self._context.socket(zmq.PUSH)
        push.set(zmq.SNDHWM, HWM_MESSAGES)
        push.set(zmq.RECONNECT_IVL, RECONNECT_MS[0])
        push.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MS[1])
        push.set(zmq.LINGER, 0)
        push.connect(self._address)
        out, incoming = self.outgoing, self.incoming
        front = ENVELOPE.pack(TAG_HELLO, self._own, self._keep.header.identity, out.life, out.head())
        self._pass(front + HELLO_REST.pack(incoming.identity, incoming.life, incoming.released))
        self._ack_due = False
        out.begin_again()
        self.push()
        return push

    def forget(self) -> None:
        """Drop what is kept for a peer that will not come back."""
        self.outgoing.forget_all()
        self.lane.redeem()

    def close(self, linger_ms: int = CLOSE_LINGER_MS) -> None:
        """Close the socket; outlets raise `Closed` from now on. Kept frames stay."""
        self.lane.attached = False
        self._push.close(linger_ms)
