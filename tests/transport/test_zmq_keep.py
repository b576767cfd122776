"""The keep of ZeroMQ links: what the slot's next process finds, its bounds, and memory that is something else."""

from __future__ import annotations

import os
import random
import select
import struct
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from transport_worlds import DEADLINE_S, Deadline, World, ZmqWorld, fork, number, payloads, reap

from transport.frames import encode_frame
from transport.keep import Keep
from transport.keep_arena import CHUNKS_IDLE
from transport.keep_memory import CHUNK_BYTES, RINGS, create_keep, read_header
from transport.port import ARENA_BYTES, KIND_MESSAGES, MESSAGE_BYTES_MAX, Broken, Frame

LANE_BYTES = 1 << 14
LARGE = 300_000
ENTRY_2 = 4096 + 2 * 128


@pytest.fixture
def sockets() -> Iterator[ZmqWorld]:
    made = ZmqWorld()
    yield made
    made.close()


@pytest.fixture
def fd() -> Iterator[int]:
    """A keep's descriptor."""
    made = create_keep(LANE_BYTES, MESSAGE_BYTES_MAX)
    yield made
    os.close(made)


def frame_of(size: int) -> Frame:
    return Frame(1, KIND_MESSAGES, "a", "b", 0, 1, 0, [number(size, size)])


def keep_frames(keep: Keep, sizes: list[int], peer: int = 2) -> list[bytes]:
    """Publish frames with one message each; large ones count as 2,052 bytes."""
    lane = keep.lane(peer, 77)
    position, written = lane.tail(), []
    for size in sizes:
        data = encode_frame(frame_of(size), position)
        position = lane.write(position, min(len(data), 2052), data).end
        written.append(data)
    lane.move_tail(position)
    return written


def kept_frames(keep: Keep, peer: int = 2) -> list[bytes]:
    lane = keep.lane(peer, 77)
    return [lane.frame(kept) for kept in lane.records()]


def test_the_next_process_finds_what_was_kept(fd: int) -> None:
    """If false, a frame would change, or be lost, while a slot has no process; also where a ring wraps around."""
    chance = random.Random(3)
    left: list[bytes] = []
    for _ in range(200):
        with closing(Keep(os.dup(fd))) as keep:
            lane = keep.lane(2, 77)
            assert kept_frames(keep) == left
            sizes = [chance.choice((0, 7, 500, 1500, LARGE)) for _ in range(chance.randrange(4))]
            left += keep_frames(keep, sizes)
            kept = list(lane.records())
            gone = chance.randrange(len(kept) + 1)
            if gone:
                lane.move_head(kept[gone - 1].end)
                keep.arena.give_back(chunk for one in kept[:gone] for chunk in one.chunks)
            del left[:gone]


