"""ZeroMQ links: the numbering that replaces shared memory, and what strangers can do to a socket."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from transport_worlds import DEADLINE_NS, Deadline, ZmqWorld, number, payloads

from transport.frames import encode_frame
from transport.keep import Keep
from transport.keep_memory import create_keep, read_header
from transport.port import KIND_MESSAGES, Broken, Frame
from transport.sending import Sealed
from transport.zmq_link import ZmqLink
from transport.zmq_stream import (
    DATA_FRONT,
    ENVELOPE,
    HELLO_REST,
    TAG_ACK,
    TAG_DATA,
    TAG_HELLO,
    IncomingStream,
    OutgoingStream,
    unpack_envelope,
)

FRAME = Frame(1, KIND_MESSAGES, "a", "b", 0, 1, 1, [b"x"])


@pytest.fixture
def sockets() -> Iterator[ZmqWorld]:
    made = ZmqWorld()
    yield made
    made.close()


@pytest.fixture
def stranger(sockets: ZmqWorld) -> Iterator[Stranger]:
    made = Stranger(sockets)
    yield made
    made.close()


@given(st.lists(st.integers(1, 100), max_size=30), st.lists(st.integers(0, 4000), max_size=30))
def test_acknowledging_frees_each_frame_once(names: list[int], acks: list[int]) -> None:
    """If false, the bound of what is kept would drift, or another would be sent again than what was not handled."""
    with closing(Keep(create_keep(1 << 15))) as keep:
        out = OutgoingStream(7, keep.lane(2, 9), keep.arena)
        frames = [FRAME._replace(sender="n" * name) for name in names]
        written = out.publish([Sealed(frame, len(encode_frame(frame, 0))) for frame in frames])
        freed, most = 0, 0
        for ack in acks:
            if ack > out.tail:
                with pytest.raises(Broken):
                    out.acknowledge(7, ack)
            else:
                freed += out.acknowledge(7, ack)
                most = max(most, ack)
                assert out.acknowledge(7, ack) == out.acknowledge(6, ack) == 0
        assert freed + out.kept_bytes() == out.tail == sum(kept.size for kept, _ in written)
        assert list(out.kept) == [kept for kept, _ in written if kept.end > most]
        assert list(OutgoingStream(8, keep.lane(2, 9), keep.arena).kept) == list(out.kept)
        assert [out.lane.frame(kept) for kept in out.kept] == [data for kept, data in written if kept.end > most]


@pytest.mark.storm
@given(st.randoms(use_true_random=False), st.integers(0, 20), st.integers(0, 20))
def test_a_receiver_takes_each_position_once_in_order(chance: random.Random, released: int, behind: int) -> None:
    """If false, repeats after a restart would be delivered, or a gap be skipped."""
    with closing(Keep(create_keep(1 << 14))) as keep:
        mark = keep.mark(3, 9)
        mark.move(released)
        incoming = IncomingStream(keep.header, mark)
        first = max(released - behind, 0)
        incoming.follow(5, first)
        taken = []
        for _ in range(400):
            offered = chance.randrange(first, released + 12)
            if incoming.take(5, offered, offered + 1):
                taken.append(offered)
            assert not incoming.take(4, incoming.expected, incoming.expected + 1)
        assert taken == list(range(released, released + len(taken)))


@given(st.binary(max_size=60))
def test_any_envelope_is_read_or_broken(data: bytes) -> None:
    """If false, a stranger's message could end a worker."""
    try:
        envelope = unpack_envelope(data)
    except Broken:
        return
    assert envelope.tag in (TAG_DATA, TAG_HELLO, TAG_ACK)


def test_a_stale_socket_file_does_not_block(sockets: ZmqWorld) -> None:
    """If false, a node that was killed could not be started again."""
    path = sockets.address(2).removeprefix("ipc://")
    with open(path, "w") as stale:
        stale.write("left behind")
    one, two = sockets.two()
    one.outlet(2, "a", "b", 0, 1, 1).send(b"x")
    one.flush()
    assert payloads(sockets.receive(two, 1)) == [b"x"]


def test_what_is_kept_is_bounded_without_a_receiver(sockets: ZmqWorld) -> None:
    """If false, a receiver that never starts would cost its sender all memory."""
    one = sockets.open(1, 2)
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    while outlet.send(number(outlet.next_n)):
        pass
    one.flush()
    count = outlet.next_n
    assert count * 100 < sockets.lane_bytes
    assert one.settle(1_000_000) is False
    two = sockets.open(2, 1)
    assert payloads(sockets.receive(two, count)) == [number(n) for n in range(count)]
    deadline = Deadline("acknowledgement")
    while not one.settle(0):
        deadline.check()


class Stranger:
    """A socket connected to slot 2 that can say anything, in the name of slot 1."""

    def __init__(self, world: ZmqWorld) -> None:
        self.me, self.you = identity(world, 1), identity(world, 2)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(world.address(2))

    def say(self, *messages: bytes) -> None:
        for message in messages:
            self._socket.send(message)

    def envelope(self, tag: int, life: int, position: int) -> bytes:
        return ENVELOPE.pack(tag, 1, self.me, life, position)

    def hello(self, life: int, first: int) -> bytes:
        return self.envelope(TAG_HELLO, life, first) + HELLO_REST.pack(self.you, 0, 0)

    def data(self, life: int, n: int) -> bytes:
        """The frame at position 100 n, which says that the next is at 100 (n + 1)."""
        front = DATA_FRONT.pack(TAG_DATA, 1, self.me, life, 100 * n, 100 * n + 100)
        return front + encode_frame(FRAME._replace(first_n=n), 100 * n)

    def close(self) -> None:
        self._context.destroy(0)


