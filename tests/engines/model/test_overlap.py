"""The search for overlapping rules: a seeded overlap is found, a disjoint family passes."""

from collections.abc import Callable
from typing import Any, Never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model import (
    Arrived,
    Box,
    Config,
    Configuration,
    Elapsed,
    Environment,
    Family,
    Map,
    Message,
    Timer,
    Value,
    birth,
    rule,
)
from engines.model.check.overlap import find_overlaps
from engines.model.compose import compose
from engines.model.rule import Rule


class Pay(Message):
    amount: int
    to: str


class Other(Message):
    pass


class Terms(Config):
    limit: int


class Account(Value):
    balance: int = 0
    friends: Map[str, int] = Map()


INBOX = Box(0, accepts=Pay | Other, start=None)
DUE = Timer("due")
MAGIC = 48_151_623
Paid = Arrived[Pay, Terms, Account]
AnyFamily = Family[Any, Any, Any, Any]
Guard = Callable[[Paid], bool | None]


def family_of(*guards: Callable[[Any], Any], priorities: tuple[int, ...] = (), timer: Timer | None = None) -> AnyFamily:
    """A family with one rule a guard, named r0, r1, …"""
    made: AnyFamily = Family("payer", accepts=Pay, config=Terms, state=Account(), timers=[timer] if timer else [])
    action: Callable[..., Any] = lambda match, t: []  # noqa: E731
    if timer is not None:
        rest = Rule[Any, Any, Any, Any](action, name="rest", messages=(Pay,))
        rules = [
            Rule[Any, Any, Any, Any](action, g, timer=timer, name=f"r{n}", messages=()) for n, g in enumerate(guards)
        ]
        return made.rules(rest, *rules)
    levels = priorities or (0,) * len(guards)
    return made.rules(
        *(
            Rule[Any, Any, Any, Any](action, guard, level, name=f"r{n}", messages=(Pay,))
            for n, (guard, level) in enumerate(zip(guards, levels, strict=True))
        )
    )


def pairs(family: AnyFamily, **options: Any) -> set[tuple[str, str]]:
    return {(found.first, found.second) for found in find_overlaps(family, **options).overlaps}


def when(condition: Callable[[Any], bool]) -> Callable[[Any], bool | None]:
    return lambda t: True if condition(t) else None


SEEDED: dict[str, tuple[Callable[[Any], bool], Callable[[Any], bool]]] = {
    "the bound itself": (lambda t: t.message.amount <= 10, lambda t: t.message.amount >= 10),
    "one written constant": (lambda t: t.message.amount == 8_675_309, lambda t: True),
    "one global constant": (lambda t: t.message.amount == MAGIC, lambda t: t.message.amount > MAGIC - 1),
    "a word": (lambda t: t.message.to == "the treasurer", lambda t: t.message.amount > 0),
    "state": (lambda t: t.message.to in t.env.state.friends, lambda t: t.env.state.balance == 0),
    "state equal to message": (lambda t: t.message.amount == t.env.state.balance, lambda t: t.message.amount > 1),
    "parameters": (lambda t: t.message.amount > t.config.limit, lambda t: t.message.amount == 100),
    "stored messages": (lambda t: len(t.env[INBOX].stored) == 2, lambda t: t.message.to == ""),
    "sender": (lambda t: t.sender == t.message.to, lambda t: t.message.amount < 0),
}

DISJOINT: dict[str, tuple[Callable[[Any], bool], Callable[[Any], bool]]] = {
    "the bound once": (lambda t: t.message.amount < 10, lambda t: t.message.amount >= 10),
    "present, absent": (
        lambda t: t.message.to in t.env.state.friends,
        lambda t: t.message.to not in t.env.state.friends,
    ),
    "parameters": (lambda t: t.message.amount > t.config.limit, lambda t: t.message.amount <= t.config.limit),
}


@pytest.mark.storm
@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("seed", range(2))
def test_a_seeded_overlap_is_found(name: str, seed: int) -> None:
    """Two rules would compete unseen."""
    family = family_of(*map(when, SEEDED[name]))
    search = find_overlaps(family, seed=seed)
    assert [(found.first, found.second, found.priority) for found in search.overlaps] == [("r0", "r1", 0)]
    trigger = search.overlaps[0].trigger
    assert all(condition(trigger) for condition in SEEDED[name])
    assert search == find_overlaps(family, seed=seed)


