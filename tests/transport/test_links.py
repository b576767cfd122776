"""The conformance list: what every kind of link promises, in one process."""

from __future__ import annotations

import os
import select
import threading
import time

import pytest
from transport_worlds import (
    DEADLINE_NS,
    DEADLINE_S,
    LANE_BYTES,
    Deadline,
    World,
    number,
    payloads,
    receive,
)

from transport.port import (
    FRAME_MESSAGES_MAX,
    KIND_GO,
    KIND_MESSAGES,
    KIND_STOP,
    MESSAGE_BYTES_MAX,
    Broken,
    Closed,
    Frame,
    Link,
    TooLarge,
)


def test_a_frame_carries_its_stream(world: World) -> None:
    """If false, the receiver would not know who sent what to whom."""
    one, two = world.two()
    outlet = one.outlet(2, "älice", "server.b#2", 7, 3, 41)
    assert outlet.next_n == 41
    assert outlet.send(b"") is True
    assert outlet.send(b"hello") is True
    assert outlet.next_n == 43
    one.flush()
    assert world.receive(two, 2) == [(1, KIND_MESSAGES, "älice", "server.b#2", 7, 3, 41, [b"", b"hello"])]


def test_extreme_field_values_travel(world: World) -> None:
    """If false, a long-lived stream or a long name would arrive as another one."""
    one, two = world.two()
    name, most = "n" * 1024, 2**64 - 1
    outlet = one.outlet(2, name, name, 2**32 - 1, most, most - 1)
    outlet.send(b"x")
    one.flush()
    assert world.receive(two, 1) == [(1, KIND_MESSAGES, name, name, 2**32 - 1, most, most - 1, [b"x"])]
    with pytest.raises(ValueError, match="1024"):
        one.outlet(2, "n" * 1025, "b", 0, 0, 0)
    with pytest.raises(ValueError, match="1024"):
        one.signal(2, KIND_STOP, "ü" * 513)


def test_nothing_is_seen_before_a_flush(world: World) -> None:
    """If false, outputs would leave before their transition is recorded."""
    one, two = world.two()
    one.outlet(2, "a", "b", 0, 1, 1).send(b"x")
    assert two.wait(0) == []
    assert two.drain(10) == []
    one.flush()
    assert payloads(world.receive(two, 1)) == [b"x"]


def test_one_flush_is_one_frame_a_stream(world: World) -> None:
    """If false, batches would cost a header a message."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    for n in range(50):
        outlet.send(number(n))
    one.flush()
    (frame,) = world.receive(two, 50)
    assert frame.first_n == 1
    assert frame.payloads == [number(n) for n in range(50)]


def test_order_holds_across_streams_of_a_lane(world: World) -> None:
    """If false, what one slot did first could arrive last."""
    one, two = world.two()
    outlets = [one.outlet(2, "a", f"t{i}", i, 1, 1) for i in range(3)]
    for n in range(600):
        assert outlets[n * n % 3].send(number(n, 8))
        if n % 7 == 0:
            one.flush()
    one.flush()
    frames = world.receive(two, 600)
    assert payloads(frames) == [number(n, 8) for n in range(600)]
    for i in range(3):
        expected = 1
        for frame in (frame for frame in frames if frame.target == f"t{i}"):
            assert (frame.mailbox, frame.first_n) == (i, expected)
            expected += len(frame.payloads)


def test_frames_are_bounded(world: World) -> None:
    """If false, one drain could hand out any number of messages."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    for _ in range(3 * FRAME_MESSAGES_MAX):
        assert outlet.send(b"")
    one.flush()
    frames = world.receive(two, 3 * FRAME_MESSAGES_MAX)
    assert max(len(frame.payloads) for frame in frames) <= FRAME_MESSAGES_MAX
    assert [frame.first_n for frame in frames] == [1 + i * FRAME_MESSAGES_MAX for i in range(3)]


def test_a_dropped_outlet_still_delivers(world: World) -> None:
    """If false, an engine that ended would take its last words with it."""
    one, two = world.two()
    for n in range(20):
        one.outlet(2, "a", "b", 0, 1, n).send(number(n))
    one.flush()
    assert payloads(world.receive(two, 20)) == [number(n) for n in range(20)]


