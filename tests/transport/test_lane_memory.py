"""What only lanes have: memory, its protection, and what a peer that does wrong can do with it."""

from __future__ import annotations

import fcntl
import gc
import os
import random
import signal
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slot_memory import GENERATION, IDENTITY, LANE_BYTES, LAYOUT, MAGIC, PAGE, RINGS, SlotMemory
from transport_worlds import DEADLINE_NS, NEEDS_NATIVE, LaneWorld, number, payloads, receive, send_all

from transport.frames import HEADER, decode_frame, encode_frame
from transport.port import KIND_MESSAGES, Broken, Closed, Frame, TransportError

pytestmark = NEEDS_NATIVE

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
FRAME = Frame(1, KIND_MESSAGES, "alice", "server", 3, 1, 1, [b"first", b"second message", b""])


@pytest.fixture
def memory(lanes: LaneWorld) -> Iterator[SlotMemory]:
    """The `out` of slot 1, which writes to slot 2."""
    lanes.descriptors(1)
    mapped = SlotMemory(lanes.slots[1][0], lanes.lane_bytes)
    yield mapped
    mapped.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_descriptors_are_closed(lanes: LaneWorld) -> None:
    """If false, a node that restarts its workers would run out of descriptors."""
    lanes.descriptors(1), lanes.descriptors(2)
    gc.collect()
    before = open_descriptors()
    for _ in range(5):
        one, two = lanes.two()
        one.outlet(2, "a", "b", 0, 1, 1).send(b"x")
        assert open_descriptors() == before + 2 * 4, "out, doorbell, epoll, one doorbell a peer"
        one.detach(2)
        assert open_descriptors() == before + 2 * 4 - 1
        one.close()
        two.close()
        assert open_descriptors() == before


def test_descriptors_are_closed_when_opening_fails(lanes: LaneWorld, memory: SlotMemory) -> None:
    """If false, each failed attempt would cost three descriptors."""
    from transport.lanes import LaneLink

    one = lanes.open(1)
    lanes.descriptors(2)

    def swapped(slot: int) -> tuple[int, int, int]:
        out_fd, in_fd, doorbell = lanes.descriptors(slot)
        return in_fd, out_fd, doorbell

    before = open_descriptors()
    for wrong in (
        lambda: LaneLink(1, *lanes.descriptors(1), "sometimes"),
        lambda: LaneLink(64, *lanes.descriptors(1)),
        lambda: LaneLink(1, *swapped(1)),
        lambda: one.attach(2, *swapped(2)),
        lambda: one.attach(1, *lanes.descriptors(1)),
        lambda: one.attach(5, *lanes.descriptors(1)),
    ):
        with pytest.raises((ValueError, OSError, Broken)):
            wrong()
    assert open_descriptors() == before


def test_memory_has_no_name(lanes: LaneWorld) -> None:
    """If false, a kill of everything would leave memory behind."""
    before = os.listdir("/dev/shm")
    one, two = lanes.two()
    one.outlet(2, "a", "b", 0, 1, 1).send(b"x")
    one.flush()
    receive(two, 1)
    assert os.listdir("/dev/shm") == before


def test_peers_are_mapped_read_only(lanes: LaneWorld) -> None:
    """If false, a bug here could write into another slot's words."""
    one = lanes.open(1, 2, 3)
    one.outlet(2, "a", "b", 0, 1, 1)
    with open("/proc/self/maps") as maps:
        kinds = [line.split()[1] for line in maps if "memfd:enginehost-" in line]
    assert sorted(kinds) == ["r--s"] * 8 + ["rw-s"] * 2


def test_files_are_sealed_against_resizing_only(lanes: LaneWorld) -> None:
    """If false, a peer could make a mapping fault, or the slot's next process could not write."""
    lanes.descriptors(1)
    for fd in lanes.slots[1][:2]:
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == SEALS
        for size in (0, 1 << 40):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, size)
        os.pwrite(fd, b"\0", 200)


