"""The cycle in C against the one in Python, which calls `step`: same mail, same time, same chance, equal everything."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cycle_worlds import FAMILIES, RING_COUNT, Step, World, scripts, world
from family_inputs import configured
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.benchmark import oneway
from engines.model import Family, encode
from host.live import wire
from host.live.control_page import WORDS_AT, Reading, read_control_page
from host.live.journal.frames import read_frame
from host.node import progress
from host.node.past import Past, PastEngine, PastLost, PastTurn
from host.node.progress import HANDLED, PARKED, RECEIVED
from host.node.rehearsal import RehearsalEnd
from host.node.tail_following import TailFollower
from host.node.trigger_tail import Overrun, TriggerTail, encode_tail
from transport.native import native_available, native_reason

pytestmark = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")


@pytest.mark.parametrize("examples", [3, pytest.param(20, marks=pytest.mark.storm)])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_c_does_what_step_says(family: Family[Any, Any, Any, Any], examples: int) -> None:
    """False if any state, timer, output, letter, counter, mark, or kept trigger came out otherwise than by `step`, or
    the triggers after a moment did not lead to the state."""

    @settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(data=st.data())
    def play(data: st.DataObject) -> None:
        params = data.draw(configured(family), label="params")
        script = data.draw(scripts(family), label="script")
        with world(family, params, True) as fast, world(family, params, False) as plain:
            assert_same(fast.play(script[0]), plain.play(script[0]))
            tails = [followed(one) for one in (fast, plain)]
            for step in script[1:]:
                assert_same(fast.play(step), plain.play(step))
            assert [made() for made in tails] == [one.env() for one in (fast, plain)]
            assert_same_past(fast, plain)

    play()


def assert_same(one: Any, other: Any) -> None:
    """Equal, but a number that is none is so too."""
    assert one == other or repr(one) == repr(other)


def assert_same_past(fast: World, plain: World) -> None:
    """Rings that turned over may have done so at different messages, and then have the same last ones."""
    pasts, rings = [one.past() for one in (fast, plain)], [one.worker.scheduler.turns.ring for one in (fast, plain)]
    assert not any(isinstance(one, PastLost) for past in pasts for one in past)
    if all(ring is not None and not ring.older.bases for ring in rings):
        assert_same(*pasts)
        return
    theirs, ours = map(last_turns, pasts)
    for name in theirs.keys() & ours.keys():
        both = min(len(theirs[name]), len(ours[name]))
        assert_same(theirs[name][-both:], ours[name][-both:])
    assert sum(map(len, theirs.values())) >= RING_COUNT
    assert sum(map(len, ours.values())) >= RING_COUNT


def last_turns(past: list[Past]) -> dict[str, list[PastTurn]]:
    """By engine, without the numbers that depend on how many were kept."""
    found: dict[str, list[PastTurn]] = {}
    for one in past:
        if isinstance(one, PastEngine):
            turns = found.setdefault(one.name, [])
        elif isinstance(one, PastTurn):
            turns.append(msgspec.structs.replace(one, n=0))
    return found


def followed(one: World) -> Callable[[], bytes]:
    """The environment of the engine, later, as what is made of the triggers from now on."""
    scheduler = one.worker.scheduler
    cell, ring = scheduler.cells.get("e"), scheduler.turns.ring
    assert ring is not None
    if cell is None:
        return one.env
    tail = TriggerTail(ring, [cell])
    follower = TailFollower({"e": RehearsalEnd(0, cell.family, cell.configuration, cell.env, 0)}, read_frame)

    def made() -> bytes:
        try:
            follower.run(encode_tail([*tail.begin(), *tail.take()]), lambda name: None)
        except Overrun:
            assert ring.older.bases, "only a ring that has turned over drops triggers"
            return one.env()
        assert ("e" in follower.engines) == tail.keeps(cell)
        is_known = scheduler.cells.get("e") is cell and follower.engines
        return bytes(cell.family.dump(follower.engines["e"].env)) if is_known else one.env()

    return made


def test_frames_are_kept_as_they_came_with_the_time_of_each_turn() -> None:
    """False if the ring that C fills had other triggers than the last ones, or grew beyond its bound."""
    with world(oneway.SINK, {}, True) as fast:
        for n in range(1, 12):
            fast.play(Step(n, "p", 0, [oneway.Record(b"key", 10 * n + at, "here") for at in range(10)]))
        turns = [one for one in fast.past() if isinstance(one, PastTurn)]
        assert 50 <= len(turns) <= 100
        assert len({turn.now_ns for turn in turns}) == len(turns) / 10
        assert turns[-1].message == encode(oneway.Record(b"key", 119, "here"))


def test_a_frame_with_large_messages_is_not_copied() -> None:
    """False if the ring took the memory of large messages, or pretended to have them."""
    with world(oneway.SINK, {}, True) as fast:
        record = oneway.Record(b"key", 7, "here")
        fast.play(Step(1, "p", 0, [record]))
        fast.play(Step(1, "p", 0, [oneway.Record(b"k" * 4_000, 7, "here")] * 2))
        assert [type(one) for one in fast.past()] == [PastEngine, PastTurn, PastTurn, PastTurn]
        worker = fast.worker
        assert worker.scheduler.turns.ring is not None
        before = [*worker.scheduler.turns.ring.head]
        fast.play(Step(1, "p", 0, [record] * 100))
        assert [*worker.scheduler.turns.ring.head] != before


def test_common_mail_never_leaves_c() -> None:
    """False if the path that is compared above were Python's after all."""
    order = oneway.Reset(1_000, "q", oneway.Record(b"k", 1, "s"), "p")
    record = oneway.Record(b"key", 7, "here")
    with world(oneway.SINK, {}, True) as fast:
        fast.play(Step(0, "p", 0, [order]))
        before = fast.in_c
        fast.play(Step(1, "p", 0, [record] * 900))
        assert fast.in_c - before == 900