@pytest.mark.parametrize("name", DISJOINT)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.storm)])
def test_a_disjoint_family_passes(name: str, seed: int) -> None:
    """The search would cry wolf."""
    search = find_overlaps(family_of(*map(when, DISJOINT[name])), seed=seed)
    assert search.overlaps == ()
    assert search.cases == 2000
    assert search.raised == 0


bounds = st.integers(-(2**40), 2**40)


@settings(max_examples=15, deadline=None)
@given(bounds, bounds, bounds, bounds)
def test_intervals_overlap_when_they_meet(a: int, b: int, c: int, d: int) -> None:
    """The search would miss what one boundary value shows, or find what is not there."""
    first, second = sorted((a, b)), sorted((c, d))
    family = family_of(
        when(lambda t: first[0] <= t.message.amount < first[1]),
        when(lambda t: second[0] <= t.message.amount < second[1]),
    )
    meet = max(first[0], second[0]) < min(first[1], second[1])
    examples = [arrived(family, Pay(amount, "bob")) for amount in (*first, *second)]
    assert pairs(family, examples=examples, cases_max=50) == ({("r0", "r1")} if meet else set())


def arrived(family: AnyFamily, message: Pay) -> Paid:
    me = Configuration("node", "e", params=Terms(0))
    env: Environment[Any] = birth(family, me, now_ns=0)
    return Arrived(message, "x", 0, 0, me.params, env, me)


def test_each_pair_is_reported_once_with_a_witness() -> None:
    """A report would be too long to read, or say nothing to act on."""
    family = family_of(*(when(lambda t: t.message.amount > 0) for _ in range(3)))
    search = find_overlaps(family)
    assert [(found.first, found.second) for found in search.overlaps] == [("r0", "r1"), ("r0", "r2"), ("r1", "r2")]
    assert str(search.overlaps[0]).startswith("r0 and r1 (priority 0) both hold on Pay(amount=")


def test_rules_of_different_priority_never_overlap() -> None:
    """What priorities resolve would be reported."""
    positive, always = when(lambda t: t.message.amount > 0), when(lambda t: True)
    assert pairs(family_of(positive, always, priorities=(0, 1))) == set()
    shadowed = family_of(always, positive, positive, priorities=(0, 1, 1))
    assert pairs(shadowed) == set()
    assert pairs(family_of(positive, always, always, priorities=(0, 1, 1))) == {("r1", "r2")}


def test_rules_on_a_timer_overlap_too() -> None:
    """Rules on timers would go unsearched."""

    def rich(t: Elapsed[Terms, Account]) -> bool | None:
        return True if t.env.state.balance >= 1_000_000 else None

    def poor(t: Elapsed[Terms, Account]) -> bool | None:
        return True if t.env.state.balance <= 1_000_000 else None

    assert pairs(family_of(rich, poor, timer=DUE)) == {("r0", "r1")}
    assert pairs(family_of(rich, lambda t: None if rich(t) else True, timer=DUE)) == set()


def test_what_is_given_is_used() -> None:
    """Types no value can be made up for, or states only a history reaches, could not be searched."""
    family = family_of(when(lambda t: len(t.message.to) == 21), when(lambda t: len(t.env.state.friends) == 5))
    assert pairs(family) == set()
    message, state = Pay(1, "x" * 21), Account(0, Map((name, 1) for name in "abcde"))
    assert pairs(family, messages=[message, Pay(0, "")], states=[state, Account()]) == {("r0", "r1")}
    configs = [Terms(77)]
    limited = family_of(when(lambda t: t.config.limit != 77), when(lambda t: True))
    assert pairs(limited) == {("r0", "r1")}
    assert pairs(limited, configs=configs) == set()


def test_guards_that_raise_are_counted() -> None:
    """A search that looked at nothing would look like one that found nothing."""
    family = family_of(when(lambda t: 1 // t.message.amount > 0), when(lambda t: t.message.amount > 1))
    search = find_overlaps(family)
    assert search.overlaps == ()
    assert 0 < search.raised < search.cases


def test_a_composition_is_searched_like_its_parts() -> None:
    """Constants of a part's guards would be out of reach behind the composition."""

    @rule
    def take(message: Other, t: Arrived[Other, None, None]) -> list[Never]:
        return []

    other = Family("other", accepts=Other).rules(take)
    whole = compose("whole", family_of(*map(when, SEEDED["one global constant"])), other)
    assert pairs(whole) == {("payer.r0", "payer.r1")}