def test_rings_take_memory_on_first_use(lanes: LaneWorld) -> None:
    """If false, each slot would cost 64 lanes, or a write could fault."""
    one = lanes.open(1, 2)

    def taken() -> int:
        return os.fstat(lanes.slots[1][0]).st_blocks * 512

    assert taken() <= RINGS
    one.outlet(2, "a", "b", 0, 1, 1)
    assert RINGS + lanes.lane_bytes >= taken() >= lanes.lane_bytes


def test_messages_wrap_around_many_times() -> None:
    """If false, a ring would fail after its first lap."""
    world = LaneWorld(1 << 14)
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    sizes = [(n * 7919) % 4000 for n in range(2000)]
    for at in range(0, 2000, 2):
        send_all(one, outlet, 2, [number(n, sizes[n]) for n in (at, at + 1)])
        assert payloads(receive(two, 2)) == [number(n, sizes[n]) for n in (at, at + 1)]
    world.close()


@pytest.mark.parametrize("bytes_", [0, 1, 1 << 13, (1 << 16) + 1, 1 << 31])
def test_lane_bytes_is_a_power_of_two_in_range(lanes: LaneWorld, bytes_: int) -> None:
    """If false, positions could not be masked, or a frame and its padding would not fit."""
    from transport.lanes import create_slot

    with pytest.raises(ValueError, match="power of two"):
        create_slot(bytes_)


@pytest.mark.parametrize(
    ("offset", "value", "finding"),
    [
        (MAGIC, 0, "magic"),
        (LAYOUT, 1, "layout hash"),
        (LANE_BYTES, 12345, "lane_bytes"),
        (LANE_BYTES, 1 << 20, "bytes, not"),
        (IDENTITY, 7, "different slots"),
    ],
)
def test_another_layout_is_refused(lanes: LaneWorld, memory: SlotMemory, offset: int, value: int, finding: str) -> None:
    """If false, processes of different builds would misread each other."""
    two = lanes.open(2)
    memory.write(offset, value)
    with pytest.raises(Broken, match=rf"slot 1: .*{finding}"):
        lanes.open(1)
    with pytest.raises(Broken, match=rf"slot 1: .*{finding}"):
        lanes.attach(two, 1)
    with pytest.raises(Closed):
        two.has_room(1)


def test_unsealed_memory_is_refused(lanes: LaneWorld, memory: SlotMemory) -> None:
    """If false, a peer could truncate what we read."""
    from transport.lanes import LaneLink

    fake = os.memfd_create("fake", os.MFD_ALLOW_SEALING)
    os.ftruncate(fake, os.fstat(lanes.slots[1][0]).st_size)
    os.pwrite(fake, memory.map[:PAGE], 0)
    _, in_fd, doorbell = lanes.descriptors(1)
    with pytest.raises(Broken, match="seals"):
        LaneLink(1, fake, in_fd, doorbell)
    os.close(_)


def test_a_slot_is_taken_over(lanes: LaneWorld, memory: SlotMemory) -> None:
    """If false, nobody would notice two processes in one slot."""
    one = lanes.open(1, 2)
    assert memory.read(GENERATION) == 1
    memory.write(GENERATION, 2)
    with pytest.raises(Broken, match="slot 1: another process has taken it over"):
        one.flush()


def words_of(lanes: LaneWorld, slot: int) -> list[bytes]:
    return [os.pread(fd, RINGS, 0) for fd in lanes.slots[slot][:2]]