def identity(world: ZmqWorld, slot: int) -> int:
    """Of a slot's keep."""
    fd = world.keep(slot)
    try:
        return read_header(fd).identity
    finally:
        os.close(fd)


def test_repeats_gaps_and_other_lives_are_passed_over(sockets: ZmqWorld, stranger: Stranger) -> None:
    """If false, what a restart sends twice would be handled twice, or a process could go on that has a successor."""
    two = sockets.open(2, 1)
    hello, data = stranger.hello, stranger.data
    stranger.say(data(10, 0), hello(10, 0), data(10, 1), data(10, 0), data(10, 0), data(9, 1), data(10, 1))
    stranger.say(hello(10, 0), data(10, 0), hello(12, 0), data(10, 2), data(12, 0), data(12, 2))
    stranger.say(hello(11, 0), data(11, 3), data(12, 3), hello(13, 600), data(13, 4), data(13, 6))
    assert [frame.first_n for frame in sockets.receive(two, 5)] == [0, 1, 2, 3, 6]
    assert two.drain(10) == []


def test_another_slot_of_the_same_number_is_not_heard(sockets: ZmqWorld, stranger: Stranger) -> None:
    """If false, what was meant for, or came from, a slot that is gone would reach the one that has its number now."""
    two = sockets.open(2, 1)
    stranger.me += 1
    stranger.say(stranger.hello(10, 0), stranger.data(10, 0))
    stranger.me -= 1
    stranger.you += 1
    stranger.say(stranger.hello(10, 0), stranger.data(10, 0))
    assert two.wait(50_000_000) == []
    assert two.drain(10) == []


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (lambda s: b"", "shorter than an envelope"),
        (lambda s: s.envelope(9, 10, 0), "tag 9"),
        (lambda s: ENVELOPE.pack(TAG_DATA, 64, s.me, 10, 0), "slot 64"),
        (lambda s: s.envelope(TAG_HELLO, 10, 0), "hello"),
        (lambda s: s.envelope(TAG_DATA, 10, 0), "data of 32 bytes"),
        (lambda s: s.envelope(TAG_DATA, 10, 0) + bytes(8), "from 0 to 0 in a lane"),
        (lambda s: s.envelope(TAG_DATA, 10, 0) + (1 << 17).to_bytes(8, "little"), "from 0 to 131072 in a lane"),
        (lambda s: s.data(10, 0)[:48], "less than a header"),
        (lambda s: s.data(10, 0)[:-1], "frame of"),
        (lambda s: s.data(10, 0)[:-1] + b"\1", "checksum"),
    ],
)
def test_a_hostile_message_is_broken(
    sockets: ZmqWorld, stranger: Stranger, make: Callable[[Stranger], bytes], finding: str
) -> None:
    """If false, a peer that does wrong would end its receivers or go unnoticed."""
    two = sockets.open(2, 1)
    stranger.say(stranger.hello(10, 0), make(stranger))
    with pytest.raises(Broken, match=rf"lane .>2.*{finding}"):
        wait_and_drain(two)
    assert two.drain(10) == []


def wait_and_drain(link: ZmqLink) -> None:
    deadline = Deadline("finding")
    while True:
        deadline.check()
        link.wait(DEADLINE_NS)
        link.drain(10)


def test_an_ack_from_the_future_is_broken(sockets: ZmqWorld, stranger: Stranger) -> None:
    """If false, a peer could make the sender forget what it never sent."""
    two = sockets.open(2, 1)
    stranger.say(stranger.envelope(TAG_ACK, two._peers[1].outgoing.life, 1))
    with pytest.raises(Broken, match="lane 1>2"):
        wait_and_drain(two)


def test_strangers_are_not_heard(sockets: ZmqWorld, stranger: Stranger) -> None:
    """If false, frames could enter for a peer that is not attached."""
    two = sockets.open(2)
    stranger.say(stranger.hello(10, 0), stranger.data(10, 0))
    assert two.wait(50_000_000) == []
    assert two.drain(10) == []


@pytest.mark.parametrize(
    ("slot", "address", "wait"),
    [(64, "ipc:///x", "block"), (-1, "ipc:///x", "block"), (1, "tcp://127.0.0.1:1", "block"), (1, "ipc:///x", "?")],
)
def test_wrong_arguments_are_refused(slot: int, address: str, wait: str) -> None:
    """If false, a link could listen to the network, or wait in a way that does not exist."""
    with pytest.raises(ValueError, match="ipc://PATH"):
        ZmqLink(slot, address, create_keep(), wait)


def test_closing_leaves_no_socket(sockets: ZmqWorld) -> None:
    """If false, files and descriptors would pile up."""
    os.close(sockets.keep(5))
    os.close(sockets.keep(6))
    before = len(os.listdir("/proc/self/fd"))
    link = sockets.open(5, 6)
    link.close()
    assert os.listdir(sockets.folder) == []
    assert len(os.listdir("/proc/self/fd")) == before
