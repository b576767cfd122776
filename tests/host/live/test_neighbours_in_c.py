"""Mail between engines of one slot in cycles in C: `host/live/cycle/neighbours.h`."""

from __future__ import annotations

from typing import Any

import pytest
from cycle_worlds import FAMILIES, Step, World, scripts, world
from engines_for_tests import SPLITTER, Split
from family_inputs import configured
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.examples.ping_pong import PLAYER, Ping
from engines.model import Arrived, Box, Effects, Family, Message, Ref, Send, Value, rule, view
from host.node.past import Past, PastEngine, PastLost, PastTurn
from host.node.progress import PARKED, UNSENT
from host.node.trigger_ring import HEAD_BYTES, TriggerRing
from transport.native import native_available, native_reason

pytestmark = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")

AnyFamily = Family[Any, Any, Any, Any]
Stream = tuple[str, str, int]
"""Sender, target, mailbox."""


def streams(past: list[Past], families: dict[str, AnyFamily]) -> tuple[dict[Stream, list[Any]], ...]:
    """What the engines sent, and what they handled of senders that have names, as plain data."""
    sent, handled, name = dict[Stream, list[Any]](), dict[Stream, list[Any]](), ""
    for one in past:
        if isinstance(one, PastEngine):
            name = one.name
        elif isinstance(one, PastTurn):
            if one.message is not None:
                message = families[name].boxes[one.mailbox].decode(one.message)
                handled.setdefault((one.sender, name, one.mailbox), []).append(view(message))
            for output in one.outputs:
                if "to" in output:
                    sent.setdefault((name, output["to"], output["mailbox"]), []).append(output["message"])
    return sent, handled


@pytest.mark.storm
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_message_comes_once_and_in_order(family: AnyFamily) -> None:
    """False if a message between two engines of a slot were lost, doubled, or out of order, if a transition came out
    otherwise than by `step`, or if what the engines sent to other slots did not arrive there."""

    @settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(data=st.data())
    def play(data: st.DataObject) -> None:
        params = data.draw(configured(family), label="params")
        script = data.draw(scripts(family, ("e", "f")), label="script")
        with world(family, params, True, engines=("e", "f"), ring=10_000) as made:
            arrived, buried = dict[Stream, int](), set[Stream]()
            for step in script:
                _, _, letters, _, _, frames, *_ = made.play(step)
                buried |= {(one.sender, one.target, one.mailbox) for one in letters if one.reason != "failed"}
                for (sender, target, mailbox, _), payloads in frames.items():
                    arrived[sender, target, mailbox] = arrived.get((sender, target, mailbox), 0) + len(payloads)
            past, cells = made.past(), made.worker.scheduler.cells
            assert not any(isinstance(one, PastLost) for one in past)
            sent, handled = streams(past, {name: cell.family for name, cell in cells.items()})
            for stream in (sent.keys() | handled.keys()) - buried:
                sender, target, _ = stream
                both = sender in cells and target in cells
                if both and not cells[target].depth and target not in cells[sender].held:
                    assert repr(sent.get(stream)) == repr(handled.get(stream))
            assert all(len(sent[stream]) == count for stream, count in arrived.items() if stream[0] in cells)

    play()


def rally(turns: int) -> Step:
    return Step(0, "p", 0, [Ping(0, turns, Ref("f"))])


def test_a_conversation_of_neighbours_stays_in_c() -> None:
    """False if each message of two engines in one process took a cycle in Python."""
    with world(PLAYER, {}, True, engines=("e", "f"), ring=10_000) as made:
        made.play(rally(1))  # a first message is Python's: it opens the way
        handled = made.worker.scheduler.tally.handled
        before = made.in_c
        made.play(rally(500))
        assert made.worker.scheduler.tally.handled - handled >= 500
        assert made.in_c - before >= 500


class Burst(Message):
    """Send `count` numbers to `to`."""

    to: str
    count: int


class Number(Message):
    number: int


class Seen(Value):
    numbers: tuple[int, ...] = ()


