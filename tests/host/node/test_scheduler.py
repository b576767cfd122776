"""The engines of one slot: order, atomicity, and that nothing is lost without a trace."""

from __future__ import annotations

import pytest
from engines_for_tests import (
    ASKER,
    COUNTER,
    FORWARDER,
    PARENT,
    PICKY,
    RECORDER,
    SLEEPER,
    Add,
    Ask,
    Breed,
    BreedThen,
    End,
    Fail,
    Keep,
    Pass,
    Picky,
    Said,
    Seen,
    Throw,
    Total,
    Wake,
)
from hypothesis import given
from hypothesis import strategies as st
from inline_nodes import InlineNode, Unheard, letters, node

from engines.model import Message, Ref, encode
from host.node.fallen import FALLEN_NS_MAX
from host.node.news import Trigger
from host.node.progress import HANDLED, PARKED, RECEIVED, N

SECOND = 1_000_000_000


def test_a_thousand_senders_count_to_a_thousand() -> None:
    """False if an engine ever ran two transitions on one environment."""
    inline = node()
    inline.add("counter", COUNTER)
    for sender in range(1_000):
        inline.send("counter", Add(sender), sender=f"s{sender}")
    inline.run_until_idle()
    assert inline.state("counter") == Total(1_000)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=30), st.data())
def test_mail_of_one_sender_keeps_its_order(bursts: list[tuple[str, int]], data: st.DataObject) -> None:
    """False if strides, turns or batches reordered one sender's mail."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.scheduler.cells["recorder"].stride = data.draw(st.integers(1, 4))
    sent: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    number = 0
    for sender, size in bursts:
        numbers = range(number, number + size)
        number += size
        sent[sender] += numbers
        inline.send("recorder", *map(Add, numbers), sender=sender)
        if data.draw(st.booleans()):
            inline.cycle()
    inline.run_until_idle()
    got = inline.state("recorder").numbers
    assert sorted(got) == list(range(number))
    assert all([n for n in got if n in set(numbers)] == numbers for numbers in sent.values())


@given(st.lists(st.sampled_from([Add(1), Fail("x"), Keep(1), Unheard("?"), End()]), max_size=40))
def test_nothing_is_lost_without_a_trace(messages: list[Message]) -> None:
    """False if a message were neither handled, stored, waiting, nor a dead letter."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.send("recorder", *messages)
    inline.run_until_idle()
    before_end = messages[: messages.index(End())] if End() in messages else messages
    dead = letters(inline)
    reasons = [letter.reason for letter in dead]
    assert reasons.count("failed") == before_end.count(Fail("x"))
    assert reasons.count("type") == before_end.count(Unheard("?"))
    ended = len(messages) - len(before_end) - 1 if End() in messages else 0
    assert reasons.count("ended") == ended
    if End() not in messages:
        env = inline.env("recorder")
        assert len(env.mailboxes[0].stored) == messages.count(Keep(1))  # type: ignore[union-attr]
        assert len(env.state.numbers) == messages.count(Add(1))
    words = inline.progress.words
    assert (words[RECEIVED], words[HANDLED], words[PARKED]) == (len(messages), len(messages), 0)
    assert words[N] == 0


def test_parked_mail_is_counted_before_heads_move_and_no_longer_than_it_waits() -> None:
    """False if a kill in that moment cost mail nobody counted, or counted mail that was handled."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.scheduler.cells["recorder"].stride = 1
    inline.send("recorder", Add(1), Add(2))
    shown = []
    for _ in range(2):
        inline.scheduler.run(budget_ns=0)
        inline.scheduler.park()
        shown.append(inline.progress.words[PARKED])
    assert shown == [1, 0]


def test_a_failed_transition_leaves_no_trace_but_its_letter() -> None:
    """False if an exception cost more than its own message."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.send("recorder", Add(1), Fail("no such thing"), Add(2), sender="bob")
    inline.run_until_idle()
    assert inline.state("recorder") == Seen((1, 2))
    (letter,) = letters(inline)
    assert (letter.reason, letter.sender, letter.target) == ("failed", "bob", "recorder")
    assert letter.message == {"type": "Fail", "text": "no such thing"}
    assert "ValueError: no such thing" in letter.detail


def test_a_message_of_the_wrong_type_is_rendered_with_the_reason() -> None:
    """False if a mistake of a sender were silent, or took the engine down."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.scheduler.deliver(0, "x", "recorder", 0, 1, 1, [b"\xc1torn", encode(Unheard("hi"))])
    inline.run_until_idle()
    torn, unheard = letters(inline)
    assert (torn.reason, torn.message) == ("type", {"bytes": 5, "begins": "0xc1746f726e"})
    assert (unheard.reason, unheard.message) == ("type", ["Unheard", "hi"])
    assert "Unheard" in unheard.detail


def test_unknown_ended_and_undeclared() -> None:
    """False if a dead letter named the wrong reason."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.add("forwarder", FORWARDER)
    inline.send("nobody", Add(1))
    inline.send("recorder", Add(1), mailbox=7)
    inline.send("recorder", End())
    inline.run_until_idle()
    inline.send("recorder", Add(2))
    inline.send("forwarder", Pass(Ref("recorder"), 3), Pass(Ref("nowhere"), 4), Pass(Ref("forwarder#9"), 5))
    inline.run_until_idle()
    assert [(letter.reason, letter.target) for letter in letters(inline)] == [
        ("unknown", "nobody"),
        ("undeclared_mailbox", "recorder"),
        ("ended", "recorder"),
        ("ended", "recorder"),
        ("undeclared_mailbox", "forwarder"),
        ("unknown", "nowhere"),
    ]
    assert inline.ended == ["recorder"]


