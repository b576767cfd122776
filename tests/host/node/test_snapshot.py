"""A snapshot is everything: who goes on from one does what the other would have done."""

from __future__ import annotations

from typing import Any

import engines_for_tests
import pytest
from engines_for_tests import (
    ASKER,
    COUNTER,
    FORWARDER,
    PARENT,
    RECORDER,
    SLEEPER,
    Add,
    Ask,
    BreedThen,
    End,
    Fail,
    Keep,
    Pass,
    Said,
    Seen,
    Wake,
)
from hypothesis import given
from hypothesis import strategies as st
from inline_nodes import InlineNode

from engines.model import AdoptError, Ref, encode
from host.config.spec import MailboxSpec
from host.node.snapshot import CELLS_PER_PART, SnapshotError, read_snapshot, revive, take_snapshot

SECOND = 1_000_000_000


def load(ref: str) -> Any:
    return getattr(engines_for_tests, ref.partition(":")[2])


def node() -> InlineNode:
    inline = InlineNode(load)
    small = {0: MailboxSpec(capacity=4)}
    inline.add("forwarder", FORWARDER)
    inline.add("recorder", RECORDER)
    inline.add("asker", ASKER, mailboxes=small)
    inline.add("sleeper", SLEEPER)
    inline.add("parent", PARENT)
    return inline


def moved(inline: InlineNode) -> InlineNode:
    """The same engines in another node."""
    image, revived = read_snapshot(take_snapshot(inline.scheduler), "inline", load, {}.get)
    fresh = InlineNode(load, now_ns=inline.now_ns)
    fresh._numbers = inline._numbers
    fresh.received = inline.received
    fresh.ended = inline.ended
    revive(fresh.scheduler, image, revived)
    return fresh


Act = tuple[str, Any]

ACTS: st.SearchStrategy[list[Act]] = st.lists(
    st.one_of(
        st.tuples(st.just("recorder"), st.sampled_from([Add(1), Add(2), Keep(3), Fail("x")])),
        st.tuples(
            st.just("forwarder"), st.builds(Pass, st.sampled_from(["recorder", "asker", "out"]), st.integers(0, 9))
        ),
        st.tuples(st.just("asker"), st.sampled_from([Ask(SECOND), Add(7)])),
        st.tuples(st.just("sleeper"), st.builds(Wake, st.integers(0, 3 * SECOND))),
        st.tuples(st.just("parent"), st.just(BreedThen(5))),
        st.tuples(st.just("parent/late"), st.sampled_from([Add(8), End()])),
        st.tuples(st.sampled_from(["cycle", "idle", "second", "yes"]), st.none()),
    ),
    max_size=40,
)


def act(inline: InlineNode, name: str, message: Any) -> None:
    match name:
        case "cycle":
            inline.cycle()
        case "idle":
            inline.run_until_idle()
        case "second":
            inline.advance(SECOND)
        case "yes":
            inline.answer("asker", "yes")
        case _:
            inline.send(name, message)


def outcome(inline: InlineNode) -> Any:
    inline.advance(10 * SECOND)
    return (
        {name: (cell.env, cell.depth, cell.handled) for name, cell in inline.scheduler.cells.items()},
        inline.received,
        inline.ended,
    )


@given(ACTS, st.integers(0, 40))
def test_going_on_from_a_snapshot_is_going_on(acts: list[Act], cut: int) -> None:
    """False if a snapshot left out anything that matters later: mail, marks, questions, timers, held outputs, names."""
    one, other = node(), node()
    for inline in (one, other):
        inline.listen("out")
        inline.run_until_idle()
    for index, (name, message) in enumerate(acts):
        act(one, name, message)
        act(other, name, message)
        if index == cut:
            other.cycle()
            one.cycle()
            other = moved(other)
    assert outcome(other) == outcome(one)


def test_what_is_held_leaves_in_the_new_process_in_order() -> None:
    """False if outputs a full mailbox held back were lost with the process, or overtaken."""
    inline = node()
    inline.send("asker", Ask(SECOND))
    inline.run_until_idle()
    inline.send("forwarder", *[Pass(Ref("asker"), n) for n in range(20)])
    inline.run_until_idle()
    assert inline.scheduler.cells["forwarder"].held
    fresh = moved(inline)
    fresh.run_until_idle()
    assert fresh.answer("asker", "no") == ""
    assert fresh.state("asker") == Said(("no", *(f"#{n}" for n in range(20))))


def test_a_stop_of_who_ended_meanwhile_holds_nobody() -> None:
    """False if an engine waited for ever for who ended while a reload was under way."""
    inline = node()
    inline.run_until_idle()
    inline.scheduler.outbox.stop("gone", 5)
    fresh = moved(inline)
    fresh.run_until_idle()
    fresh.send("forwarder", Pass(Ref("gone"), 1))
    fresh.run_until_idle()
    assert not fresh.scheduler.cells["forwarder"].held
    assert fresh.report.take_letters()[0] == {"unknown": 1}


def test_a_question_keeps_its_deadline() -> None:
    """False if a reload gave a user more time, or less."""
    inline = node()
    inline.send("asker", Ask(SECOND))
    inline.advance(SECOND // 2)
    fresh = moved(inline)
    fresh.advance(SECOND // 2 - 1)
    assert fresh.state("asker") == Said()
    fresh.advance(1)
    assert fresh.state("asker") == Said(("time",))


def test_a_message_that_was_seen_is_a_repeat_for_the_new_process() -> None:
    """False if a mark were lost, and a re-sent message ran twice."""
    inline = node()
    inline.send("recorder", Add(1))
    inline.run_until_idle()
    fresh = moved(inline)
    fresh._numbers.clear()
    fresh.send("recorder", Add(1), Add(2))
    fresh.run_until_idle()
    assert fresh.state("recorder") == Seen((1, 2))


def test_tombstones_survive() -> None:
    """False if a name that ended could be born again after a reload."""
    inline = node()
    inline.send("recorder", End())
    inline.run_until_idle()
    fresh = moved(inline)
    fresh.send("recorder", Add(1))
    assert [letter.reason for letter in fresh.report.take_letters()[1]] == ["ended"]


def test_another_family_takes_over_only_if_it_can() -> None:
    """False if an engine went on with code that cannot read its mail or its state."""
    inline = InlineNode(load)
    inline.add("recorder", RECORDER)
    first, *others = take_snapshot(inline.scheduler)
    with pytest.raises(AdoptError):
        read_snapshot([first, *others], "inline", load, {"recorder": "engines_for_tests:COUNTER"}.get)
    with pytest.raises(SnapshotError):
        read_snapshot([first.replace(b"\x02", b"\x03", 1), *others], "inline", load, {}.get)
    assert COUNTER.ref == "engines_for_tests:COUNTER"


def test_a_snapshot_costs_what_its_states_take() -> None:
    """False if what engines of one family have in common is made or written for each of them."""
    inline = InlineNode(load)
    count = 3 * CELLS_PER_PART
    for number in range(count):
        inline.add(f"recorder-{number:04}", RECORDER)
    _, first, *others = take_snapshot(inline.scheduler)
    one_interface = len(encode(RECORDER.interface()))
    assert len(others) == 2
    assert all(len(part) < len(first) - one_interface // 2 for part in others)
    assert RECORDER.interface() is RECORDER.interface()
    assert len(moved(inline).scheduler.cells) == count
