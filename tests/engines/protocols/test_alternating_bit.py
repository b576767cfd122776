"""Alternating bit: with channels that keep order, and on networks without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from exploring import all_hold, checked, violation

from engines.model.system import BadSystemError
from engines.protocols.alternating_bit import SYSTEM


class Plain(NamedTuple):
    """A state of the plain model: queues hold numbers, `there` and `back` are what a channel rolls its die for."""

    phase: str = "new"
    left: int = 0
    number: int = 0
    resends: int = 0
    expected: int = 0
    delivered: int = 0
    sent: tuple[tuple[int, int], ...] = ()
    there: tuple[tuple[int, int], ...] = ()
    received: tuple[tuple[int, int], ...] = ()
    answered: tuple[tuple[int, int], ...] = ()
    back: tuple[tuple[int, int], ...] = ()
    confirmed: tuple[tuple[int, int], ...] = ()


def by_sender(state: Plain, items: int, resends_max: int) -> Iterator[Plain]:
    """What the sender can do. Frames are pairs of a number and an item, acknowledgements the same."""
    frame = (state.number, items - state.left)
    if state.phase == "new":
        yield state._replace(phase="run", sent=(frame,))
    if state.phase == "run" and state.left:
        if state.resends < resends_max:
            yield state._replace(resends=state.resends + 1, sent=(*state.sent, frame))
        else:
            yield state._replace(phase="ended", confirmed=())
    if state.confirmed:
        after = state._replace(confirmed=state.confirmed[1:])
        if state.left and state.confirmed[0][0] == state.number:
            number, left = 1 - state.number, state.left - 1
            more = ((number, items - left),) if left else ()
            after = after._replace(left=left, number=number, resends=0, sent=(*after.sent, *more))
        yield after


def by_others(state: Plain) -> Iterator[Plain]:
    """What receiver and channels can do."""
    if state.received:
        number, item = state.received[0]
        after = state._replace(received=state.received[1:], answered=(*state.answered, (number, 0)))
        if number == state.expected:
            assert item == state.delivered, "the plain model is wrong"
            after = after._replace(expected=1 - number, delivered=item + 1)
        yield after
    for channel, queue, end in (("there", "sent", "received"), ("back", "answered", "confirmed")):
        rolls, waits = getattr(state, channel), getattr(state, queue)
        if not rolls and waits:
            yield state._replace(**{channel: waits[:1], queue: waits[1:]})
        for copies in range(3) if rolls else ():
            is_lost = end == "confirmed" and state.phase == "ended"
            filled = getattr(state, end) + (() if is_lost else rolls * copies)
            yield state._replace(**{channel: (), end: filled})


def plainly(items: int, resends_max: int) -> int:
    """How many states the plain model has, with channels that keep order."""
    seen = {Plain(left=items)}
    todo = list(seen)
    while todo:
        state = todo.pop()
        for after in (*by_sender(state, items, resends_max), *by_others(state)):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return len(seen)


@pytest.mark.parametrize(
    ("items", "resends_max", "states"),
    [
        (1, 1, 290),
        pytest.param(2, 1, 3_322, marks=pytest.mark.storm),
        pytest.param(3, 1, 6_354, marks=pytest.mark.storm),
        pytest.param(3, 2, 42_259, marks=pytest.mark.storm),
    ],
)
def test_channels_that_keep_order_need_two_numbers(items: int, resends_max: int, states: int) -> None:
    """False if an item could come twice, too early, or never while the sender takes it for delivered, or a run hang; or
    if the families could do anything but what the plain model says."""
    report = checked("alternating_bit", items=items, resends_max=resends_max)
    assert all_hold(report)
    assert report.found.counts.states == states == plainly(items, resends_max)


@pytest.mark.parametrize(
    ("network", "resends_max", "states"),
    [("unordered", 1, 114), ("lossy", 1, 220), ("lossy", 2, 1_384), ("duplicating", 1, 20)],
)
def test_more_numbers_than_items_need_no_order(network: str, resends_max: int, states: int) -> None:
    """False if three items with four numbers could come in disorder, twice, or not at all."""
    report = checked("alternating_bit", network=network, resends_max=resends_max, numbers=4)
    assert all_hold(report)
    assert report.found.counts.states == states


def test_the_careless_receiver_delivers_a_copy() -> None:
    """False if the seeded bug were not found, or by a longer way than it needs."""
    assert violation(checked("alternating_bit", bug="careless")) == (
        "always in_order_once",
        ["sender: transfer", "there: carry asks Roll(3, timeout_ns=None)", "there: 3: carry"]
        + ["receiver: deliver_all"] * 2,
    )


@pytest.mark.parametrize(
    ("network", "items", "numbers", "steps"),
    [
        ("duplicating", 2, 2, 5),
        ("duplicating", 3, 3, 7),
        ("unordered", 2, 2, 6),
        ("lossy", 2, 2, 6),
        ("lossy", 3, 3, 8),
    ],
)
def test_without_order_there_must_be_more_numbers_than_items(
    network: str, items: int, numbers: int, steps: int
) -> None:
    """False if an old frame whose number is expected again were never taken for a new one, or later than it can be."""
    name, way = violation(checked("alternating_bit", network=network, items=items, numbers=numbers))
    assert name == "always in_order_once"
    assert len(way) == steps
    assert way[-1] == "receiver: deliver"


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"items": 0}, "items is 0; it must be at least 1"),
        ({"numbers": 0}, "numbers is 0; it must be at least 1"),
        ({"resends_max": -1}, "resends_max is -1; it must be at least 0"),
        ({"network": "fast"}, "network is 'fast'; it must be one of unordered, ordered, lossy, duplicating"),
        ({"bug": "lazy"}, "bug is 'lazy'; it must be one of careless"),
    ],
)
def test_parameters_that_make_no_system(params: dict[str, Any], complaint: str) -> None:
    """False if a parameter that makes no sense gave some other system, or an error from deep inside."""
    with pytest.raises(BadSystemError) as raised:
        SYSTEM(**params)
    assert str(raised.value) == complaint