@pytest.mark.storm
def test_what_was_not_published_is_free_again(fd: int) -> None:
    """If false, each death in the middle of a large message would cost its memory for good."""
    for _ in range(10):
        with closing(Keep(os.dup(fd))) as keep:
            data = encode_frame(frame_of(MESSAGE_BYTES_MAX // 2), 0)
            keep.lane(2, 77).write(0, 2052, data)
            assert not keep.arena.has(MESSAGE_BYTES_MAX)
    with closing(Keep(os.dup(fd))) as keep:
        assert keep.arena.has(MESSAGE_BYTES_MAX + CHUNK_BYTES)
        assert os.fstat(fd).st_blocks * 512 < (CHUNKS_IDLE + 1) * CHUNK_BYTES


def test_another_slot_of_that_number_gets_nothing_of_the_last(fd: int) -> None:
    """If false, messages to an engine that is gone would reach another one, or their memory would be lost."""
    with closing(Keep(os.dup(fd))) as keep:
        keep_frames(keep, [5, LARGE])
        keep.mark(2, 77).move(500)
    with closing(Keep(os.dup(fd))) as keep:
        assert keep.mark(2, 77).position() == 500
        assert keep.mark(2, 78).position() == 0
        assert list(keep.lane(2, 78).records()) == []
        assert keep.arena.has(MESSAGE_BYTES_MAX + CHUNK_BYTES)


def put(offset: int, value: int) -> Callable[[int], object]:
    return lambda fd: os.pwrite(fd, struct.pack("<Q", value), offset)


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (put(0, 1), "magic 0x1"),
        (put(8, 9), "layout 9"),
        (put(16, 0), "identity"),
        (put(24, 5000), "lane_bytes 5000"),
        (put(32, 1 << 50), "arena_bytes"),
        (put(24, LANE_BYTES * 2), "expected"),
        (put(ENTRY_2 + 16, 1 << 62), "its tail is"),
        (put(ENTRY_2 + 8, 1 << 62), "its tail is"),
        (put(ENTRY_2 + 16, 3), "record of"),
        (put(RINGS + 2 * LANE_BYTES, 10), "a record of 10 bytes"),
        (put(RINGS + 2 * LANE_BYTES, (1 << 31) - 1), "a record of"),
        (put(RINGS + 2 * LANE_BYTES, 1 << 31 | 17), "a reference of 17"),
    ],
)
def test_memory_that_is_no_keep_is_broken(fd: int, harm: Callable[[int], object], finding: str) -> None:
    """If false, a process would begin with another's memory, or send what nobody sent."""
    with closing(Keep(os.dup(fd))) as keep:
        keep_frames(keep, [5])
    harm(fd)
    with pytest.raises(Broken, match=finding):
        Keep(os.dup(fd))


@pytest.mark.parametrize(
    ("offset", "value", "finding"),
    [(0, 0, "record of 0"), (4, 1 << 20, "reference"), (8, 1 << 40, "reference"), (16, 60000, "chunk 60000")],
)
def test_a_reference_that_lies_is_broken(fd: int, offset: int, value: int, finding: str) -> None:
    """If false, a successor would read or free what belongs to others."""
    with closing(Keep(os.dup(fd))) as keep:
        keep_frames(keep, [LARGE])
    size = {0: "<I", 4: "<I", 8: "<Q", 16: "<H"}[offset]
    os.pwrite(fd, struct.pack(size, value), RINGS + 2 * LANE_BYTES + offset)
    with pytest.raises(Broken, match=finding):
        Keep(os.dup(fd))


def test_two_references_to_a_chunk_are_broken(fd: int) -> None:
    """If false, one message would be sent in place of another."""
    with closing(Keep(os.dup(fd))) as keep:
        keep_frames(keep, [LARGE])
        keep_frames(keep, [LARGE], peer=3)
    os.pwrite(fd, bytes(4), RINGS + 3 * LANE_BYTES + 16)
    with pytest.raises(Broken, match="another's"):
        Keep(os.dup(fd))


def test_memory_that_could_shrink_is_refused(fd: int) -> None:
    """If false, a store could end the process with SIGBUS."""
    size = os.fstat(fd).st_size
    with pytest.raises(PermissionError):
        os.ftruncate(fd, size - 1)
    other = os.memfd_create("other")
    os.ftruncate(other, size)
    os.pwrite(other, os.pread(fd, 64, 0), 0)
    with pytest.raises(Broken, match="sealed"):
        read_header(other)
    os.close(other)


@pytest.mark.parametrize(
    ("lane_bytes", "arena_bytes"), [(5000, ARENA_BYTES), (1 << 13, ARENA_BYTES), (1 << 16, 1 << 20)]
)
def test_wrong_sizes_are_refused(lane_bytes: int, arena_bytes: int) -> None:
    """If false, a mistake would show up far from where it was made."""
    with pytest.raises(ValueError, match="_bytes"):
        create_keep(lane_bytes, arena_bytes)


