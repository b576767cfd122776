"""The conformance list between processes: back-pressure, wake-ups, and deaths at any moment."""

from __future__ import annotations

import os
import random
import select
import struct
from collections.abc import Callable
from functools import partial

import pytest
from transport_worlds import (
    DEADLINE_NS,
    DEADLINE_S,
    Deadline,
    World,
    fork,
    kill,
    number,
    payloads,
    reap,
    receive,
    send_all,
)

from transport.port import Frame, Link, Outlet

REPORT = struct.Struct("<QQ")
KILLS = pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.storm)])


def test_a_full_lane_loses_nothing(far_world: World) -> None:
    """If false, back-pressure between processes would drop or repeat."""
    count = 20_000
    two = far_world.open(2, 1)

    def produce() -> None:
        link = far_world.open(1, 2)
        send_all(link, link.outlet(2, "a", "b", 0, 1, 0), 2, [number(n) for n in range(count)])
        assert link.settle(DEADLINE_NS)

    pid = fork(produce)
    frames = receive(two, count)
    assert payloads(frames) == [number(n) for n in range(count)]
    assert [frame.first_n for frame in frames] == running_numbers(frames)
    two.wait(0)
    assert reap(pid) == 0


def running_numbers(frames: list[Frame]) -> list[int]:
    """The first number each frame should have in one stream from 0."""
    numbers, n = [], 0
    for frame in frames:
        numbers.append(n)
        n += len(frame.payloads)
    return numbers


@pytest.mark.storm
@pytest.mark.parametrize("wait", ["adaptive", "block"])
def test_no_wake_up_is_lost(far_world: World, wait: str) -> None:
    """If false, a receiver would now and then sleep on mail until its time-out."""
    rounds = 3000

    def echo() -> None:
        link = far_world.open(2, 1, wait=wait)
        outlet = link.outlet(1, "b", "a", 0, 1, 0)
        for _ in range(rounds):
            send_all(link, outlet, 1, payloads(receive(link, 1)))
        link.settle(DEADLINE_NS)

    one = far_world.open(1, 2, wait=wait)
    outlet = one.outlet(2, "a", "b", 0, 1, 0)
    pid = fork(echo)
    for n in range(rounds):
        outlet.send(number(n))
        one.flush()
        assert payloads(receive(one, 1)) == [number(n)]
    assert reap(pid) == 0


def test_no_ring_is_lost_by_an_event_loop(far_world: World) -> None:
    """If false, arm and the sender could miss each other and the loop would sleep on mail."""
    count = 5000
    two = far_world.open(2, 1)

    def produce() -> None:
        link = far_world.open(1, 2)
        outlet = link.outlet(2, "a", "b", 0, 1, 0)
        pauses = random.Random(5)
        for n in range(count):
            send_all(link, outlet, 2, [number(n)])
            for _ in range(pauses.randrange(4)):
                os.sched_yield()
        assert link.settle(DEADLINE_NS)

    pid = fork(produce)
    got: list[bytes] = []
    while len(got) < count:
        if two.arm():
            assert select.select([two.fileno()], [], [], DEADLINE_S)[0], f"no ring after {len(got)} messages"
            two.hush()
        got += payloads(two.drain(64))
        two.release()
    assert got == [number(n) for n in range(count)]
    two.wait(0)
    assert reap(pid) == 0


def test_several_producers(far_world: World) -> None:
    """If false, lanes of different senders would disturb each other."""
    count, slots = 3000, (1, 2, 3)
    sink = far_world.open(9, *slots)

    def produce(slot: int) -> None:
        link = far_world.open(slot, 9)
        send_all(link, link.outlet(9, f"s{slot}", "b", 0, 1, 0), 9, [number(n) for n in range(count)])
        assert link.settle(DEADLINE_NS)

    pids = [fork(partial(produce, slot)) for slot in slots]
    frames = receive(sink, count * len(slots))
    for slot in slots:
        assert payloads([f for f in frames if f.peer == slot]) == [number(n) for n in range(count)]
    deadline = Deadline("acknowledged")
    while pids:
        deadline.check()
        sink.wait(1_000_000)
        sink.release()
        pid, status = os.waitpid(pids[0], os.WNOHANG)
        assert status == 0
        if pid:
            pids.pop(0)


