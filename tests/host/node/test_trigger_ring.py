"""The ring of a process's volatile engines: its bounds, and the past that is made of it."""

from __future__ import annotations

from typing import Any

import pytest
from engines_for_tests import ASKER, COUNTER, FORWARDER, KEEPER, SLEEPER, Add, Ask, Fail, Keep, Pass, Throw, Wake
from inline_nodes import InlineNode, node

from engines.model import Arrived, Family, Message, Value, encode, rule
from host.node.mailbox import Mail
from host.node.news import RehearsalResult
from host.node.past import Past, PastEnd, PastEngine, PastTurn, encode_past
from host.node.rehearsal import rehearse
from host.node.ring_past import NOT_REPRODUCED, TOO_LARGE, ring_pasts
from host.node.trigger_ring import HEAD_BYTES, MESSAGE_BYTES_MAX, TriggerRing


def remembering(count_max: int = 1_000, bytes_max: int = 1 << 20) -> InlineNode:
    made = node()
    made.scheduler.turns.ring = TriggerRing(count_max, memoryview(bytearray(HEAD_BYTES + 2 * bytes_max)))
    return made


def past(made: InlineNode, count: int = 1_000) -> list[Past]:
    def no_frames(_: memoryview) -> Mail:
        raise AssertionError("only the cycle in C keeps frames")

    ring = made.scheduler.turns.ring
    assert ring is not None
    return [*ring_pasts(ring, made.scheduler.cells, count, no_frames)]


def turns(found: list[Past]) -> list[PastTurn]:
    return [one for one in found if isinstance(one, PastTurn)]


def again(made: InlineNode) -> dict[str, RehearsalResult]:
    """A rehearsal by the same code."""
    families = {name: cell.family for name, cell in made.scheduler.cells.items()}
    results = rehearse(map(encode_past, [*past(made), PastEnd()]), lambda name, _: families[name])  # type: ignore[arg-type, return-value]
    return {result.engine: result for result in results}


def test_every_kind_of_trigger_is_kept_and_leads_to_the_same_state() -> None:
    """False if a message, a timer, a failure, what is stored, a roll or an answer were lost, or run again otherwise."""
    made = remembering()
    for name, family in {"k": KEEPER, "s": SLEEPER, "a": ASKER, "f": FORWARDER, "n": COUNTER}.items():
        made.add(name, family)
    made.listen("k")
    made.send("k", Add(1), Keep(2), Add(3), Fail("no"), Keep(4), Keep(5), Keep(6), Add(7))
    made.send("s", Wake(10), Add(1))
    made.send("f", Pass("n", 1, 3), Pass("n", 5))  # type: ignore[arg-type]
    made.advance(20)
    made.send("s", Add(2))
    made.send("a", Throw(6), Ask(1_000), Add(1))
    made.run_until_idle()
    assert made.answer("a", "yes") == ""
    made.send("a", Ask(10))
    made.advance(100)
    counts = {name: result.turns for name, result in again(made).items()}
    assert counts == {"k": 8, "s": 4, "a": 4, "f": 2, "n": 4}
    assert all(result.commutes for result in again(made).values())


@pytest.mark.parametrize("sent", [1, 9, 10, 11, 25, 100])
def test_the_last_triggers_are_kept_and_not_many_more(sent: int) -> None:
    """False if the ring had fewer than it must, grew beyond twice as many, or began with another state."""
    made = remembering(count_max=10)
    made.add("e", FORWARDER)
    made.listen("far")
    for number in range(sent):
        made.send("e", Pass("far", number))  # type: ignore[arg-type]
        made.run_until_idle()
    kept = turns(past(made))
    assert min(sent, 10) <= len(kept) <= 20
    assert kept[-1].outputs[0]["message"]["number"] == sent - 1
    begins = past(made, 7)[0]
    assert isinstance(begins, PastEngine)
    assert len(turns(past(made, 7))) == min(sent, 7)
    assert FORWARDER.load(begins.env).state.count == max(0, sent - 7)


def test_the_bytes_of_messages_bound_it_too() -> None:
    """False if long messages took more memory than the ring may have."""
    made = remembering(bytes_max=10_000)
    made.add("e", KEEPER)
    for _ in range(40):
        made.send("e", Fail("x" * 1_000))
        made.run_until_idle()
    assert 8 <= len(turns(past(made))) <= 20


def test_an_engine_with_a_large_message_has_a_past_again_after_a_while() -> None:
    """False if a trigger were left out silently, its neighbours lost their past, or an engine lost it for good."""
    made = remembering(count_max=10)
    made.add("e", KEEPER)
    made.add("n", COUNTER)
    made.send("e", Fail("x" * (2 * MESSAGE_BYTES_MAX)))
    made.send("n", Add(1))
    made.run_until_idle()
    results = again(made)
    assert results["e"].lost == TOO_LARGE
    assert results["n"].turns == 1
    for number in range(22):
        made.send("e", Add(number))
        made.send("n", Add(number))
        made.run_until_idle()
    assert again(made)["e"].turns >= 5


class Tick(Message):
    pass


class Ticks(Value):
    seen: int = 0


CALLS: list[int] = []


@rule
def tick(_tick: Tick, t: Arrived[Tick, None, Ticks]) -> Ticks:
    CALLS.append(1)
    return Ticks(len(CALLS))


UNSTEADY: Family[Any, Any, Any, Any] = Family("unsteady", accepts=Tick, state=Ticks()).rules(tick)


def test_an_engine_that_its_triggers_do_not_lead_to_has_no_past() -> None:
    """False if new code were compared with what the old code never did."""
    made = remembering()
    made.add("e", UNSTEADY)
    made.send("e", Tick(), Tick())
    made.run_until_idle()
    assert again(made)["e"].lost == NOT_REPRODUCED


def test_messages_around_one_that_cannot_be_read_keep_their_times() -> None:
    """False if mail that came together were kept with the payload or the time of its neighbours."""
    made = remembering()
    made.add("k", KEEPER)
    mail = [encode(Add(1)), encode(Keep(2)), b"\xc1torn", encode(Add(4)), encode(Fail("no")), encode(Add(6))]
    made.scheduler.deliver(0, "x", "k", 0, 1, 1, mail)
    made.run_until_idle()
    assert len(turns(past(made))) == 5
    assert again(made)["k"].commutes