def test_a_slot_is_mapped_before_it_is_owned(lanes: LaneWorld) -> None:
    """If false, a process that waits for a slot would disturb the one that has it, or go on at another place."""
    from transport.lanes import LaneLink

    one, two = lanes.two()
    there, back = one.outlet(2, "a", "b", 0, 1, 1), two.outlet(1, "b", "a", 0, 1, 1)
    before = words_of(lanes, 1)
    heir = LaneLink(1, *lanes.descriptors(1), owns=False)
    heir.attach(2, *lanes.descriptors(2))
    assert words_of(lanes, 1) == before
    for use in (heir.flush, heir.release, lambda: heir.drain(1)):
        with pytest.raises(Broken, match="slot 1: another process has"):
            use()
    there.send(number(1)), back.send(number(1)), back.send(number(2))
    one.flush(), two.flush()
    assert payloads(receive(one, 2)) == [number(1), number(2)]
    back.send(number(3)), two.flush()
    heir.own()
    assert payloads(receive(heir, 1)) == [number(3)]
    heir.outlet(2, "a", "b", 0, 1, 2).send(number(2)), heir.flush()
    assert payloads(receive(two, 2)) == [number(1), number(2)]
    with pytest.raises(Broken, match="slot 1: another process has"):
        one.flush()
    with pytest.raises(ValueError, match="slot 1 is this link's own"):
        heir.own()
    heir.close()


def test_a_renewed_slot_begins_at_zero(lanes: LaneWorld) -> None:
    """If false, a slot number could not be used again with fresh memory."""
    one, two = lanes.two()
    outlet, back = one.outlet(2, "a", "b", 0, 1, 1), two.outlet(1, "b", "a", 0, 1, 1)
    for n in range(10):
        outlet.send(number(n))
        back.send(number(n))
    one.flush(), two.flush()
    receive(two, 4), receive(one, 5)
    two.close()
    lanes.renew(2)
    one.detach(2)
    fresh = lanes.open(2, 1)
    assert fresh.drain(100) == [], "its lane is not about it yet"
    fresh.outlet(1, "b", "a", 0, 2, 1).send(b"early")
    fresh.flush()
    lanes.attach(one, 2)
    one.outlet(2, "a", "b", 0, 1, 1).send(b"new")
    one.flush()
    assert payloads(receive(fresh, 1)) == [b"new"]
    assert payloads(receive(one, 1)) == [b"early"]
    one.close()
    again = lanes.open(1, 2)
    again.outlet(2, "a", "b", 0, 2, 1).send(b"again")
    again.flush()
    assert payloads(receive(fresh, 1)) == [b"again"]


# --- a peer that writes wrong bytes -----------------------------------------------------------------------------------

FIELDS = {
    "length": (0, "I"),
    "checksum": (4, "I"),
    "checksum_kind": (8, "B"),
    "kind": (9, "B"),
    "zero": (10, "H"),
    "count": (12, "I"),
    "position": (16, "Q"),
    "sender_bytes": (44, "H"),
    "target_bytes": (46, "H"),
    "first_message": (64, "I"),
    "second_message": (76, "I"),
}


