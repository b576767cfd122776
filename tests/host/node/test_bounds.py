"""Bounds of mailboxes, stop and go, and ways to neighbours and to the outside."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from engines_for_tests import (
    ASKER,
    FORWARDER,
    KEEPER,
    LOSSY,
    RECORDER,
    SPLITTER,
    Add,
    Ask,
    Keep,
    Pass,
    Said,
    Seen,
    Split,
)
from hypothesis import given
from hypothesis import strategies as st
from inline_nodes import InlineNode, Unheard, letters, node

from engines.model import Message, Ref, encode
from host.config.spec import MailboxSpec
from host.node.mailbox import LARGE_MAX
from host.node.outbox import WAYS_MAX
from host.node.progress import STANDING, STUCK, UNSENT
from host.node.signals import Signals
from transport.local import Hub
from transport.port import KIND_GO, KIND_STOP

SECOND = 1_000_000_000


def suspended(spec: MailboxSpec, family: Any = ASKER) -> InlineNode:
    """An asker that stands at a choice."""
    inline = node()
    inline.add("asker", family, mailboxes={0: spec})
    inline.send("asker", Ask(SECOND))
    inline.run_until_idle()
    return inline


def test_reject_refuses_the_newest() -> None:
    """False if a bounded mailbox grew, or rejected mail were silent."""
    inline = suspended(MailboxSpec(capacity=3, policy="reject"))
    inline.send("asker", *[Add(n) for n in range(5)])
    inline.answer("asker", "no")
    assert inline.state("asker") == Said(("no", "#0", "#1", "#2"))
    assert [(letter.reason, letter.message) for letter in letters(inline)] == [
        ("mailbox_full", ["Add", 3]),
        ("mailbox_full", ["Add", 4]),
    ]


def test_what_an_engine_never_saw_is_not_handled() -> None:
    """False if an engine that refuses everything looked busy, or its dead letters were counted as parked."""
    inline = suspended(MailboxSpec(capacity=3, policy="reject"))
    cell = inline.scheduler.cells["asker"]
    inline.send("asker", *[Add(n) for n in range(5)])
    inline.run_until_idle()
    assert (cell.handled, cell.received, cell.depth) == (1, 6, 3)
    assert inline.scheduler.tally.received - inline.scheduler.tally.handled == cell.depth
    inline.scheduler.end(cell)
    assert cell.handled == 1
    assert inline.scheduler.tally.received == inline.scheduler.tally.handled


def test_a_burst_through_an_engine_that_keeps_up_breaks_no_bound() -> None:
    """False if a bound acted on mail that never had to wait."""
    inline = node()
    inline.add("recorder", RECORDER, mailboxes={0: MailboxSpec(capacity=3, policy="reject")})
    inline.send("recorder", *[Add(n) for n in range(50)])
    inline.run_until_idle()
    assert len(inline.state("recorder").numbers) == 50
    assert letters(inline) == []


def test_drop_oldest_only_where_the_box_is_lossy() -> None:
    """False if mail were dropped from a mailbox that never agreed to it."""
    for family, kept in ((RECORDER, 5), (LOSSY, 3)):
        inline = node()
        cell = inline.add("e", family, mailboxes={0: MailboxSpec(capacity=3, policy="drop-oldest")})
        cell.notify = lambda: None
        inline.send("e", *[Add(n) for n in range(5)])
        assert cell.depth == kept
        assert [letter.message for letter in letters(inline)] == [["Add", n] for n in range(5 - kept)]


@pytest.mark.parametrize(("given", "bound"), [(None, 3), (0, 0), (2, 2), (5, 5)])
def test_the_node_file_bounds_what_is_stored_else_the_box(given: int | None, bound: int) -> None:
    """False if a node file could not raise or lower a family's bound, or a default of ours overruled the family."""
    inline = node()
    inline.add("keeper", KEEPER, mailboxes={0: MailboxSpec(stored_max=given)})
    inline.send("keeper", *[Keep(n) for n in range(7)])
    inline.run_until_idle()
    env = inline.env("keeper")
    assert [one.message for one in env.mailboxes[0].stored] == [Keep(n) for n in range(bound)]  # type: ignore[union-attr]
    assert [letter.reason for letter in letters(inline)] == ["stored_overflow"] * (7 - bound)