@pytest.mark.storm
def test_a_due_timer_waits_for_one_transition_at_most() -> None:
    """False if ten thousand queued messages could delay a timer."""
    now = [0]

    def clock() -> int:
        now[0] += 1_000
        return now[0]

    inline = InlineNode(lambda ref: RECORDER, clock=clock)
    inline.add("sleeper", SLEEPER)
    inline.send("sleeper", Wake(1_000_000), *[Add(n) for n in range(10_000)])
    inline.run_until_idle()
    numbers = inline.state("sleeper").numbers
    assert len(numbers) == 10_001
    (rang,) = [n for n in numbers if n > 0]
    assert 0 <= rang - 1_000_000 < 20_000


def test_a_neighbours_timers_do_not_starve_an_engine() -> None:
    """False if an engine that sets a timer for now, again and again, kept others from their mail."""
    now = [0]

    def clock() -> int:
        now[0] += 1_000
        return now[0]

    inline = InlineNode(lambda ref: RECORDER, clock=clock)
    inline.add("recorder", RECORDER)
    inline.add("sleeper", SLEEPER)
    inline.send("recorder", *[Add(n) for n in range(50)])
    inline.send("sleeper", *[Wake(0)] * 50)
    inline.run_until_idle()
    assert len(inline.state("recorder").numbers) == 50
    assert len(inline.state("sleeper").numbers) == 50


def test_timers_fire_in_order_and_once() -> None:
    """False if a superseded timer fired, or one fired early."""
    inline = node()
    inline.add("sleeper", SLEEPER)
    inline.send("sleeper", Wake(5 * SECOND), Wake(3 * SECOND))
    inline.advance(2 * SECOND)
    assert inline.state("sleeper") == Seen()
    inline.advance(10 * SECOND)
    assert inline.state("sleeper") == Seen((3 * SECOND,))


def test_an_engine_at_a_choice_gets_no_mail_until_it_is_answered() -> None:
    """False if a suspended engine were given triggers, or its answer used before it was recorded."""
    inline = node()
    inline.add("asker", ASKER)
    inline.send("asker", Ask(SECOND), Add(1))
    inline.run_until_idle()
    assert inline.state("asker") == Said()
    assert [(s.engine, s.options) for s in inline.report.waits] == [("asker", ("yes", "no"))]
    assert "no option" in inline.answer("asker", "maybe")
    assert inline.answer("asker", "yes") == ""
    assert inline.state("asker") == Said(("yes", "#1"))
    assert "no choice" in inline.answer("asker", "yes")
    assert inline.report.waits[-1].options == ()


def test_an_engine_ended_at_a_choice_leaves_its_message_as_a_dead_letter() -> None:
    """False if a message that was taken and never handled vanished with its engine."""
    inline = node()
    inline.add("asker", ASKER)
    inline.send("asker", Ask(SECOND), Add(1), sender="bob")
    inline.run_until_idle()
    inline.scheduler.end(inline.scheduler.cells["asker"])
    waiting, standing = letters(inline)
    assert (waiting.reason, waiting.sender, waiting.message) == ("ended", "bob", ["Add", 1])
    assert (standing.reason, standing.sender, standing.message["type"]) == ("ended", "bob", "Ask")


def test_a_choice_nobody_makes_takes_its_time_out() -> None:
    """False if a time-out were early, late, or taken twice."""
    inline = node()
    inline.add("asker", ASKER)
    inline.send("asker", Ask(SECOND), Add(1))
    inline.advance(SECOND - 1)
    assert inline.state("asker") == Said()
    inline.advance(1)
    assert inline.state("asker") == Said(("time", "#1"))


def test_a_roll_takes_its_side_from_chance() -> None:
    """False if chance came from elsewhere, or a side were out of range."""
    asked: list[int] = []

    def chance(sides: int) -> int:
        asked.append(sides)
        return sides - 1

    inline = InlineNode(lambda ref: RECORDER, chance=chance)
    inline.add("asker", ASKER)
    inline.send("asker", Throw(6), Throw(20))
    inline.run_until_idle()
    assert asked == [6, 20]
    assert inline.state("asker") == Said(("6", "20"))