def changed_fields(signed: bool) -> Iterator[bytes]:
    """A frame with one field changed, in each way that tends to be believed; with its checksum made right again."""
    data = encode_frame(FRAME, 0)
    for name, (offset, kind) in FIELDS.items():
        most = 256 ** struct.calcsize(kind) - 1
        (true,) = struct.unpack_from("<" + kind, data, offset)
        values = {most, most - 7, most // 2, 0, true + 1, true + 8, max(true - 1, 0), 4096, 300}
        for value in {value & most for value in values} - {true}:
            wrong = bytearray(data)
            struct.pack_into("<" + kind, wrong, offset, value)
            if signed and not name.startswith("checksum"):
                struct.pack_into("<I", wrong, 4, zlib.crc32(wrong[8:]))
            yield bytes(wrong)


def drain_bytes(data: bytes) -> list[Frame]:
    """What the lane's reader makes of these bytes as a frame."""
    world = LaneWorld()
    _, two = world.two()
    memory = SlotMemory(world.slots[1][0], world.lane_bytes)
    memory.append_bytes(2, data)
    try:
        return list(two.drain(10))
    except Broken as broken:
        assert str(broken).startswith("lane 1>2 at position 0: ")  # noqa: PT017 - both outcomes are right
        assert two.drain(10) == []
        with pytest.raises(Closed):
            two.has_room(1)
        raise
    finally:
        memory.close()
        world.close()


def test_each_field_is_under_the_checksum(lanes: LaneWorld) -> None:
    """If false, a damaged field would be believed."""
    for wrong in changed_fields(signed=False):
        with pytest.raises(Broken):
            drain_bytes(wrong)


def test_a_lie_with_the_right_checksum_is_read_as_in_python(lanes: LaneWorld) -> None:
    """If false, a hostile length could lead the reader astray. The Python codec is the oracle."""
    for wrong in changed_fields(signed=True):
        try:
            expected = [decode_frame(wrong, 1, 0)]
        except Broken:
            with pytest.raises(Broken):
                drain_bytes(wrong)
        else:
            assert drain_bytes(wrong) == expected


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.booleans())
def test_any_bytes_are_survived(chance: random.Random, resigned: bool) -> None:
    """If false, a damaged ring could crash its reader. Frames before the damage arrive, nothing after it."""
    world = LaneWorld(1 << 14)
    _, two = world.two()
    memory = SlotMemory(world.slots[1][0], world.lane_bytes)
    good = chance.randrange(4)
    memory.append(2, [FRAME] * good)
    at = memory.ring(2) + memory.tail(2)
    memory.append(2, [FRAME] * 3)
    for _ in range(chance.randrange(1, 6)):
        memory.map[at + chance.randrange(HEADER.size + 60)] = chance.randrange(256)
    if resigned:
        frame = bytearray(memory.frame(2, at - memory.ring(2)))
        if 48 <= len(frame) < 4096:
            memory.map[at + 8] = 2
            frame[8] = 2
            struct.pack_into("<I", memory.map, at + 4, zlib.crc32(frame[8:]))
    got: list[Frame] = []
    try:
        for _ in range(10):
            got += two.drain(2)
            two.release()
    except Broken as broken:
        assert str(broken).startswith("lane 1>2 at position")  # noqa: PT017 - both outcomes are right
    assert got[:good] == [FRAME] * good
    memory.close()
    world.close()


@pytest.mark.parametrize("tail", [1, 7, 12, 8, 16, 1 << 16, (1 << 16) + 8, 1 << 40, 2**64 - 8, 2**64 - 1])
def test_a_wrong_tail_is_found(lanes: LaneWorld, memory: SlotMemory, tail: int) -> None:
    """If false, the reader would run through memory that is not the lane's."""
    _, two = lanes.two()
    memory.write(memory.tail_offset(2), tail)
    with pytest.raises(Broken, match="lane 1>2"):
        two.drain(10)


def test_a_tail_that_goes_back_is_found(lanes: LaneWorld, memory: SlotMemory) -> None:
    """If false, messages would be read twice, or the difference be taken for an enormous length."""
    one, two = lanes.two()
    one.outlet(2, "a", "b", 0, 1, 1).send(b"x")
    one.flush()
    receive(two, 1)
    memory.write(memory.tail_offset(2), 0)
    with pytest.raises(Broken, match="tail 0 lies outside"):
        two.drain(10)


@pytest.mark.parametrize("padding", [8, 1 << 16, (1 << 16) - 8, 0, 2**31 - 8])
def test_wrong_padding_is_found(lanes: LaneWorld, memory: SlotMemory, padding: int) -> None:
    """If false, the reader could be sent anywhere in the ring, or in circles."""
    _, two = lanes.two()
    record = 0x80000000 | padding
    memory.append_bytes(2, struct.pack("<II", record, ~record & 0xFFFFFFFF))
    with pytest.raises(Broken, match="padding record"):
        two.drain(10)


@pytest.mark.parametrize("head", [1, 8, 1 << 20, 2**64 - 8])
def test_a_wrong_head_is_found(lanes: LaneWorld, head: int) -> None:
    """If false, a consumer could make the producer overwrite what was not read."""
    one, two = lanes.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    outlet.send(number(1, 8000))
    one.flush()
    receive(two, 1)
    assert one.has_room(2)
    theirs = SlotMemory(lanes.slots[2][1], lanes.lane_bytes)
    theirs.write(PAGE + 1 * 128, head)
    with pytest.raises(Broken, match="lane 1>2: head"):
        one.has_room(2)
    with pytest.raises(Closed):
        outlet.send(b"x")
    theirs.close()