def test_a_bound_of_the_node_file_is_one_engine_s_alone() -> None:
    """False if one engine's bound became that of its whole family, or cost the engine its version."""
    given = node().add("e", KEEPER, mailboxes={0: MailboxSpec(stored_max=5)})
    assert (given.family.ref, given.family.version) == (KEEPER.ref, KEEPER.version)
    assert (given.family.boxes[0].stored_max, given.inboxes[0].stored_max) == (5, 5)
    assert KEEPER.boxes[0].stored_max == 3
    assert node().add("e", KEEPER).inboxes[0].stored_max is None


def test_a_filling_mailbox_stops_its_senders_and_only_them() -> None:
    """False if a sender ran on against a full mailbox, a neighbour stood still, or mail was lost or reordered."""
    inline = suspended(MailboxSpec(capacity=8))
    inline.add("forwarder", FORWARDER)
    inline.add("recorder", RECORDER)
    inline.add("bystander", FORWARDER)
    inline.send("forwarder", *[Pass(Ref("asker"), n) for n in range(300)])
    inline.scheduler.cells["forwarder"].stride = 1
    inline.run_until_idle()
    asker, forwarder = inline.scheduler.cells["asker"], inline.scheduler.cells["forwarder"]
    assert asker.depth >= 6
    assert asker.depth + len(forwarder.held["asker"]) + forwarder.depth == 300
    assert not forwarder.is_runnable
    inline.send("bystander", Pass(Ref("recorder"), 1))
    inline.run_until_idle()
    assert inline.state("recorder") == Seen((1,))
    inline.answer("asker", "yes")
    assert inline.state("asker").words == ("yes", *(f"#{n}" for n in range(300)))
    assert not asker.is_stopping
    assert forwarder.is_runnable
    assert letters(inline) == []


@given(st.sampled_from([("a", "a"), ("a", "b")]))
def test_a_circle_of_full_mailboxes_ends_in_letters_not_in_silence(circle: tuple[str, str]) -> None:
    """False if engines that stop each other stood still for ever, or a mailbox grew without bound."""
    inline = node()
    for name in dict.fromkeys(circle):
        inline.add(name, SPLITTER, mailboxes={0: MailboxSpec(capacity=16)})
    inline.send(circle[0], Split(Ref(circle[1]), 12))
    inline.run_until_idle()
    cells = inline.scheduler.cells.values()
    assert all(cell.depth == 0 and cell.is_runnable for cell in cells)
    counts, _ = inline.report.take_letters()
    assert set(counts) == {"deadlock"}
    assert sum(cell.sent for cell in cells) + 1 == sum(inline.state(cell.name).count for cell in cells)


def test_what_a_neighbour_gets_is_the_object_itself() -> None:
    """False if neighbours in one process paid for the codec, or a foreign class slipped past a mailbox's types."""
    inline = node()
    cell = inline.add("recorder", RECORDER)
    cell.notify = lambda: None
    sender = inline.add("forwarder", FORWARDER)
    message = Add(5)
    assert inline.outbox.try_post(sender, "recorder", 0, message) is None
    assert cell.inboxes[0].batches[0].payloads[0] is message
    twin = msgspec.defstruct("Add", [("number", int)], bases=(Message,), tag="Add")
    assert inline.outbox.try_post(sender, "recorder", 0, twin(6)) is None
    assert cell.inboxes[0].batches[0].payloads[1] == Add(6)
    assert inline.outbox.try_post(sender, "recorder", 0, Unheard("x")) is None
    assert [letter.reason for letter in letters(inline)] == ["type"]


def test_a_listener_outside_gets_what_is_sent_to_its_name() -> None:
    """False if an in-line node had no outside."""
    inline = node()
    heard = inline.listen("out")
    inline.add("forwarder", FORWARDER)
    inline.send("forwarder", Pass(Ref("out"), 1, copies=3))
    inline.run_until_idle()
    assert heard == [Add(1), Add(2), Add(3)]


def large(number: int, size: int = 40_000) -> memoryview:
    """A keep-sake as a link shows a large one."""
    return memoryview(encode(Keep("x" * size + str(number))))


