"""Histories of calls: the testers against the definitions read word by word, and histories from the literature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model.history import (
    CallHistory,
    HistoryError,
    Operation,
    Reference,
    is_linearizable,
    is_sequentially_consistent,
    linearization,
    sequential_order,
)
from engines.model.map import Map
from engines.model.objects import Dequeue, Enqueue, Read, Write, queue, register
from engines.model.values import Decoder, encode

Event = tuple[str, Any, bool]
"""Client; operation or result; whether it is an invocation."""


def call(client: str, operation: Operation) -> Event:
    return (client, operation, True)


def ret(client: str, result: Any = None) -> Event:
    return (client, result, False)


def done(client: str, operation: Operation, result: Any = None) -> tuple[Event, Event]:
    return (call(client, operation), ret(client, result))


def recorded(events: Sequence[Event]) -> CallHistory[Any, Any]:
    history: CallHistory[Any, Any] = CallHistory()
    for client, what, is_call in events:
        history = history.invoked(client, what) if is_call else history.returned(client, what)
    return history


# The definitions, word by word, over events in the order of time.

Calls = list[tuple[str, Any, Any, int, float]]
"""Client, operation, result, and when it was invoked and returned (infinity: it has not)."""


def calls_of(events: Sequence[Event]) -> Calls:
    found: Calls = []
    for time, (client, what, is_call) in enumerate(events):
        if is_call:
            found.append((client, what, None, time, float("inf")))
        else:
            place = max(place for place, one in enumerate(found) if one[0] == client)
            found[place] = (client, found[place][1], what, found[place][3], time)
    return found


def is_legal(order: Sequence[Any], reference: Reference) -> bool:
    """Whether the object gives the results recorded, of calls that have returned."""
    state = reference.start
    for _, operation, result, _, returned in order:
        state, given = reference.apply(state, operation)
        if returned != float("inf") and given != result:
            return False
    return True


def by_definition(events: Sequence[Event], reference: Reference, in_real_time: bool) -> bool:
    """Whether some order of all calls that returned, and some that did not, is legal and respects what must precede."""

    def precedes(one: Any, other: Any) -> bool:
        return bool(one[4] < other[3]) and (in_real_time or one[0] == other[0])

    calls = calls_of(events)
    complete = [one for one in calls if one[4] != float("inf")]
    pending = [one for one in calls if one[4] == float("inf")]
    chosen = chain.from_iterable(combinations(pending, count) for count in range(len(pending) + 1))
    return any(
        is_legal(order, reference)
        for some in chosen
        for order in permutations([*complete, *some])
        if not any(precedes(late, early) for early, late in combinations(order, 2))
    )


@st.composite
def histories(draw: st.DrawFn, operations: Sequence[Operation], results: Callable[[Operation], Any]) -> list[Event]:
    """Up to five calls of three clients, overlapping anyhow, with any results."""
    events: list[Event] = []
    waiting: dict[str, Operation] = {}
    left = draw(st.integers(0, 5))
    while left or waiting:
        if not left and draw(st.booleans()):
            break
        client = draw(st.sampled_from("abc" if left else sorted(waiting)))
        if client in waiting:
            events.append(ret(client, draw(results(waiting.pop(client)))))
        else:
            waiting[client] = draw(st.sampled_from(operations))
            events.append(call(client, waiting[client]))
            left -= 1
    return events


def register_results(operation: Operation) -> Any:
    return st.sampled_from(["", "x", "y"]) if isinstance(operation, Read) else st.none()


def queue_results(operation: Operation) -> Any:
    return st.sampled_from([None, "x", "y"]) if isinstance(operation, Dequeue) else st.none()


OF_REGISTER: Decoder[CallHistory[Write | Read, str | None]] = Decoder(CallHistory[Write | Read, str | None])

of_register = histories([Write("x"), Write("y"), Read()], register_results)
of_queue = histories([Enqueue("x"), Enqueue("y"), Dequeue()], queue_results)
cases = st.tuples(of_register, st.just(register(""))) | st.tuples(of_queue, st.just(queue()))


@settings(max_examples=200)
@given(cases)
def test_the_testers_are_the_definitions(case: tuple[list[Event], Reference]) -> None:
    """False if a tester accepted a history that no order explains, or refused one that some order does."""
    events, reference = case
    history = recorded(events)
    assert is_linearizable(history, reference) == by_definition(events, reference, True)
    assert is_sequentially_consistent(history, reference) == by_definition(events, reference, False)


@given(cases)
def test_an_order_that_is_given_is_one(case: tuple[list[Event], Reference]) -> None:
    """False if the order given as the reason were not what the object does, or left out a call that returned."""
    events, reference = case
    history = recorded(events)
    for order in (linearization(history, reference), sequential_order(history, reference)):
        if order is None:
            continue
        state = reference.start
        for operation, result in order:
            state, given = reference.apply(state, operation)
            assert given == result
        left = list(order)
        for answer in history.results():
            left.remove(answer)
        assert len(left) <= sum(calls.pending is not None for calls in history.clients)


@given(cases)
def test_what_is_linearizable_is_sequentially_consistent(case: tuple[list[Event], Reference]) -> None:
    """False if the stronger condition did not imply the weaker one."""
    history, reference = recorded(case[0]), case[1]
    assert not is_linearizable(history, reference) or is_sequentially_consistent(history, reference)


@given(cases, st.data())
def test_a_beginning_of_a_linearizable_history_is_one(case: tuple[list[Event], Reference], data: st.DataObject) -> None:
    """False if linearizability were no safety property: what is wrong once could become right later."""
    events, reference = case
    beginning = events[: data.draw(st.integers(0, len(events)))]
    assert not is_linearizable(recorded(events), reference) or is_linearizable(recorded(beginning), reference)


@given(of_register)
def test_histories_are_values(events: list[Event]) -> None:
    """False if a history did not survive the codec, were no key, or one operation had the bytes of another."""
    history = recorded(events)
    again = OF_REGISTER.decode(encode(history))
    assert (again, hash(again)) == (history, hash(history))
    assert encode(again) == encode(history)
    assert encode(Write("x")) != encode(Enqueue("x"))


def test_the_order_of_concurrent_events_leaves_no_mark() -> None:
    """False if two runs that differ only in the order of two calls, or of two returns, had different histories."""
    a, b = (call("a", Write("x")), ret("a")), (call("b", Read()), ret("b", ""))
    assert recorded([a[0], b[0], a[1], b[1]]) == recorded([b[0], a[0], b[1], a[1]])
    assert recorded([*a, *b]) != recorded([a[0], b[0], a[1], b[1]])


def test_what_no_client_can_do_is_said() -> None:
    """False if a client with two calls at once, or with an answer to none, were judged like any other."""
    twice = recorded([call("a", Read()), call("a", Write("x"))])
    nothing = recorded([*done("a", Read(), ""), ret("a", "x"), call("b", Read())])
    with pytest.raises(HistoryError, match=r"a calls Write\(value='x'\) before Read\(\) has returned"):
        is_linearizable(twice, register(""))
    with pytest.raises(HistoryError, match="'x' returns to a, which waits for nothing"):
        is_sequentially_consistent(nothing, register(""))
    assert nothing.calls("b").count == 0


class WriteTo(Operation):
    """To one of several registers."""

    name: str
    value: Any


class ReadFrom(Operation):
    """As `Read`, of one of several registers."""

    name: str


class OfQueue(Operation):
    """What is asked of one of several queues."""

    name: str
    operation: Enqueue | Dequeue


def _registers(state: Map[str, Any], operation: WriteTo | ReadFrom) -> tuple[Map[str, Any], Any]:
    if isinstance(operation, WriteTo):
        return state.set(operation.name, operation.value), None
    return state, state.get(operation.name, 0)


def _queues(state: Map[str, Any], operation: OfQueue) -> tuple[Map[str, Any], Any]:
    values, result = queue().apply(state.get(operation.name, ()), operation.operation)
    return state.set(operation.name, values), result


REGISTERS, QUEUES = Reference(Map(), _registers), Reference(Map(), _queues)


def flat(*parts: Any) -> list[Event]:
    def events(part: Any) -> Iterator[Event]:
        if part and isinstance(part[0], tuple):
            for one in part:
                yield from events(one)
        else:
            yield part

    return [event for part in parts for event in events(part)]


enq, deq = Enqueue, Dequeue()
LITERATURE: dict[str, tuple[list[Event], Reference, bool, bool]] = {
    # M. Herlihy and J. Wing (1990), figure 1: histories of a queue.
    "H1: overlapping enqueues may be dequeued in either order": (
        flat(call("a", enq("x")), call("b", enq("y")), ret("b"), ret("a"), done("b", deq, "y"), done("a", deq, "x")),
        queue(),
        True,
        True,
    ),
    "H2: x was enqueued before y, and y is dequeued first by the same client": (
        flat(done("a", enq("x")), done("b", enq("y")), done("a", deq, "y")),
        queue(),
        False,
        True,
    ),
    "H3: an enqueue may take effect before it returns": (
        flat(call("a", enq("x")), done("b", deq, "x"), ret("a")),
        queue(),
        True,
        True,
    ),
    "H4: what was enqueued once is dequeued twice": (
        flat(done("a", enq("x")), call("b", enq("y")), done("a", deq, "y"), done("c", deq, "y"), ret("b")),
        queue(),
        False,
        False,
    ),
    # The same paper, section 3.3: each queue alone is sequentially consistent, both together are not.
    "two queues: each alone is sequentially consistent, both are not": (
        flat(
            done("a", OfQueue("p", enq("x"))),
            done("b", OfQueue("q", enq("y"))),
            done("a", OfQueue("q", enq("x"))),
            done("b", OfQueue("p", enq("y"))),
            done("a", OfQueue("p", deq), "y"),
            done("b", OfQueue("q", deq), "x"),
        ),
        QUEUES,
        False,
        False,
    ),
    # L. Lamport (1979): mutual exclusion by two flags; neither client may miss the other's.
    "store buffering: both write, then read the other's register, and both find nothing": (
        flat(
            done("a", WriteTo("x", 1)),
            done("b", WriteTo("y", 1)),
            done("a", ReadFrom("y"), 0),
            done("b", ReadFrom("x"), 0),
        ),
        REGISTERS,
        False,
        False,
    ),
    "independent reads of independent writes in two orders": (
        flat(
            call("a", WriteTo("x", 1)),
            call("b", WriteTo("y", 1)),
            done("c", ReadFrom("x"), 1),
            done("d", ReadFrom("y"), 1),
            done("c", ReadFrom("y"), 0),
            done("d", ReadFrom("x"), 0),
        ),
        REGISTERS,
        False,
        False,
    ),
    # L. Lamport, "On interprocess communication" (1986): what a regular register may do, and an atomic one may not.
    "new-old inversion by two readers": (
        flat(call("a", Write("x")), done("b", Read(), "x"), done("c", Read(), ""), ret("a")),
        register(""),
        False,
        True,
    ),
    "new-old inversion by one reader": (
        flat(call("a", Write("x")), done("b", Read(), "x"), done("b", Read(), ""), ret("a")),
        register(""),
        False,
        False,
    ),
    "a stale read: the write has returned": (
        flat(done("a", Write("x")), done("b", Read(), "")),
        register(""),
        False,
        True,
    ),
    "a write that never returns is read, then overwritten": (
        flat(call("a", Write("x")), done("b", Read(), "x"), done("b", Write("y")), done("c", Read(), "y")),
        register(""),
        True,
        True,
    ),
    "a write that never returns cannot take effect twice": (
        flat(call("a", Write("x")), done("b", Read(), "x"), done("b", Write("y")), done("c", Read(), "x")),
        register(""),
        False,
        True,
    ),
    "a value that nobody wrote": (flat(done("b", Read(), "z")), register(""), False, False),
}


@pytest.mark.parametrize("name", LITERATURE)
def test_histories_from_the_literature(name: str) -> None:
    """False if a tester said otherwise of a history than its source (or its title) does."""
    events, reference, is_atomic, is_sequential = LITERATURE[name]
    history = recorded(events)
    assert (is_linearizable(history, reference), is_sequentially_consistent(history, reference)) == (
        is_atomic,
        is_sequential,
    )


def test_each_queue_alone_is_sequentially_consistent() -> None:
    """False if the history of two queues above showed nothing: one of them alone would be wrong already."""
    events, *_ = LITERATURE["two queues: each alone is sequentially consistent, both are not"]
    for name in ("p", "q"):
        history: CallHistory[Any, Any] = CallHistory()
        asked: dict[str, str] = {}
        for client, what, is_call in events:
            if is_call:
                asked[client] = what.name
            if asked[client] == name:
                history = history.invoked(client, what.operation) if is_call else history.returned(client, what)
        assert is_sequentially_consistent(history, queue())


def test_the_search_takes_each_point_once() -> None:
    """False if twelve writes at once, which half a billion orders explain, were tried order by order."""
    clients = [f"c{n:02}" for n in range(12)]
    events = [call(one, Write("x")) for one in clients] + [ret(one) for one in clients]
    assert is_linearizable(recorded(events), register(""))
    assert not is_linearizable(recorded([*events, *done("d", Read(), "y")]), register(""))