@rule
def burst(m: Burst, t: Arrived[Burst, None, Seen]) -> Effects[Seen, Number]:
    return [Send(Ref[Number](m.to), Number(number)) for number in range(m.count)]


@rule
def see(m: Number, t: Arrived[Number, None, Seen]) -> Effects[Seen, Number]:
    if m.number == 13:
        raise ValueError("thirteen")
    return Seen((*t.env.state.numbers, m.number))


BURSTING: AnyFamily = Family("bursting", accepts=Burst | Number, emits=Number, state=Seen()).rules(burst, see)


def numbers(made: World, name: str) -> list[int]:
    return [*made.worker.scheduler.cells[name].env.state.numbers]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 200, 600])
@pytest.mark.parametrize("to", ["e", "f"])
def test_bursts_keep_their_order_and_a_failure_takes_one_message(to: str, count: int) -> None:
    """False if C and Python, which take turns here, changed an order, or an exception cost a neighbour's message."""
    expected = [number for number in range(count) if number != 13]
    with world(BURSTING, {}, True, engines=("e", "f")) as made:
        letters = []
        for round_number in range(1, 4):
            letters += made.play(Step(0, "p", 0, [Burst(to, count)]))[2]
            assert numbers(made, to) == expected * round_number
        failed = [letter for letter in letters if letter.reason == "failed"]
        assert [(one.sender, one.target) for one in failed] == [("e", to)] * (3 if count > 13 else 0)
        tally = made.worker.scheduler.tally
        assert tally.received == tally.handled == 3 * (count + 1)
        assert sum(cell.sent for cell in made.worker.scheduler.cells.values()) == tally.sent == 3 * count


def test_outputs_that_c_leaves_to_python_are_shown_as_unsent() -> None:
    """False if a kill before Python sends them would cost messages that the control page does not count."""
    with world(BURSTING, {}, True, engines=("e", "f")) as made:
        made.play(Step(0, "p", 0, [Burst("f", 1)]))
        made.send(Step(0, "p", 0, [Burst("f", 2), Burst("nobody", 3), Burst("f", 4)]))
        assert made.worker._common() == []
        scheduler = made.worker.scheduler
        assert scheduler.cells["f"].depth == scheduler._words[PARKED] == 2
        assert sum(len(outputs) for _, outputs in scheduler.turns.outputs) == scheduler._words[UNSENT] == 7


def test_python_and_c_give_the_same_to_a_neighbour_that_is_held() -> None:
    """False if an engine whose output waits for an answer of the node handled mail meanwhile."""
    with world(SPLITTER, {}, True) as fast, world(SPLITTER, {}, False) as plain:
        for made in (fast, plain):
            made.play(Step(0, "p", 0, [Split(Ref("e"), 3)]))
        order = Step(0, "p", 0, [Split(Ref("e"), 2), Split(Ref("nobody"), 1), Split(Ref("e"), 2)])
        assert fast.play(order) == plain.play(order)


class Make(Message):
    to: str
    size: int


class Large(Message):
    data: bytes


class Count(Value):
    count: int = 0


@rule
def make(m: Make, t: Arrived[Make, None, Count]) -> Effects[Count, Large]:
    return Send(Ref[Large](m.to), Large(bytes(m.size)))


@rule
def count_large(m: Large, t: Arrived[Large, None, Count]) -> Effects[Count, Large]:
    return Count(t.env.state.count + 1)


MAKING: AnyFamily = Family("making", accepts=Make | Large, emits=Large, state=Count()).rules(make, count_large)


def test_large_messages_of_neighbours_cost_only_their_engines_the_past() -> None:
    """False if messages that are too large for the ring of triggers dropped what it has of other engines."""
    with world(MAKING, {}, True, engines=("e", "f", "g", "h"), ring=10_000) as made:
        for name, size in [("h", 10), ("f", 3 << 20), ("g", 3 << 20), ("f", 3 << 20), ("g", 3 << 20), ("h", 10)]:
            made.play(Step(0, "p", 0, [Make(name, size)]))
        past = made.past()
        assert {one.name for one in past if isinstance(one, PastLost)} == {"f", "g"}
        assert sum(isinstance(one, PastTurn) for one in past) == 6 + 2
        assert made.in_c > 6