def test_large_messages_survive_their_sender_in_order(sockets: ZmqWorld) -> None:
    """If false, a large message would be lost with its sender, overtaken by small ones, or cut."""
    one = sockets.open(1, 2)
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    messages = [number(n, 5 << 20 if n % 3 else 100) for n in range(6)]
    for message in messages:
        assert outlet.send(message)
    one.flush()
    one.close()
    sockets.open(1, 2)
    two = sockets.open(2, 1)
    assert payloads(sockets.receive(two, 6)) == messages


def test_what_is_kept_for_who_is_gone_is_free_for_the_next_process(sockets: ZmqWorld) -> None:
    """If false, each slot that was dissolved while nobody was in a slot of its peers would cost them large messages."""
    one = sockets.open(1, 2)
    assert one.outlet(2, "a", "b", 0, 1, 0).send(number(0, LARGE))
    one.flush()
    one.close()  # nobody has read it
    one = sockets.open(1, 3)
    arena = one._keep.arena
    whole = one._keep.header.arena_bytes
    assert not arena.has(whole)
    one.detach(2)
    assert arena.has(whole)


@pytest.mark.storm
def test_a_full_arena_refuses_and_resumes(sockets: ZmqWorld) -> None:
    """If false, large messages to slow receivers would take memory without bound, or stop their sender for good."""
    one = sockets.open(1, 2, 3)
    outlets = [one.outlet(peer, "a", "b", 0, 1, 0) for peer in (2, 3)]
    largest = bytes(MESSAGE_BYTES_MAX)
    assert [outlet.send(largest) for outlet in outlets for _ in range(2)] == [True] * 4
    assert not outlets[1].send(bytes(LARGE))
    assert not one.has_room(3)
    two = sockets.open(2, 1)
    assert sum(map(len, payloads(sockets.receive(two, 2)))) == 2 * MESSAGE_BYTES_MAX
    deadline = Deadline("room")
    while not one.has_room(3):
        deadline.check()
        one.wait(1_000_000)
    assert outlets[1].send(largest)
    one.detach(3)
    for _ in range(4):
        while not outlets[0].send(largest):  # two may have released the first of its messages, and not yet the other
            deadline.check()
            one.wait(1_000_000)
    assert not outlets[0].send(largest)


def test_a_process_that_wakes_up_with_a_successor_cannot_speak(far_world: World) -> None:
    """If false, what a stopped process sends late would come between its successor's frames."""
    two = far_world.open(2, 1)
    ready, go, said = os.pipe(), os.pipe(), os.pipe()

    def sleep() -> None:
        link = far_world.open(1, 2)
        outlet = link.outlet(2, "a", "b", 0, 1, 0)
        outlet.send(b"early")
        link.flush()
        outlet.send(b"late")
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        try:
            link.flush()
        except Broken as finding:
            os.write(said[1], str(finding).encode())

    pid = fork(sleep)
    assert select.select([ready[0]], [], [], DEADLINE_S)[0]
    successor = far_world.open(1, 2)
    outlet = successor.outlet(2, "a", "b", 0, 2, 0)
    outlet.send(b"successor")
    successor.flush()
    os.write(go[1], b"x")
    assert reap(pid) == 0
    assert b"slot 1: another process has taken it over" in os.read(said[0], 1000)
    outlet.send(b"again")
    successor.flush()
    assert payloads(far_world.receive(two, 3)) == [b"early", b"successor", b"again"]
    for end in (*ready, *go, *said):
        os.close(end)


def test_a_slot_with_new_memory_begins_anew(sockets: ZmqWorld) -> None:
    """If false, a slot number that is used again would never be heard, or get what was meant for the last one."""
    one, two = sockets.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    for _ in range(3):
        outlet.send(b"to the last one")
        one.flush()
        two.close()
        one.detach(2)
        sockets.renew(2)
        two = sockets.open(2, 1)
        sockets.attach(one, 2)
        outlet = one.outlet(2, "a", "b", 0, 1, 0)
        outlet.send(b"to the new one")
        one.flush()
        assert payloads(sockets.receive(two, 1)) == [b"to the new one"]
        assert two.drain(10) == []
