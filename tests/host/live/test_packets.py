"""A slot's socket pair: packets in order, descriptors with them, bounded, and a clear end."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from live_nodes import in_child

from host.live import wire
from host.live.packets import (
    DESCRIPTORS_MAX,
    OUTSIZED,
    OUTSIZED_BYTES_MAX,
    QUEUE_PACKETS_MAX,
    Channel,
    Full,
    channel_pair,
    close_all,
    memory_file,
    read_memory_file,
    supervisor_end,
    worker_end,
)
from host.live.supervisor.line import Line
from host.node.news import Event
from transport.port import Broken, Closed

NOBODY = 65534


def ends() -> tuple[Channel[wire.ToWorker], Channel[wire.ToSupervisor], socket.socket]:
    left, right = channel_pair()
    return worker_end(left), supervisor_end(right), right


def test_packets_arrive_whole_and_in_order() -> None:
    """False if packets were merged, lost or reordered."""
    worker, supervisor, _ = ends()
    for number in range(20):
        worker.send(wire.Hello(pid=number))
    received = [supervisor.receive() for _ in range(20)]
    assert [packet[0] for packet in received if packet] == [wire.Hello(pid=number) for number in range(20)]
    assert supervisor.receive() is None


def test_most_descriptors_the_kernel_takes_arrive_and_close_on_exec() -> None:
    """False if descriptors were lost, or leaked into a program started later."""
    worker, supervisor, _ = ends()
    payload = memory_file(b"state")
    supervisor.send(wire.Go(), [payload] * DESCRIPTORS_MAX)
    os.close(payload)
    received = worker.receive()
    assert received is not None
    packet, descriptors = received
    assert packet == wire.Go()
    assert len(descriptors) == DESCRIPTORS_MAX
    assert all(read_memory_file(descriptor) == b"state" for descriptor in descriptors)
    assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
    close_all(descriptors)


def test_what_the_kernel_does_not_take_waits_with_its_descriptors() -> None:
    """False if a full socket lost packets, or a queued packet lost a descriptor its sender has closed."""
    worker, supervisor, _ = ends()
    sent = 0
    while not supervisor.waiting:
        supervisor.send(wire.Query(id=sent, kind="x" * 1_000))
        sent += 1
    payload = memory_file(b"late")
    supervisor.send(wire.Adopt(), [payload])
    os.close(payload)
    got: list[wire.ToWorker] = []
    descriptors: list[int] = []
    while len(got) < sent + 1:
        received = worker.receive()
        if received is None:
            supervisor.flush()
            continue
        got.append(received[0])
        descriptors += received[1]
    assert [packet.id for packet in got if isinstance(packet, wire.Query)] == list(range(sent))
    assert got[-1] == wire.Adopt()
    assert [read_memory_file(descriptor) for descriptor in descriptors] == [b"late"]
    assert supervisor.waiting == 0
    close_all(descriptors)


def run_with_few_descriptors(run: Callable[[], None]) -> None:
    """256 at most, as a user that is not root; with an end, should nothing come."""
    signal.alarm(20)
    os.closerange(100, 256)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    run()


def send_with_no_descriptors_left() -> None:
    worker, supervisor, _ = ends()
    while not supervisor.waiting:
        supervisor.send(wire.Query(id=0, kind="x" * 1_000))
    taken = [memory_file(b"late")]
    with suppress(OSError):
        while True:
            taken.append(os.dup(taken[0]))
    close_all(taken[-2:])
    before = len(os.listdir(f"/proc/{os.getpid()}/fd"))
    with pytest.raises(OSError, match="Too many open files"):
        supervisor.send(wire.Adopt(), taken[:3])
    assert len(os.listdir(f"/proc/{os.getpid()}/fd")) == before
    assert worker.receive() is not None


def test_a_packet_that_cannot_wait_leaves_no_descriptors() -> None:
    """False if a process that has no descriptors left lost those it had."""
    in_child(lambda: run_with_few_descriptors(send_with_no_descriptors_left))


async def send_many_descriptors() -> None:
    """More than may be on their way; nobody reads before all are sent."""
    ours, theirs = channel_pair()
    channel, worker, payload = supervisor_end(ours), worker_end(theirs), memory_file(b"one of many")
    line = Line(channel)
    for number in range(100):
        line.send(wire.Query(id=number, kind="k"), [payload] * 3)
    assert channel.is_short, "the kernel took them all"
    got: list[int] = []
    while len(got) < 100:
        received = worker.receive()
        if received is None:
            await asyncio.sleep(0)
            continue
        packet, descriptors = received
        assert isinstance(packet, wire.Query)
        assert [read_memory_file(descriptor) for descriptor in descriptors] == [b"one of many"] * 3
        close_all(descriptors)
        got.append(packet.id)
    assert got == list(range(100))
    assert not channel.waiting


def test_descriptors_that_are_too_many_on_their_way_wait() -> None:
    """False if a user other than root lost links between engines of a large node, and whatever was sent over them."""
    in_child(lambda: run_with_few_descriptors(lambda: asyncio.run(send_many_descriptors())))


@pytest.mark.storm
def test_a_peer_that_never_reads_makes_the_queue_full() -> None:
    """False if a dead-slow peer could fill the sender's memory."""
    worker, supervisor, _ = ends()
    while supervisor.waiting < QUEUE_PACKETS_MAX:
        supervisor.send(wire.Thaw())
    with pytest.raises(Full):
        supervisor.send(wire.Thaw())
    assert worker.receive() == (wire.Thaw(), [])