def test_children_are_born_before_their_mail_whatever_the_order_of_effects() -> None:
    """False if a parent could not write to a child it is just spawning."""
    inline = node()
    inline.add("parent", PARENT)
    inline.send("parent", Breed(1), Breed(2), BreedThen(3))
    inline.run_until_idle()
    assert inline.state("parent/kid.1") == Seen((1,))
    assert inline.state("parent/kid.2") == Seen((2,))
    assert inline.state("parent/late") == Seen((3,))
    notes, dropped = inline.report.take_notes()
    assert ([note.fields for note in notes], dropped) == ([{"number": 1}, {"number": 2}], 0)
    assert [child.spec.name for child in inline.report.spawned] == ["parent/kid.1", "parent/kid.2", "parent/late"]


def test_mail_before_birth_waits_for_a_while() -> None:
    """False if early mail were lost, or waited for ever."""
    inline = node()
    inline.add("parent", PARENT)
    inline.send("parent/kid.1", Add(7))
    inline.send("parent/kid.9", Add(9))
    inline.send("parent", Breed(1))
    inline.run_until_idle()
    assert inline.state("parent/kid.1") == Seen((7, 1))
    inline.advance(10 * SECOND)
    assert [(letter.reason, letter.target) for letter in letters(inline)] == [("unknown", "parent/kid.9")]


def test_repeats_are_dropped_and_gaps_reported() -> None:
    """False if a message ran twice, or a missing one went unnoticed."""
    inline = node()
    inline.add("recorder", RECORDER)
    frame = [encode(Add(n)) for n in (1, 2, 3)]
    deliver = inline.scheduler.deliver
    deliver(2, "a", "recorder", 0, 1, 1, frame)
    deliver(2, "a", "recorder", 0, 1, 2, [*frame[1:], encode(Add(4))])
    deliver(2, "a", "recorder", 0, 1, 9, [encode(Add(9))])
    deliver(2, "a", "recorder", 0, 2, 1, [encode(Add(20))])
    deliver(2, "a", "recorder", 0, 1, 10, [encode(Add(10))])
    inline.run_until_idle()
    assert inline.state("recorder") == Seen((1, 2, 3, 4, 9, 20))
    assert [(h.kind, h.fields) for h in inline.report.events] == [
        ("gap", {"sender": "a", "expected": 5, "found": 9}),
        ("old_epoch", {"sender": "a", "epoch": 1, "messages": 1}),
    ]


@given(st.integers(1, 6))
def test_the_message_that_killed_a_process_is_not_tried_again(n: int) -> None:
    """False if the message in flight ran twice, or took its neighbours in the frame with it."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.scheduler.arrivals.expect([(Trigger("recorder", "a", 0, 1, n), "")])
    inline.scheduler.deliver(2, "a", "recorder", 0, 1, 1, [encode(Add(i)) for i in range(1, 7)])
    inline.run_until_idle()
    inline.advance(2 * SECOND)
    assert inline.state("recorder").numbers == tuple(i for i in range(1, 7) if i != n)
    (letter,) = letters(inline)
    assert (letter.reason, letter.message) == ("crashed", ["Add", n])


@given(st.booleans())
def test_a_message_that_died_with_its_process_is_still_a_letter(more: bool) -> None:
    """False if a message that was off the lane when its engine crashed vanished in silence."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.scheduler.arrivals.expect([(Trigger("recorder", "a", 0, 1, 5), "")])
    if more:
        inline.scheduler.deliver(2, "a", "recorder", 0, 1, 6, [encode(Add(6))])
    inline.advance(0 if more else FALLEN_NS_MAX)
    (letter,) = letters(inline)
    assert (letter.reason, letter.sender, letter.message) == ("crashed", "a", None)


@given(st.sets(st.integers(1, 9), min_size=1), st.integers(0, 9))
def test_a_batch_that_killed_several_processes_is_survived_by_the_next(deadly: set[int], cut: int) -> None:
    """False if a process forgot what an earlier one than the last had died in, and the batch killed for ever."""
    inline = node()
    inline.add("recorder", RECORDER)
    inline.scheduler.arrivals.expect((Trigger("recorder", "a", 0, 1, n), "") for n in deadly)
    for part in (range(1, cut + 1), range(cut + 1, 10)):
        if part:
            inline.scheduler.deliver(2, "a", "recorder", 0, 1, part[0], [encode(Add(n)) for n in part])
    inline.run_until_idle()
    assert inline.state("recorder").numbers == tuple(n for n in range(1, 10) if n not in deadly)
    found = letters(inline)
    assert [(letter.reason, letter.message) for letter in found] == [("crashed", ["Add", n]) for n in sorted(deadly)]


def test_a_message_whose_own_check_raises_is_a_dead_letter_and_nothing_more() -> None:
    """False if it ended the run, was taken for one of a wrong type, or cost what came with it."""
    inline = node()
    inline.add("picky", PICKY)
    first = encode(Picky("good"))
    shaped = [first.replace(encode("good"), encode(text)) for text in ("good", "lookup", "exit", "good")]
    inline.scheduler.deliver(0, "outside", "picky", 0, 1, 1, shaped)
    inline.run_until_idle()
    assert inline.state("picky").count == 2
    assert inline.scheduler.cells["picky"].failed == 2
    found = letters(inline)
    assert [letter.reason for letter in found] == ["failed", "failed"]
    assert "LookupError: lookup" in found[0].detail
    assert "SystemExit: exit" in found[1].detail