def deliver_large(inline: InlineNode, first_n: int, count: int) -> list[memoryview]:
    """Large messages from slot 7, each in a frame of its own."""
    views = [large(n) for n in range(first_n, first_n + count)]
    for n, view in enumerate(views, first_n):
        inline.scheduler.deliver(7, "far", "asker", 0, 1, n, [view])
    return views


def test_an_engine_that_cannot_run_lets_its_senders_memory_go() -> None:
    """False if one suspended engine kept the memory in which its neighbours' large messages are to come."""
    inline = suspended(MailboxSpec())
    views = deliver_large(inline, 1, 3)
    (inbox,) = inline.scheduler.cells["asker"].inboxes.values()
    assert [batch.payloads for batch in inbox.batches] == [[bytes(view)] for view in views]
    assert all(isinstance(payload, bytes) for batch in inbox.batches for payload in batch.payloads)


def test_some_large_messages_say_stop_as_many_small_ones_do() -> None:
    """False if large mail that waits were bounded by its number alone, which is made for small mail."""
    inline = suspended(MailboxSpec())
    deliver_large(inline, 1, LARGE_MAX - 1)
    cell = inline.scheduler.cells["asker"]
    assert not cell.is_stopping
    deliver_large(inline, LARGE_MAX, 1)
    assert cell.is_stopping
    (inbox,) = cell.inboxes.values()
    while inbox.is_heavy(2):
        inline.scheduler.park()
        assert cell.is_stopping
        inbox.advance(1)
    inline.scheduler.park()
    assert not cell.is_stopping
    assert inbox.depth == LARGE_MAX // 2 - 1


def test_a_go_waits_for_a_lane_that_is_attached_later() -> None:
    """False if a process that takes a slot over said go before it heard of its peers, and they waited for ever."""
    hub, signals, cell = Hub(), Signals(), node().add("recorder", RECORDER)
    link, peer = hub.link(1), hub.link(2)
    peer.attach(1)
    cell.told = frozenset({2, 3})
    signals.go(cell)
    signals.send(link)
    link.attach(2)
    signals.send(link)
    link.flush()
    assert [(frame.kind, frame.target) for frame in peer.drain(10)] == [(KIND_GO, "recorder")]
    assert list(signals.pending) == [(3, "recorder")]
    signals.forget(3)
    assert not signals.pending
    link.close()
    peer.close()


def test_a_stop_that_does_not_leave_does_not_take_the_go_before_it_along() -> None:
    """False if the receiver of a first stop never heard go, because stop and go again met a lane without room."""
    hub, signals, cell = Hub(), Signals(), node().add("recorder", RECORDER)
    link, peer = hub.link(1), hub.link(2)
    link.attach(2)
    peer.attach(1)
    signals.stop(cell, 2)
    signals.send(link)
    signals.go(cell)
    signals.stop(cell, 2)
    signals.go(cell)
    signals.send(link)
    link.flush()
    assert [frame.kind for frame in peer.drain(10)] == [KIND_STOP, KIND_GO]
    link.close()
    peer.close()


def test_a_stream_goes_on_where_it_was_however_many_there_are() -> None:
    """False if an engine with very many receivers made them report messages lost that never were."""
    inline = node()
    cell = inline.add("forwarder", FORWARDER)
    inline.add("busy", RECORDER)
    inline.add("recorder", RECORDER)
    to = [*["busy"] * 5, "recorder", *map(str, range(WAYS_MAX)), "recorder"]
    inline.send("forwarder", *[Pass(Ref(name), 0) for name in to])
    inline.run_until_idle()
    assert len(cell.ways) == WAYS_MAX
    assert cell.ways["recorder", 0].number == 3


def test_messages_that_are_held_are_counted() -> None:
    """False if the control page showed fewer unsent messages than a kill would cost."""
    inline = suspended(MailboxSpec(capacity=8))
    inline.add("forwarder", FORWARDER)
    inline.scheduler.cells["forwarder"].stride = 1
    inline.send("forwarder", *[Pass(Ref("asker"), n) for n in range(20)])
    inline.run_until_idle()
    held = inline.scheduler.cells["forwarder"].held["asker"]
    words = inline.progress.words
    assert (words[UNSENT], words[STANDING]) == (len(held), 1)
    assert len(held) > 0
    inline.answer("asker", "yes")
    inline.run_until_idle()
    assert (words[UNSENT], words[STANDING], words[STUCK]) == (0, 0, 0)