@KILLS
def test_a_killed_receiver_leaves_its_mail(far_world: World, kills: int) -> None:
    """If false, what a process had not released when it died would be lost, or what it had released would come again.

    Each receiver writes into a pipe what it handles, before it releases it, and is killed at a random moment.
    """
    chance = random.Random(11)
    near, far = os.pipe()
    one = far_world.open(1, 2)
    outlet = one.outlet(2, "a", "b", 0, 1, 0)

    def consume() -> None:
        link = far_world.open(2, 1)
        while True:
            link.wait(DEADLINE_NS)
            for frame in link.drain(8):
                os.write(far, REPORT.pack(frame.first_n, len(frame.payloads)))
            link.release()
            os.write(far, REPORT.pack(2**64 - 1, 0))

    handled = Handled()
    for _ in range(kills):
        pid = fork(consume)
        goal = handled.next_n + chance.randrange(1, 2000)
        pump(one, outlet, partial(handled.reached, near, goal))
        kill(pid)
        handled.read(near)
        handled.died()
    os.close(near)
    os.close(far)


class Handled:
    """What receivers reported: numbers in order, a repeat only of what the last life had not released."""

    def __init__(self) -> None:
        self.next_n = 0
        self.released = 0
        self.fresh = False
        self.rest = b""

    def died(self) -> None:
        self.fresh = True

    def reached(self, fd: int, goal: int) -> bool:
        self.read(fd)
        return self.next_n >= goal

    def read(self, fd: int) -> None:
        while select.select([fd], [], [], 0)[0]:
            self.rest += os.read(fd, REPORT.size * 1000)
            whole = len(self.rest) - len(self.rest) % REPORT.size
            for report in REPORT.iter_unpack(self.rest[:whole]):
                self.note(*report)
            self.rest = self.rest[whole:]

    def note(self, first_n: int, count: int) -> None:
        if first_n == 2**64 - 1:
            self.released = self.next_n
            return
        # The report of a release may be lost with the process, the release itself not.
        allowed = range(self.released, self.next_n + 1) if self.fresh else range(self.next_n, self.next_n + 1)
        assert first_n in allowed, f"{first_n} after {self.next_n}, released {self.released}"
        self.fresh = False
        self.next_n = first_n + count


def pump(link: Link, outlet: Outlet, done: Callable[[], bool]) -> None:
    """Send numbered messages as fast as they are taken until `done`."""
    deadline = Deadline("messages handled")
    while not done():
        deadline.check()
        if not outlet.send(number(outlet.next_n)):
            link.wait(1_000_000)
        elif outlet.next_n % 5 == 0:
            link.flush()
    link.flush()


@KILLS
def test_a_killed_sender_leaves_no_wreckage(far_world: World, kills: int) -> None:
    """If false, a message half written by a dying process could be delivered, or stall the lane."""
    chance = random.Random(13)
    two = far_world.open(2, 1)

    def produce(epoch: int) -> None:
        link = far_world.open(1, 2)
        outlet = link.outlet(2, "a", "b", 0, epoch, 0)
        while True:
            if not outlet.send(number(outlet.next_n, 40 + outlet.next_n % 300)):
                link.wait(1_000_000)
            elif outlet.next_n % 3 == 0:
                link.flush()

    next_n = dict.fromkeys(range(kills + 1), 0)
    for epoch in range(1, kills + 1):
        pid = fork(partial(produce, epoch))
        goal = chance.randrange(1, 1500)
        deadline = Deadline(f"messages of epoch {epoch}")
        while next_n[epoch] < goal:
            deadline.check()
            two.wait(DEADLINE_NS)
            check_stream(two.drain(64), next_n)
            two.release()
        kill(pid)
    check_stream(two.drain(1_000_000), next_n)


def check_stream(frames: list[Frame], next_n: dict[int, int]) -> None:
    for frame in frames:
        assert frame.first_n == next_n[frame.epoch]
        for n, payload in enumerate(frame.payloads, frame.first_n):
            assert payload == number(n, 40 + n % 300)
        next_n[frame.epoch] += len(frame.payloads)
