"""ZeroMQ links: the numbering that replaces shared memory, and what strangers can do to a socket."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from transport_worlds import DEADLINE_NS, Deadline, ZmqWorld, number, payloads

from transport.frames import encode_frame
from transport.port import KIND_MESSAGES, Broken, Frame
from transport.zmq_link import ZmqLink
from transport.zmq_stream import (
    ENVELOPE,
    HELLO_REST,
    TAG_ACK,
    TAG_DATA,
    TAG_HELLO,
    Incoming,
    Marks,
    Outgoing,
    unpack_envelope,
)

FRAME = Frame(1, KIND_MESSAGES, "a", "b", 0, 1, 1, [b"x"])


@pytest.fixture
def sockets() -> Iterator[ZmqWorld]:
    made = ZmqWorld()
    yield made
    made.close()


@pytest.fixture
def stranger(sockets: ZmqWorld) -> Iterator[zmq.Socket[bytes]]:
    """A socket connected to slot 2 that can say anything."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.set(zmq.LINGER, 0)
    socket.connect(sockets.address(2))
    yield socket
    context.destroy(0)


@given(st.lists(st.integers(1, 100), max_size=30), st.lists(st.integers(0, 30), max_size=30))
def test_acknowledging_frees_each_frame_once(sizes: list[int], acks: list[int]) -> None:
    """If false, the bound of what is kept would drift."""
    out = Outgoing(7)
    for size in sizes:
        out.keep(b"", size)
    freed = 0
    for ack in acks:
        if ack > len(sizes):
            with pytest.raises(Broken):
                out.acknowledge(7, ack)
        else:
            freed += out.acknowledge(7, ack)
            assert out.acknowledge(6, ack) == 0
    assert freed + sum(kept.size for kept in out.kept) == sum(sizes)
    assert out.first_number() == max([ack for ack in acks if ack <= len(sizes)], default=0) + 1


@given(st.randoms(use_true_random=False), st.integers(0, 20), st.integers(0, 20))
def test_a_receiver_takes_each_number_once_in_order(chance: random.Random, released: int, behind: int) -> None:
    """If false, repeats after a restart would be delivered, or a gap be skipped."""
    incoming = Incoming()
    first = max(released - behind, 0) + 1
    incoming.follow(5, first, released)
    taken = []
    for _ in range(400):
        offered = chance.randrange(first, released + 12)
        if incoming.expects(5, offered):
            taken.append(offered)
            incoming.expected += 1
        assert not incoming.expects(4, incoming.expected)
    assert taken == list(range(released + 1, released + 1 + len(taken)))


def test_marks_outlive_their_process(tmp_path: os.PathLike[str]) -> None:
    """If false, a receiver killed after release would hand the same frames to its successor."""
    path = f"{tmp_path}/marks"
    marks = Marks(path)
    marks.write(3, 100, 7)
    marks.write(3, 100, 8)
    again = Marks(path)
    assert (again.read(3, 100), again.read(3, 99), again.read(4, 100)) == (8, 0, 0)
    marks.write(3, 101, 1)
    assert (again.read(3, 100), again.read(3, 101)) == (0, 1)
    marks.close()
    again.close()


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


def hello(life: int, first: int) -> bytes:
    return ENVELOPE.pack(TAG_HELLO, 1, life, first) + HELLO_REST.pack(0, 0)


def data(life: int, n: int) -> bytes:
    return ENVELOPE.pack(TAG_DATA, 1, life, n) + encode_frame(FRAME._replace(first_n=n), n)


def test_repeats_gaps_and_other_lives_are_passed_over(sockets: ZmqWorld, stranger: zmq.Socket[bytes]) -> None:
    """If false, what a restart sends twice would be handled twice."""
    two = sockets.open(2, 1)
    for message in (
        data(10, 1),
        hello(10, 1),
        data(10, 2),
        data(10, 1),
        data(10, 1),
        data(9, 2),
        data(10, 2),
        hello(10, 1),
        data(10, 1),
        hello(12, 4),
        data(10, 3),
        data(12, 3),
        data(12, 4),
        hello(11, 1),
        data(11, 1),
        data(12, 5),
    ):
        stranger.send(message)
    assert [frame.first_n for frame in sockets.receive(two, 4)] == [1, 2, 4, 5]
    assert two.drain(10) == []


@pytest.mark.parametrize(
    ("message", "finding"),
    [
        (b"", "shorter than an envelope"),
        (ENVELOPE.pack(9, 1, 10, 1), "tag 9"),
        (ENVELOPE.pack(TAG_DATA, 64, 10, 1), "slot 64"),
        (ENVELOPE.pack(TAG_HELLO, 1, 10, 1), "hello"),
        (ENVELOPE.pack(TAG_DATA, 1, 10, 1), "less than a header"),
        (data(10, 1)[:-1], "frame of"),
        (data(10, 1)[:-1] + b"\1", "checksum"),
    ],
)
def test_a_hostile_message_is_broken(
    sockets: ZmqWorld, stranger: zmq.Socket[bytes], message: bytes, finding: str
) -> None:
    """If false, a peer that does wrong would end its receivers or go unnoticed."""
    two = sockets.open(2, 1)
    stranger.send(hello(10, 1))
    stranger.send(message)
    with pytest.raises(Broken, match=rf"lane .>2.*{finding}"):
        wait_and_drain(two)
    assert two.drain(10) == []


def wait_and_drain(link: ZmqLink) -> None:
    deadline = Deadline("finding")
    while True:
        deadline.check()
        link.wait(DEADLINE_NS)
        link.drain(10)


def test_an_ack_from_the_future_is_broken(sockets: ZmqWorld, stranger: zmq.Socket[bytes]) -> None:
    """If false, a peer could make the sender forget what it never sent."""
    two = sockets.open(2, 1)
    life = two._peers[1].outgoing.life
    stranger.send(ENVELOPE.pack(TAG_ACK, 1, life, 1))
    with pytest.raises(Broken, match="lane 1>2"):
        wait_and_drain(two)


def test_strangers_are_not_heard(sockets: ZmqWorld, stranger: zmq.Socket[bytes]) -> None:
    """If false, frames could enter for a peer that is not attached."""
    two = sockets.open(2)
    stranger.send(hello(10, 1))
    stranger.send(data(10, 1))
    assert two.wait(50_000_000) == []
    assert two.drain(10) == []


@pytest.mark.parametrize(
    "arguments", [(64, "ipc:///x"), (-1, "ipc:///x"), (1, "tcp://127.0.0.1:1"), (1, "ipc:///x", 1, "?")]
)
def test_wrong_arguments_are_refused(arguments: tuple[int, str]) -> None:
    """If false, a link could listen to the network, or wait in a way that does not exist."""
    with pytest.raises(ValueError, match="ipc://PATH"):
        ZmqLink(*arguments)


def test_closing_leaves_no_socket(sockets: ZmqWorld) -> None:
    """If false, files and descriptors would pile up."""
    before = len(os.listdir("/proc/self/fd"))
    link = sockets.open(5, 6)
    link.close()
    assert os.listdir(sockets.folder) == ["s5.marks"]
    assert len(os.listdir("/proc/self/fd")) == before