def test_signals_arrive_in_order_with_messages(world: World) -> None:
    """If false, a sender would go on into a mailbox that said stop."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    outlet.send(b"1")
    assert one.signal(2, KIND_STOP, "engine") is True
    outlet.send(b"2")
    assert one.signal(2, KIND_GO, "engine") is True
    one.flush()
    frames = world.receive(two, 4)
    assert [(f.kind, f.target, f.payloads) for f in frames] == [
        (KIND_MESSAGES, "b", [b"1"]),
        (KIND_STOP, "engine", []),
        (KIND_MESSAGES, "b", [b"2"]),
        (KIND_GO, "engine", []),
    ]
    with pytest.raises(ValueError, match="stop or go"):
        one.signal(2, KIND_MESSAGES, "engine")


@pytest.mark.storm
def test_too_large_sends_nothing(world: World) -> None:
    """If false, an oversized message would be cut or stop the lane."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    assert one.message_bytes_max == MESSAGE_BYTES_MAX
    largest = os.urandom(one.message_bytes_max)
    assert outlet.send(b"before")
    with pytest.raises(TooLarge):
        outlet.send(largest + b"x")
    assert outlet.next_n == 2
    assert outlet.send(largest)
    one.flush()
    assert payloads(world.receive(two, 2)) == [b"before", largest]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 100, 5000, LANE_BYTES // 4])
def test_a_full_lane_refuses_and_resumes(world: World, size: int) -> None:
    """If false, a slow receiver would cost messages or stop its senders for good."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    taken = 0
    for _ in range(3):
        deadline = Deadline("a full lane")
        while outlet.send(number(outlet.next_n, size)[:size]) or one.has_room(2):  # the last room may come in two parts
            deadline.check()
        got = payloads(world.receive(two, outlet.next_n - taken))
        assert got == [number(n, size)[:size] for n in range(taken, outlet.next_n)]
        taken = outlet.next_n
        wait_for_room(one, 2)
    assert outlet.send(b"")


def wait_for_room(link: Link, peer: int) -> None:
    deadline = Deadline("room")
    while not link.has_room(peer):
        deadline.check()
        link.wait(DEADLINE_NS)


def test_a_refusal_publishes_what_was_sent(world: World) -> None:
    """If false, a sender that waits for room without a flush would wait for ever."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    while outlet.send(number(outlet.next_n)):
        pass
    assert payloads(world.receive(two, outlet.next_n)) == [number(n) for n in range(outlet.next_n)]


def test_a_sleeping_sender_is_woken_by_room(world: World) -> None:
    """If false, a stopped sender would sleep until its time-out."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    while outlet.send(number(outlet.next_n, 1000)):
        pass
    assert one.wait(0) == []
    reader = threading.Thread(target=receive, args=(two, outlet.next_n))
    reader.start()
    began = time.monotonic()
    while not one.has_room(2):
        one.wait(DEADLINE_NS)
    reader.join()
    assert time.monotonic() - began < DEADLINE_S / 2


def test_room_that_others_took_is_said_again(world: World) -> None:
    """If false, a sender whose room was taken between the news and its look would sleep until its time-out."""
    one, two = world.two()
    refused, other = one.outlet(2, "a", "b", 0, 1, 0), one.outlet(2, "c", "b", 0, 1, 0)
    while refused.send(number(refused.next_n, 1000)):
        pass
    world.receive(two, refused.next_n)
    deadline = Deadline("release")
    while one.released(2) < one.published(2):
        deadline.check()
        one.wait(1_000_000)
    one.wait(0)  # that there is room is said here, if not before
    while other.next_n < refused.next_n * 2 // 3:
        assert other.send(number(other.next_n, 1000))
    assert not one.has_room(2)
    one.flush()
    receive(two, other.next_n)
    began = time.monotonic()
    one.wait(DEADLINE_NS)
    assert time.monotonic() - began < DEADLINE_S / 2
    assert one.has_room(2)


def test_exactly_the_unreleased_come_again(world: World) -> None:
    """If false, release would forget too much or too little."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    for n in range(1, 7):
        outlet.send(number(n))
        one.flush()
    assert payloads(drain_one_by_one(two, 2)) == [number(1), number(2)]
    two.release()
    assert payloads(drain_one_by_one(two, 2)) == [number(3), number(4)]
    two.close()
    second = world.open(2, 1)
    assert payloads(world.receive(second, 4)) == [number(n) for n in range(3, 7)]
    second.close()
    third = world.open(2, 1)
    outlet.send(b"new")
    one.flush()
    assert payloads(world.receive(third, 1)) == [b"new"]