def test_frames_that_no_half_of_the_ring_has_room_for_leave_it_as_it_is() -> None:
    """False if a frame larger than half of the ring dropped what the ring has of other engines."""
    with world(MAKING, {}, True, engines=("e", "g", "h")) as made:
        made.worker.scheduler.turns.ring = TriggerRing(100, memoryview(bytearray(HEAD_BYTES + 2 * 4096)))
        made.use(None)
        for name in ("e", "g", "h"):
            made.play(Step(0, "p", 0, [Large(b"")], name))  # the first one of a stream is Python's
        for name in ("e", "g", "e", "g", "h"):
            made.play(Step(0, "p", 0, [Large(bytes(10 if name == "h" else 6000))], name))
        past = made.past()
        assert {one.name for one in past if isinstance(one, PastLost)} == {"e", "g"}
        assert sum(isinstance(one, PastTurn) for one in past) == 2
        assert made.in_c == 5


class Circle(Message):
    to: str


class Ask(Message):
    pass


class Asked(Value):
    count: int = 0


@rule
def circle(m: Circle, t: Arrived[Circle, None, Asked]) -> Effects[Asked, Circle]:
    return Send(Ref[Circle](m.to), m)


@rule
def asked(m: Ask, t: Arrived[Ask, None, Asked]) -> Effects[Asked, Circle]:
    return Asked(t.env.state.count + 1)


BOXES = [Box(0, accepts=Circle), Box(1, accepts=Ask)]
IN_C: AnyFamily = Family("in_c", accepts=Circle | Ask, emits=Circle, state=Asked()).rules(circle, asked)
IN_PYTHON: AnyFamily = Family("in_python", accepts=Circle | Ask, boxes=BOXES, emits=Circle, state=Asked()).rules(
    circle, asked
)


@pytest.mark.parametrize(
    ("family", "mailbox", "engines", "circles"),
    [(IN_C, 0, "e", 1), (IN_C, 0, "efgh", 700), (IN_PYTHON, 1, "e", 1), (IN_PYTHON, 1, "efgh", 700)],
)
def test_mail_from_elsewhere_is_taken_beside_neighbours_that_never_rest(
    family: AnyFamily, mailbox: int, engines: str, circles: int
) -> None:
    """False if messages that engines send each other for ever kept out what waits in the lanes: many of them, or of
    engines whose mail is Python's."""
    with world(family, {}, True, engines=tuple(engines), tick_ns=100) as made:
        for name in engines:
            made.send(Step(0, "p", 0, [Circle(name)] * circles, name))
            made.go_on()
        for name in engines:
            made.send(Step(0, "p", mailbox, [Ask()], name))
        cells, tally = made.worker.scheduler.cells, made.worker.scheduler.tally
        assert any(made.go_on() and all(cells[name].env.state.count for name in engines) for _ in range(50))
        assert tally.received - tally.handled == len(engines) * circles


def test_a_broken_lane_keeps_nothing_of_neighbours_back() -> None:
    """False if outputs of a cycle that found a lane broken left after later ones, or what it did was not counted."""
    with world(IN_C, {}, True, engines=("e", "f"), tick_ns=100) as made:
        made.send(Step(0, "p", 0, [Circle("f")]))
        cells, tally = made.worker.scheduler.cells, made.worker.scheduler.tally
        assert any(made.go_on() and cells["f"].handled > 1 for _ in range(10))
        made.send(Step(0, "q", 0, [Circle("broken")]))
        made.damage(b"broken")
        handled, sent = tally.handled, tally.sent
        made.go_on()
        assert tally.handled > handled
        assert tally.sent - sent == tally.handled - handled
        assert tally.received - tally.handled == cells["f"].depth == 1
