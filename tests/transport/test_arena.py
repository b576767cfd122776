"""Large messages in lanes: order, bounds, reading in place, and what deaths leave behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import zlib
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slot_memory import ENTRY, PAGE, SlotMemory
from transport_worlds import (
    DEADLINE_NS,
    NEEDS_NATIVE,
    Deadline,
    LaneWorld,
    fork,
    kill,
    number,
    payloads,
    reap,
    receive,
    send_all,
)

from transport.port import MESSAGE_BYTES_MAX, Broken, Closed, Payload, TooLarge

pytestmark = NEEDS_NATIVE

LANE = 1 << 14
SMALL_MAX = LANE // 8
BLOCKS = 64
ENTRIES, POSITION, BYTES = 2048, 0, 8
LENT = PAGE + 2 * ENTRY + 80


@pytest.fixture
def small() -> Iterator[LaneWorld]:
    """Lanes of 16 KiB, so that 2 KiB and a byte is large."""
    world = LaneWorld(LANE)
    yield world
    world.close()


def taken_bytes(world: LaneWorld, slot: int) -> int:
    return os.fstat(world.slots[slot][0]).st_blocks * 512


def test_64_mib_and_not_a_byte_more(small: LaneWorld) -> None:
    """If false, the limit would not be what is said, or a message over it would do something."""
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    largest = random.Random(3).randbytes(1 << 16) * (MESSAGE_BYTES_MAX >> 16)
    assert outlet.send(largest)
    with pytest.raises(TooLarge, match="67108865 bytes, the most is 67108864"):
        outlet.send(largest + b"x")
    with pytest.raises(TooLarge, match="67108865 bytes, the most is 67108864"):
        outlet.send_parts([largest, b"x"])
    assert outlet.next_n == 2
    one.flush()
    (frame,) = two.drain(10)
    assert isinstance(frame.payloads[0], memoryview)
    assert frame.payloads[0].readonly
    assert frame.payloads[0] == largest


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [0, 1, SMALL_MAX - 1, SMALL_MAX, SMALL_MAX + 1, 4095, 4096, 4097, 65535, 65536, 65537, 200_001]
        ),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_order_is_kept_across_sizes(sizes: list[int], chance: random.Random) -> None:
    """If false, a large message would overtake a small one, or bytes of two would mix."""
    world = LaneWorld(LANE)
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    messages = [number(n, size)[:size] for n, size in enumerate(sizes)]
    got: list[bytes] = []
    for message in messages:
        half = chance.randrange(len(message) + 1)
        while not (
            outlet.send(message) if chance.randrange(2) else outlet.send_parts([message[:half], message[half:]])
        ):
            got += payloads(receive(two, 1))
        if chance.randrange(3) == 0:
            one.flush()
    one.flush()
    if len(got) < len(messages):
        got += payloads(receive(two, len(messages) - len(got)))
    assert got == messages
    world.close()


def test_numbers_go_on_across_sizes(small: LaneWorld) -> None:
    """If false, a receiver would see gaps or repeats where messages are large."""
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 5)
    for size in (10, 5000, 10, 10, 6000):
        assert outlet.send(bytes(size))
    one.flush()
    frames = receive(two, 5)
    assert [(frame.first_n, len(frame.payloads)) for frame in frames] == [(5, 1), (6, 1), (7, 2), (9, 1)]


def test_a_view_keeps_its_block(small: LaneWorld) -> None:
    """If false, a value would change under who looks at it."""
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    assert outlet.send(number(0, 5000))
    one.flush()
    view = two.drain(1)[0].payloads[0]
    two.release()
    part = view[100:200]
    del view
    for n in range(1, 200):
        assert outlet.send(number(n, 5000)), "blocks that nobody looks at are used again"
        assert payloads(receive(two, 1)) == [number(n, 5000)]
    assert part == number(0, 5000)[100:200]
    assert one.arena_bytes == 2 << 16


def test_a_forked_child_returns_nothing(small: LaneWorld) -> None:
    """If false, a child that writes a snapshot could give a block back, by dropping its copy of a view."""
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    assert outlet.send(number(0, 5000))
    (frame,) = receive(two, 1)
    assert reap(fork(frame.payloads.clear)) == 0
    for n in range(1, BLOCKS + 1):
        outlet.send(number(n, 5000))
    assert bytes(frame.payloads[0]) == number(0, 5000)


def test_no_block_is_no_room(small: LaneWorld) -> None:
    """If false, a sender would wait for ever for a block, or be told of room that is not there."""
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    views: list[Payload] = []
    while outlet.send(number(outlet.next_n, 5000)):
        views += [payload for frame in receive(two, 1) for payload in frame.payloads]
    assert len(views) == outlet.next_n == BLOCKS
    assert outlet.send(b"small"), "a lane without blocks still takes small messages"
    one.flush()
    receive(two, 1)
    assert not one.has_room(2)
    views.pop(7)
    gc.collect()
    assert one.has_room(2)
    assert outlet.send(number(99, 5000))
    assert payloads(receive(two, 1)) == [number(99, 5000)]
    assert [bytes(view) for view in views] == [number(n, 5000) for n in range(BLOCKS) if n != 7]


def test_a_sleeping_sender_is_woken_by_a_block(small: LaneWorld) -> None:
    """If false, a sender that found no block would sleep until its time-out."""
    two = small.open(2, 1)

    def produce() -> None:
        link = small.open(1, 2, wait="block")
        outlet = link.outlet(2, "a", "b", 0, 1, 0)
        send_all(link, outlet, 2, [number(n, 5000) for n in range(3 * BLOCKS)])

    pid = fork(produce)
    held: list[Payload] = []
    got = 0
    deadline = Deadline(f"{3 * BLOCKS} messages")
    while got < 3 * BLOCKS:
        deadline.check()
        two.wait(DEADLINE_NS if len(held) < BLOCKS else 0)
        for frame in two.drain(8):
            held += frame.payloads
            assert [bytes(payload) for payload in frame.payloads] == [number(got, 5000)]
            got += 1
        two.release()
        if len(held) == BLOCKS:
            held.clear()
    assert reap(pid) == 0


def test_memory_is_bounded_and_given_back(small: LaneWorld) -> None:
    """If false, a burst would take all memory, or keep it for good."""
    from transport.lanes import LaneLink

    with pytest.raises(ValueError, match="an arena has at least 67108864 bytes"):
        LaneLink(1, *small.descriptors(1), "block", MESSAGE_BYTES_MAX - 1)
    one = LaneLink(1, *small.descriptors(1), "block", MESSAGE_BYTES_MAX)
    small.links.append(one)
    small.attach(one, 2)
    two = small.open(2, 1)
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    message = bytes(10 << 20)
    sent = 0
    while outlet.send(message):
        sent += 1
    assert sent == 6
    assert one.arena_bytes <= MESSAGE_BYTES_MAX
    assert taken_bytes(small, 1) <= MESSAGE_BYTES_MAX + (1 << 20)
    receive(two, 6)
    assert outlet.send(bytes(MESSAGE_BYTES_MAX)), "the pages of small blocks make a large one"
    assert taken_bytes(small, 1) <= MESSAGE_BYTES_MAX + (1 << 20)
    receive(two, 1)
    deadline = Deadline("memory given back")
    while one.arena_bytes:
        deadline.check()
        one.wait(1_300_000_000)
    assert taken_bytes(small, 1) < 1 << 20


def test_an_owner_dies_with_blocks_out(small: LaneWorld) -> None:
    """If false, what a dead process had sent would be lost, change, or keep its blocks for ever."""
    two = small.open(2, 1)
    sent_r, sent_w = os.pipe()

    def produce() -> None:
        link = small.open(1, 2)
        outlet = link.outlet(2, "a", "b", 0, 1, 0)
        send_all(link, outlet, 2, [number(n, 5000) for n in range(20)])
        os.write(sent_w, b"!")
        signal.pause()

    pid = fork(produce)
    frames = []
    while len(frames) < 10:
        two.wait(DEADLINE_NS)
        frames += two.drain(1)
    two.release()
    assert os.read(sent_r, 1) == b"!"
    kill(pid)
    views = [frame.payloads[0] for frame in frames]
    del frames
    next_one = small.open(1, 2)
    outlet = next_one.outlet(2, "a", "b", 0, 1, 20)
    while outlet.send(number(outlet.next_n, 5000)):
        pass
    assert outlet.next_n == BLOCKS, "each block is lent once"
    assert [bytes(view) for view in views] == [number(n, 5000) for n in range(len(views))]
    assert payloads(receive(two, BLOCKS - len(views))) == [number(n, 5000) for n in range(len(views), BLOCKS)]
    views.clear()
    for n in range(BLOCKS, 3 * BLOCKS):
        assert outlet.send(number(n, 5000))
        assert payloads(receive(two, 1)) == [number(n, 5000)]


def test_a_reader_dies_while_it_looks(small: LaneWorld) -> None:
    """If false, the blocks a dead process looked at would never be free, or be free while they come again."""
    one = small.open(1, 2)
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    for n in range(20):
        assert outlet.send(number(n, 5000))
    one.flush()
    done_r, done_w = os.pipe()

    def consume() -> None:
        link = small.open(2, 1)
        released = link.drain(10)
        link.release()
        more = link.drain(5)
        os.write(done_w, bytes([len(released), len(more)]))
        signal.pause()

    pid = fork(consume)
    released, more = os.read(done_r, 2)
    assert (released, more) == (10, 5)
    kill(pid)
    two = small.open(2, 1)
    assert payloads(receive(two, 10)) == [number(n, 5000) for n in range(10, 20)]
    views = []
    for n in range(20, 20 + BLOCKS):
        assert outlet.send(number(n, 5000)), "all blocks are free"
        views += [payload for frame in receive(two, 1) for payload in frame.payloads]
    assert [bytes(view) for view in views] == [number(n, 5000) for n in range(20, 20 + BLOCKS)]


@pytest.mark.storm
@pytest.mark.parametrize("seed", range(4))
def test_both_ends_die_at_any_time(small: LaneWorld, seed: int) -> None:
    """If false, a death at some instant would lose a block or a message, or show a wrong one."""
    chance = random.Random(seed)
    sizes = [chance.choice([100, 3000, 5000, 70_000]) for _ in range(400)]

    def produce(first: int) -> None:
        link = small.open(1, 2)
        outlet = link.outlet(2, "a", "b", 0, 1, first)
        send_all(link, outlet, 2, (number(n, sizes[n % 400]) for n in range(first, 100_000)))

    next_n = 0
    small.open(1, 2).close()
    small.links.clear()
    for _ in range(25):
        pid = fork(partial(produce, next_n))
        two = small.open(2, 1)
        views: list[Payload] = []
        until = next_n + chance.randrange(1, 60)
        deadline = Deadline("messages")
        while next_n < until:
            deadline.check()
            two.wait(DEADLINE_NS)
            for frame in two.drain(4):
                assert frame.first_n <= next_n, "no gap"
                for n, payload in enumerate(frame.payloads, frame.first_n):
                    assert payload == number(n, sizes[n % 400])
                    next_n = max(next_n, n + 1)
                views += frame.payloads[-1:]
            two.release()
            views = views[-chance.randrange(1, 20) :]
        kill(pid)
        rest = receive_all(two)
        for n, payload in rest:
            assert payload == number(n, sizes[n % 400])
            next_n = max(next_n, n + 1)
        two.close()
        small.links.remove(two)
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 2, 0)
    held = []
    while outlet.send(number(outlet.next_n, 5000)):
        held += [payload for frame in receive(two, 1) for payload in frame.payloads]
    assert len(held) == BLOCKS, "no block is lost"


def receive_all(link: object) -> list[tuple[int, bytes]]:
    """What is left in the lanes, numbered and released."""
    found: list[tuple[int, bytes]] = []
    while frames := link.drain(64):  # type: ignore[attr-defined]
        found += [(n, bytes(p)) for frame in frames for n, p in enumerate(frame.payloads, frame.first_n)]
        link.release()  # type: ignore[attr-defined]
    return found


def test_a_view_outlives_lane_and_link(small: LaneWorld) -> None:
    """If false, a value would vanish under who looks at it when the lane ends."""
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    for n in range(3):
        assert outlet.send(number(n, 5000))
    one.flush()
    views = [frame.payloads[0] for frame in two.drain(3)]
    two.release()
    two.detach(1)
    two.attach(1, *small.descriptors(1))
    views.pop()
    held = []
    while outlet.send(number(outlet.next_n, 5000)):
        held += [payload for frame in receive(two, 1) for payload in frame.payloads]
    assert len(held) == BLOCKS - 2
    two.close()
    assert [bytes(view) for view in views] == [number(n, 5000) for n in range(2)]


def test_a_detached_peer_leaves_its_blocks(small: LaneWorld) -> None:
    """If false, each slot that was dissolved with large messages would cost their blocks."""
    one = small.open(1, 2, 3)
    for _ in range(5):
        lost = one.outlet(2, "a", "b", 0, 1, 0)
        while lost.send(bytes(5000)):
            pass
        assert lost.next_n >= BLOCKS
        one.detach(2)
        with pytest.raises(Closed):
            lost.send(bytes(5000))
        small.renew(2)
        one.attach(2, *small.descriptors(2))


@pytest.mark.parametrize("is_told", ["the process before", "the next one"])
def test_what_a_detached_peer_returned_is_free_for_the_next_process(small: LaneWorld, is_told: str) -> None:
    """If false, a large message to who is left would be refused for good once a slot was dissolved."""
    one, two = small.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    views: list[Payload] = []
    while outlet.send(number(outlet.next_n, 5000)):
        views += [payload for frame in receive(two, 1) for payload in frame.payloads]
    views.clear()
    assert one.has_room(2), "it knows what was returned"
    if is_told == "the process before":
        one.detach(2)
    one.close()
    one = small.open(1, 3)
    if is_told == "the next one":
        one.detach(2)
    assert one.outlet(3, "a", "c", 0, 1, 0).send(number(0, 5000))


@pytest.mark.parametrize(
    ("offset", "value", "finding"),
    [
        (ENTRIES + POSITION, 8, "whose entry says 5000 at position 8"),
        (ENTRIES + BYTES, 1 << 40, "whose entry says 1099511627776"),
        (LENT, 0, "not lent"),
    ],
)
def test_a_lying_entry_breaks_the_lane(small: LaneWorld, offset: int, value: int, finding: str) -> None:
    """If false, a peer's words could make us read what it did not send."""
    one, two = small.two()
    memory = SlotMemory(small.slots[1][0], LANE)
    assert one.outlet(2, "a", "b", 0, 1, 0).send(bytes(5000))
    one.flush()
    memory.write(offset, value)
    with pytest.raises(Broken, match=f"lane 1>2 at position 0: .*{finding}"):
        two.drain(1)
    memory.close()