def test_a_broken_lane_leaves_the_others(lanes: LaneWorld, memory: SlotMemory) -> None:
    """If false, one bad peer would silence a slot. What came before the damage is handed out first."""
    three = lanes.open(3, 2)
    two = lanes.open(2, 1, 3)
    lanes.open(1, 2)
    memory.append(2, [FRAME])
    memory.append_bytes(2, bytes(64))
    assert two.drain(100) == [FRAME]
    with pytest.raises(Broken, match="lane 1>2"):
        two.drain(100)
    three.outlet(2, "c", "b", 0, 1, 1).send(b"still here")
    three.flush()
    assert payloads(receive(two, 1)) == [b"still here"]


# --- the interpreter around it ----------------------------------------------------------------------------------------


class Interrupted(Exception):
    """Raised by a signal handler."""


def with_alarm(handler: Callable[[int, object], None], run: Callable[[], None]) -> None:
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_interrupts_a_sleep(lanes: LaneWorld) -> None:
    """If false, Ctrl-C would wait for the next message."""
    one, _ = lanes.two()

    def handler(_number: int, _frame: object) -> None:
        raise Interrupted

    def sleep() -> None:
        with pytest.raises(Interrupted):
            one.wait(DEADLINE_NS)

    with_alarm(handler, sleep)
    assert one.wait(0) == []


def test_a_signal_that_passes_does_not_end_a_sleep(lanes: LaneWorld) -> None:
    """If false, a handled signal would look like mail, or a link closed by its handler would crash."""
    one, _ = lanes.two()
    seen: list[int] = []
    with_alarm(lambda number, _frame: seen.append(number), lambda: one.wait(200_000_000))
    assert seen == [signal.SIGALRM]

    def sleep() -> None:
        with pytest.raises(Closed):
            one.wait(DEADLINE_NS)

    with_alarm(lambda _number, _frame: one.close(), sleep)


def test_a_sleeping_link_is_not_unmapped(lanes: LaneWorld) -> None:
    """If false, another thread's mistake would crash the process."""
    one, two = lanes.two()
    sleeper = threading.Thread(target=lambda: one.wait(DEADLINE_NS))
    sleeper.start()
    while one.counters()["blocks"] == 0:
        os.sched_yield()
    for use in (one.close, lambda: one.detach(2), lambda: one.wait(0), lambda: one.watch(0)):
        with pytest.raises(RuntimeError, match="another thread"):
            use()
    two.outlet(1, "b", "a", 0, 1, 1).send(b"x")
    two.flush()
    sleeper.join()


def test_an_outlet_keeps_its_link_alive(lanes: LaneWorld) -> None:
    """If false, dropping a link in the wrong order would crash."""
    two = lanes.open(2, 1)
    outlet = lanes.open(1, 2).outlet(2, "a", "b", 0, 1, 1)
    lanes.links.pop()
    gc.collect()
    assert outlet.send(b"x")
    del outlet
    gc.collect()
    assert two.drain(10) == []


def test_nothing_leaks(lanes: LaneWorld) -> None:
    """If false, a long-lived worker would grow with each message or each name."""
    one, two = lanes.two()

    too_large = bytes(one.message_bytes_max + 1)

    def round_trips(count: int) -> None:
        for n in range(count):
            outlet = one.outlet(2, f"sender {n}", f"target {n}", 0, 1, n)
            outlet.send(number(n))
            one.signal(2, 1, "x")
            one.flush()
            with pytest.raises(TransportError):
                outlet.send(too_large)
            receive(two, 1)
            one.wait(0)
            two.counters()

    round_trips(200)
    gc.collect()
    before = sys.getallocatedblocks()
    round_trips(1000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 200