def test_what_a_dead_peer_said_is_received_before_its_end() -> None:
    """False if the last words of a worker were lost with it."""
    worker, supervisor, _ = ends()
    worker.send(wire.EngineEnded(name="a"))
    worker.close()
    assert select.select([supervisor], [], [], 5)[0] == [supervisor]
    received = supervisor.receive()
    assert received == (wire.EngineEnded(name="a"), [])
    with pytest.raises(Closed):
        supervisor.receive()
    with pytest.raises(Closed):
        supervisor.send(wire.Thaw())


def test_a_peer_that_ended_with_packets_unread_is_heard_to_its_last_word() -> None:
    """False if a worker that had not read all that was sent to it could not say why it ends."""
    ours, theirs = channel_pair()
    channel, worker = supervisor_end(ours), worker_end(theirs)
    channel.send(wire.End(("a",)))
    worker.send(Event("journal_stopped", "", {"reason": "no room"}))
    worker.close()
    received = channel.receive()
    assert received is not None
    assert received[0] == Event("journal_stopped", "", {"reason": "no room"})
    with pytest.raises(Closed):
        channel.receive()
    channel.close()


def test_a_packet_of_no_known_kind_is_broken_and_its_descriptors_closed() -> None:
    """False if garbage were taken, or leaked descriptors."""
    worker, _, raw = ends()
    payload = memory_file(b"")
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(raw, [b"\x91\xa4Nope"], [payload])
    with pytest.raises(Broken):
        worker.receive()
    socket.send_fds(raw, [b"x" * (wire.PACKET_BYTES_MAX + 1)], [])
    with pytest.raises(Broken):
        worker.receive()
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(payload)


def test_too_large_a_packet_is_refused_before_anything_is_sent() -> None:
    """False if memory had no bound, or a descriptor more than the kernel takes were lost."""
    worker, supervisor, _ = ends()
    with pytest.raises(ValueError, match="too many"):
        supervisor.send(wire.Query(id=1, kind="x" * OUTSIZED_BYTES_MAX))
    with pytest.raises(ValueError, match="too many"):
        supervisor.send(wire.Query(id=1, kind="x" * wire.PACKET_BYTES_MAX), [0] * DESCRIPTORS_MAX)
    assert worker.receive() is None


def test_a_packet_the_socket_is_too_small_for_arrives_in_its_turn_with_its_descriptors() -> None:
    """False if an engine with much state could not be told of, or came after what was said later."""
    worker, supervisor, _ = ends()
    payload = memory_file(b"state")
    before = len(os.listdir("/proc/self/fd"))
    sent = [wire.Query(id=n, kind="x" * size) for n, size in enumerate((1, 10, 70_000, 5_000_000, 1))]
    for packet in sent:
        supervisor.send(packet, [payload])
    for packet in sent:
        received = worker.receive()
        assert received is not None
        assert received[0] == packet
        assert [read_memory_file(descriptor) for descriptor in received[1]] == [b"state"]
        close_all(received[1])
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(payload)


@pytest.mark.parametrize("content", [None, b"", b"\xc1", b"x"])
def test_an_outsized_packet_without_a_right_file_is_broken(content: bytes | None) -> None:
    """False if a worker could make its supervisor read what is none, or leak a descriptor."""
    worker, supervisor, right = ends()
    before = len(os.listdir("/proc/self/fd"))
    file = [] if content is None else [memory_file(content)]
    socket.send_fds(right, [OUTSIZED], file)
    close_all(file)
    with pytest.raises(Broken):
        worker.receive()
    assert len(os.listdir("/proc/self/fd")) == before
    supervisor.close()


def test_a_memory_file_cannot_be_changed() -> None:
    """False if the receiver could see a snapshot change under it."""
    descriptor = memory_file(b"x" * 100_000)
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(descriptor, b"y", 0)
    assert read_memory_file(descriptor) == b"x" * 100_000
    os.close(descriptor)
