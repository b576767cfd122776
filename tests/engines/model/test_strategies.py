"""Which rules run when several hold: five strategies, priorities, and the order they are listed in."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import (
    AnswerError,
    Arrived,
    Become,
    Committed,
    Configuration,
    Delivery,
    Failed,
    Family,
    Map,
    Message,
    Roll,
    Rule,
    Stop,
    Stopped,
    Stored,
    Suspended,
    Value,
    birth,
    step,
)

STRATEGIES = ("first", "last", "all", "one", "unique")
ME = Configuration("node", "me")


class Go(Message):
    holds: tuple[str, ...]
    """The names of the rules that hold."""


class Trail(Value):
    names: tuple[str, ...] = ()


Gone = Arrived[Go, None, Trail]


def a_rule(name: str, priority: int = 0, ends: bool = False) -> Rule[Any, Any, Any, Any]:
    """A rule that holds when the message names it, and writes its name behind what it finds in the state."""

    def guard(t: Gone) -> str | None:
        return name if name in t.message.holds else None

    def action(match: str, t: Gone) -> Any:
        grown = Become(Trail((*t.env.state.names, match)))
        return [grown, Stop()] if ends else grown

    return Rule(action, guard, priority, name=name)


def family(strategy: Any, *rules: Rule[Any, Any, Any, Any]) -> Any:
    return Family("strategic", accepts=Go, state=Trail(), strategy=strategy).rules(*rules)


def go(made: Any, holds: str, answers: tuple[Any, ...] = ()) -> Any:
    env = birth(made, ME, now_ns=0)
    return step(made, ME, env, Delivery("x", 0, Go(tuple(holds))), 0, answers)


OVERLAPPING = (a_rule("p"), a_rule("q"), a_rule("r"), a_rule("s", priority=1), a_rule("t", priority=1))

TABLE = [
    # holds, first, last, all, one (of how many), unique
    ("pqr", "p", "r", "pqr", 3, None),
    ("qr", "q", "r", "qr", 2, None),
    ("r", "r", "r", "r", 1, "r"),
    ("qst", "q", "q", "q", 1, "q"),
    ("st", "s", "t", "st", 2, None),
    ("t", "t", "t", "t", 1, "t"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_three_overlapping_rules_and_two_of_a_higher_number(row: Any) -> None:
    """If false, a strategy runs other rules than it says, or a higher priority number takes part."""
    holds, first, last, every, sides, unique = row
    for strategy, expected in (("first", first), ("last", last), ("all", every)):
        outcome = go(family(strategy, *OVERLAPPING), holds)
        assert outcome.labels == tuple(expected)
        assert outcome.env.state.names == tuple(expected)
    outcome = go(family("one", *OVERLAPPING), holds)
    assert outcome.labels == tuple(holds[0]) if sides == 1 else outcome == Suspended(Roll(sides))
    for side in range(1, sides + 1 if sides > 1 else 1):
        assert go(family("one", *OVERLAPPING), holds, (side,)).labels == (holds[side - 1],)
    outcome = go(family("unique", *OVERLAPPING), holds)
    assert isinstance(outcome, Failed) if unique is None else outcome.labels == (unique,)


@given(st.sets(st.sampled_from("pqrst")), st.sampled_from(STRATEGIES), st.permutations(range(5)))
def test_reordering_rules_of_different_priorities_changes_nothing(holds: set[str], strategy: Any, places: Any) -> None:
    """If false, a rule's place in the list matters beyond its own priority number."""
    ranked = [a_rule(name, priority) for priority, name in enumerate("pqrst")]
    straight = go(family(strategy, *ranked), "".join(sorted(holds)))
    shuffled = go(family(strategy, *(ranked[place] for place in places)), "".join(sorted(holds)))
    assert straight == shuffled
    assert isinstance(straight, Stored) == (not holds)


def test_disjoint_rules_may_be_listed_in_any_order() -> None:
    """If false, rules that never hold together still depend on their order."""
    for strategy in STRATEGIES:
        results = {go(family(strategy, *order), "q").env.state for order in permutations(OVERLAPPING[:3])}
        assert results == {Trail(("q",))}


def test_all_stops_where_a_rule_ends_the_engine() -> None:
    """If false, rules run in an engine that has ended."""
    outcome = go(family("all", a_rule("p"), a_rule("q", ends=True), a_rule("r")), "pqr")
    assert outcome.labels == ("p", "q")
    assert outcome.outputs == (Stopped(),)


def test_all_sees_in_its_guards_what_the_previous_rule_left() -> None:
    """If false, a guard decides on an environment that is no more."""

    def empty(t: Gone) -> bool | None:
        return True if not t.env.state.names else None

    def fill(match: bool, t: Gone) -> Trail:
        return Trail(("filled",))

    rules: list[Rule[Any, Any, Any, Any]] = [Rule(fill, empty, name="one"), Rule(fill, empty, name="two")]
    assert go(family("all", *rules), "").labels == ("one",)


def test_a_second_action_that_raises_undoes_the_first() -> None:
    """If false, an environment is not replaced as a whole."""

    def fail(match: str, t: Gone) -> Trail:
        raise ZeroDivisionError

    def holds(t: Gone) -> str | None:
        return "z"

    made = family("all", a_rule("p"), Rule(fail, holds, name="z"))
    env = birth(made, ME, now_ns=0)
    assert isinstance(go(made, "p"), Failed)
    assert env == birth(made, ME, now_ns=0)


@pytest.mark.parametrize("answers", [(0,), (4,), ("p",), (None,), (1, 1)])
def test_an_answer_no_die_gives_is_refused(answers: tuple[Any, ...]) -> None:
    """If false, a forged answer decides which rule runs."""
    with pytest.raises(AnswerError):
        go(family("one", *OVERLAPPING), "pqr", answers)


def test_a_guard_gives_the_same_answer_twice_and_cannot_have_effects() -> None:
    """If false, a guard's result depends on more than its trigger, or a list of effects from it takes place."""

    def sly(t: Gone) -> Any:
        return [Become(Trail(("from the guard",)))]

    def calm(match: Any, t: Gone) -> Trail:
        return t.env.state

    outcome = go(family("first", Rule(calm, sly, messages=(Go,))), "")
    assert isinstance(outcome, Committed)
    assert outcome.env.state == Trail()
    assert go(family("first", *OVERLAPPING), "pq") == go(family("first", *OVERLAPPING), "pq")


@given(st.lists(st.sampled_from("abcdef"), max_size=60))
def test_one_transition_after_another_counts_every_message(senders: list[str]) -> None:
    """If false, concurrent senders lose or double a count."""

    class Tally(Value):
        by: Map[str, int] = Map()

    class Tick(Message):
        pass

    def count(message: Tick, t: Any) -> Tally:
        return Tally(t.env.state.by.set(t.sender, t.env.state.by.get(t.sender, 0) + 1))

    made = Family("tally", accepts=Tick, state=Tally()).rules(Rule(count, messages=(Tick,)))
    env = birth(made, ME, now_ns=0)
    for sender in senders:
        outcome = step(made, ME, env, Delivery(sender, 0, Tick()), 0)
        assert isinstance(outcome, Committed)
        env = outcome.env
    assert sum(env.state.by.values()) == len(senders)