def read(fast: World, **words: int) -> Reading:
    """The control page, as the supervisor finds it."""
    page = bytearray(fast.worker.scheduler.turns._progress.memory)
    for name, value in words.items():
        struct.pack_into("=Q", page, WORDS_AT + 8 * getattr(progress, name), value)
    descriptor = os.memfd_create("copy")
    os.write(descriptor, page)
    reading = read_control_page(descriptor)
    os.close(descriptor)
    return reading


def test_the_page_shows_the_stream_in_flight() -> None:
    """False if a death were blamed on another sender, where C and Python take turns or a name is long."""
    record = oneway.Record(b"key", 7, "here")
    with world(oneway.SINK, {}, True) as fast:
        long = "\u00e9" * 500
        begun = [("p", False), ("q", False), (long, False)]
        for sender, in_c in [*begun, ("p", True), ("q", False), ("p", True), ("q", True), ("q", False), (long, True)]:
            step = Step(1, sender, 0, [record])
            if in_c:
                fast.play(step)
            else:
                fast.send(step)
                fast.worker.cycle()
            found = read(fast, N=1).in_flight
            assert found is not None
            assert (found.engine, found.sender, found.epoch) == ("e", sender, 1)
        assert fast.in_c == 4


def test_the_page_says_what_c_does() -> None:
    """False if a control page were behind once C has come to rest."""
    with world(oneway.SINK, {}, True) as fast:
        for _ in range(3):
            fast.play(Step(1, "p", 0, [oneway.Record(b"key", 7, "here")] * 10))
        reading = read(fast)
        counts = [reading.words[word] for word in (HANDLED, RECEIVED, PARKED)]
        assert (reading.in_flight, counts) == (None, [30, 30, 0])


def test_what_a_slot_sent_before_it_was_given_up_is_taken() -> None:
    """False if a child's last words were lost where they and the news that its slot is gone came together."""
    with world(oneway.SINK, {}, True) as fast:
        fast.play(Step(0, "p", 0, [oneway.Record(b"key", 7, "here")]))
        fast.send(Step(1, "p", 0, [oneway.Record(b"key", 7, "here")] * 9))
        fast.supervisor.send(wire.Detach(2))
        fast.worker._hear()
        fast.settle()
        assert fast.worker.scheduler.tally.handled == 10