def drain_one_by_one(link: Link, count: int) -> list[Frame]:
    frames: list[Frame] = []
    deadline = Deadline(f"{count} frames")
    while len(frames) < count:
        deadline.check()
        link.wait(50_000_000)
        frames += link.drain(1)
    return frames


def test_a_sender_is_replaced(world: World) -> None:
    """If false, a restarted engine could not be heard."""
    one, two = world.two()
    one.outlet(2, "a", "b", 0, 1, 1).send(b"published")
    one.flush()
    one.outlet(2, "a", "b", 0, 1, 2).send(b"lost with its process")
    one.close()
    successor = world.open(1, 2)
    successor.outlet(2, "a", "b", 0, 2, 1).send(b"successor")
    successor.flush()
    assert payloads(world.receive(two, 2)) == [b"published", b"successor"]


def test_kept_space_counts_after_a_restart(world: World) -> None:
    """If false, a restarted sender could overwrite what was not handled."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    while outlet.send(number(outlet.next_n)):
        pass
    count = outlet.next_n
    one.close()
    successor = world.open(1, 2)
    assert successor.outlet(2, "a", "b", 0, 2, 0).send(bytes(1000)) is False
    assert payloads(world.receive(two, count)) == [number(n) for n in range(count)]


def test_wait_times_out(world: World) -> None:
    """If false, timers would be late or never due."""
    one, _ = world.two()
    began = time.monotonic_ns()
    assert one.wait(20_000_000) == []
    assert time.monotonic_ns() - began >= 20_000_000
    assert one.wait(0) == []


def test_wait_sees_mail_and_descriptors(world: World) -> None:
    """If false, a worker would miss its supervisor or its mail."""
    one, two = world.two()
    near, far = os.pipe()
    two.watch(near)
    os.write(far, b"x")
    assert two.wait(None) == [near]
    one.outlet(2, "a", "b", 0, 1, 1).send(b"mail")
    one.flush()
    world.receive(two, 1)
    assert two.wait(0) == [near]
    os.read(near, 1)
    assert two.wait(0) == []
    two.unwatch(near)
    os.write(far, b"x")
    assert two.wait(1_000_000) == []
    os.close(near)
    os.close(far)


def test_mail_without_end_does_not_hide_descriptors(world: World) -> None:
    """If false, a busy worker would not hear its supervisor."""
    one, two = world.two()
    near, far = os.pipe()
    two.watch(near)
    one.outlet(2, "a", "b", 0, 1, 1).send(b"mail")
    one.flush()
    deadline = Deadline("mail")
    os.write(far, b"x")
    while two.wait(None) != [near]:
        deadline.check()
    os.close(near)
    os.close(far)


def test_wait_wakes_a_sleeper(world: World) -> None:
    """If false, mail would lie until a time-out."""
    one, two = world.two()
    woken: list[bytes] = []
    sleeper = threading.Thread(target=lambda: woken.extend(payloads(receive(two, 1))))
    sleeper.start()
    while two.counters()["blocks"] == 0:
        os.sched_yield()
    one.outlet(2, "a", "b", 0, 1, 1).send(b"wake")
    one.flush()
    sleeper.join(DEADLINE_S)
    assert woken == [b"wake"]


def test_an_event_loop_can_arm(world: World) -> None:
    """If false, the supervisor and device workers could not sleep on a link."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    for n in range(5):
        assert settle_arm(two) == []
        outlet.send(number(n))
        one.flush()
        frames: list[Frame] = []
        deadline = Deadline("ring")
        while not frames:
            deadline.check()
            assert select.select([two.fileno()], [], [], DEADLINE_S)[0]
            two.hush()
            frames = two.drain(10) or settle_arm(two)
            two.release()
        assert payloads(frames) == [number(n)]


def settle_arm(link: Link) -> list[Frame]:
    """Arm; what came in meanwhile, and then it may not be armed."""
    deadline = Deadline("arm")
    while not link.arm():
        deadline.check()
        if frames := link.drain(10):
            return frames
    return []


def test_arm_sees_mail(world: World) -> None:
    """If false, an event loop would sleep on mail that is there."""
    one, two = world.two()
    one.outlet(2, "a", "b", 0, 1, 1).send(b"x")
    one.flush()
    two.wait(DEADLINE_NS)
    assert two.arm() is False
    assert payloads(two.drain(10)) == [b"x"]