@pytest.mark.parametrize(
    ("at", "value", "finding"),
    [
        (8, 64, "lies in block 64"),
        (8, 1, "block 1, which is not lent"),
        (12, 7, "lies in block 0, 7"),
        (0, 4999, "a message of 4999 bytes in block 0, whose entry says 5000"),
        (4, 1, "whose entry says 5000"),
        (-4, 12, "reaches|record of 12 bytes"),
    ],
)
def test_a_lying_record_breaks_the_lane(small: LaneWorld, at: int, value: int, finding: str) -> None:
    """If false, a record with a right checksum could lead outside its block, or to one that is not its lane's."""
    one, two = small.two()
    memory = SlotMemory(small.slots[1][0], LANE)
    assert one.outlet(2, "a", "b", 0, 1, 0).send(bytes(5000))
    frame = bytearray(memory.frame(2, 0))
    record = len(frame) - 16
    frame[record + at : record + at + 4] = value.to_bytes(4, "little")
    frame[8] = 2
    frame[4:8] = zlib.crc32(frame[8:]).to_bytes(4, "little")
    memory.map[memory.ring(2) : memory.ring(2) + len(frame)] = bytes(frame)
    with pytest.raises(Broken, match=f"lane 1>2 at position 0: .*({finding})"):
        two.drain(1)
    memory.close()