def test_producers_take_turns(world: World) -> None:
    """If false, one loud sender would silence the others."""
    consumer = world.open(9, 1, 2, 3)
    for slot in (1, 2, 3):
        producer = world.open(slot, 9)
        outlet = producer.outlet(9, f"s{slot}", "b", 0, 1, 0)
        for n in range(60):
            outlet.send(number(n))
            producer.flush()
    frames: list[Frame] = []
    deadline = Deadline("180 messages")
    while len(frames) < 180:
        deadline.check()
        consumer.wait(50_000_000)
        got = consumer.drain(4)
        assert len(got) <= 4
        frames += got
        consumer.release()
    for slot in (1, 2, 3):
        assert payloads([f for f in frames if f.peer == slot]) == [number(n) for n in range(60)]
    assert {f.peer for f in frames[:150]} == {1, 2, 3}


def test_detach_closes_outlets_only_of_that_peer(world: World) -> None:
    """If false, an outlet could write into memory that is gone."""
    one = world.open(1, 2, 3)
    three = world.open(3, 1)
    world.open(2, 1)
    gone, stays = one.outlet(2, "a", "b", 0, 1, 1), one.outlet(3, "a", "c", 0, 1, 1)
    gone.send(b"unpublished")
    one.detach(2)
    with pytest.raises(Closed):
        gone.send(b"x")
    with pytest.raises(Closed):
        one.outlet(2, "a", "b", 0, 1, 1)
    with pytest.raises(Closed):
        one.has_room(2)
    with pytest.raises(Closed):
        one.signal(2, KIND_STOP, "x")
    one.detach(2)
    assert stays.send(b"x")
    one.flush()
    assert payloads(world.receive(three, 1)) == [b"x"]


def test_a_peer_attaches_again(world: World) -> None:
    """If false, a link that was lost would stay lost."""
    one, two = world.two()
    one.detach(2)
    world.attach(one, 2)
    two.detach(1)
    world.attach(two, 1)
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    outlet.send(b"x")
    one.flush()
    assert payloads(world.receive(two, 1)) == [b"x"]
    two.outlet(1, "b", "a", 0, 1, 1).send(b"y")
    two.flush()
    assert payloads(world.receive(one, 1)) == [b"y"]


def test_a_closed_link_says_so(world: World) -> None:
    """If false, use after close would crash."""
    one, _ = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    outlet.send(b"x")
    one.close()
    one.close()
    uses = [
        lambda: outlet.send(b"x"),
        one.flush,
        one.release,
        lambda: one.drain(1),
        lambda: one.wait(0),
        one.arm,
        one.hush,
        one.fileno,
        lambda: one.watch(0),
        lambda: one.unwatch(0),
        lambda: one.has_room(2),
        lambda: one.detach(2),
        lambda: one.settle(0),
        lambda: world.attach(one, 3),
    ]
    for use in uses:
        with pytest.raises(Closed):
            use()


def test_wrong_arguments_are_refused(world: World) -> None:
    """If false, a mistake would show up far from where it was made."""
    one, _ = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    for wrong in ("text", bytearray(b"x"), None, 1):
        with pytest.raises(TypeError):
            outlet.send(wrong)
    for peer in (1, 2, 64):
        with pytest.raises(ValueError, match="slot"):
            world.attach(one, peer)
    assert outlet.next_n == 1


def test_counters_count(world: World) -> None:
    """If false, `ps` would show rates that are not."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    for n in range(10):
        outlet.send(number(n))
    one.flush()
    world.receive(two, 10)
    out, into = one.counters(), two.counters()
    assert (out["frames_out"], out["messages_out"]) == (1, 10)
    assert (into["frames_in"], into["messages_in"]) == (1, 10)
    assert set(out) == set(into) >= {"rings", "yields", "blocks"}


def test_settle_waits_until_frames_are_safe(world: World) -> None:
    """If false, a process that leaves in peace would take frames along."""
    one, two = world.two()
    outlet = one.outlet(2, "a", "b", 0, 1, 1)
    outlet.send(b"x")
    assert one.settle(0) is world.settles_at_once
    assert payloads(world.receive(two, 1)) == [b"x"]
    assert one.settle(DEADLINE_NS) is True


def test_a_slot_has_one_process(world: World) -> None:
    """If false, two processes could write into one lane without anybody noticing."""
    old, _ = world.two()
    outlet = old.outlet(2, "a", "b", 0, 1, 1)
    outlet.send(b"x")
    world.open(1, 2)
    for use in (old.flush, old.release, lambda: old.drain(1)):
        with pytest.raises(Broken, match="slot 1"):
            use()
