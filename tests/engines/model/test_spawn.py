"""Spawning: names that are unique for ever, below their parent and its birth."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Child, newborn, run

from engines.examples.ticker import Increment
from engines.examples.ticker_continuation import Terms
from engines.model import (
    Arrived,
    BirthError,
    Committed,
    Config,
    Configuration,
    Delivery,
    Effects,
    Failed,
    Family,
    Message,
    Numbered,
    Outgoing,
    Ref,
    Send,
    Spawn,
    Spawned,
    birth,
    is_descendant,
    load_family,
    parent_name,
    parse_address,
    rule,
    step,
)
from engines.model.names import child_name


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_no_name_comes_twice(children: list[tuple[str, bool]]) -> None:
    """If false, mail for a child that ended could reach another."""
    env, names = newborn(), []
    for word, numbered in children:
        outcome = run(env, Child(word, numbered))
        if isinstance(outcome, Committed):
            env = outcome.env
            names += [output.name for output in outcome.outputs if isinstance(output, Spawned)]
        else:
            assert isinstance(outcome, Failed)
            assert "names are never reused" in outcome.error
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("word", ["", "a.b", "a/b", "a~2", "a#1", "ä", "x" * 201])
def test_a_child_is_a_word(word: str) -> None:
    """If false, a child could take the name of a grandchild, a mailbox or another birth."""
    outcome = run(newborn(), Child(word, False))
    assert isinstance(outcome, Failed)
    assert "a child's name is a word" in outcome.error


class Hello(Message):
    pass


class Size(Config):
    size: int


Greeted = Arrived[Hello, Size, None]


@rule
def hire(message: Hello, t: Greeted) -> Effects[None, Hello]:
    """Two workers, and a first message to each, before they live."""
    first, second = t.child(Numbered("worker")), t.child(Numbered("worker"), after=1)
    hired = Spawn(BOSS, Numbered("worker"), Size(t.config.size + 1))
    return [Send(first, Hello()), hired, hired, Send(second, Hello())]


BOSS = Family("boss", config=Size, accepts=Hello, emits=Hello).rules(hire)


def test_a_parent_knows_its_children_before_they_live() -> None:
    """If false, the first mail of a child goes nowhere."""
    me = Configuration("node", "boss", None, Size(1))
    outcome = step(BOSS, me, birth(BOSS, me, now_ns=0), Delivery("x", 0, Hello()), 0)
    assert isinstance(outcome, Committed)
    assert outcome.outputs == (
        Outgoing("boss/worker.1", 0, Hello()),
        Spawned("boss/worker.1", BOSS.ref, Size(2), None, BOSS),
        Spawned("boss/worker.2", BOSS.ref, Size(2), None, BOSS),
        Outgoing("boss/worker.2", 0, Hello()),
    )
    assert BOSS.ref == f"{__name__}:BOSS"


def test_a_later_birth_shows_in_its_descendants_names() -> None:
    """If false, a child of an engine that began again could be taken for one of its former life."""
    me = Configuration("node", "boss", None, Size(1), birth=2)
    outcome = step(BOSS, me, birth(BOSS, me, now_ns=0), Delivery("x", 0, Hello()), 0)
    assert isinstance(outcome, Committed)
    assert isinstance(outcome.outputs[1], Spawned)
    assert outcome.outputs[1].name == "boss~2/worker.1"


@pytest.mark.parametrize(
    ("spawn", "error"),
    [
        (Spawn(BOSS, "w"), "boss takes Size as its parameters, not NoneType"),
        (Spawn(BOSS, "w", Size(1), state=3), "boss has no state of type int"),
        (Spawn("some.module:OTHER", "w"), "add it to spawns="),
        (Spawn(Family("other", accepts=Hello), "w"), "add it to spawns="),
    ],
)
def test_a_child_that_could_not_live_is_not_spawned(spawn: Any, error: str) -> None:
    """If false, a spawn fails only where nobody sees it."""

    @rule
    def hire_wrong(message: Hello, t: Arrived[Hello, None, None]) -> Any:
        return spawn

    made = Family("parent", accepts=Hello, spawns=[BOSS]).rules(hire_wrong)
    me = Configuration("node", "me")
    outcome = step(made, me, birth(made, me, now_ns=0), Delivery("x", 0, Hello()), 0)
    assert isinstance(outcome, Failed)
    assert error in outcome.error


def test_birth_checks_parameters_and_state() -> None:
    """If false, an engine lives with parameters its rules cannot read."""
    with pytest.raises(BirthError, match="takes Size as its parameters"):
        birth(BOSS, Configuration("node", "me"), now_ns=0)
    with pytest.raises(BirthError, match="no state of type int"):
        birth(BOSS, Configuration("node", "me", None, Size(1)), now_ns=0, state=1)


class Peers(Config):
    peer: Ref[Hello]
    others: tuple[Ref[Hello], ...] = ()


@rule
def idle(message: Hello, t: Arrived[Hello, Peers, None]) -> Effects[None, Any]:
    return []


def test_acquaintances_at_birth() -> None:
    """If false, a child does not know its parent, or an engine not whom its parameters name."""

    made = Family("child", config=Peers, accepts=Hello).rules(idle)
    me = Configuration("node", "p/c", "p", Peers(Ref("a#2"), (Ref("b"),)))
    assert birth(made, me, now_ns=0, acquaintances=("z",)).acquaintances.keys() == ("a", "b", "p", "z")


words = st.from_regex(r"[a-z]{1,3}(\.[1-9])?", fullmatch=True)


@given(st.lists(st.tuples(words, st.integers(1, 3)), min_size=1, max_size=4))
def test_names_say_who_descends_from_whom(path: list[tuple[str, int]]) -> None:
    """If false, a restart ends the wrong engines."""
    name, above = path[0][0], []
    for (_, number), (word, _) in pairwise(path):
        above.append(name)
        name = child_name(name, number, word)
        assert parent_name(name) == above[-1]
    assert all(is_descendant(name, ancestor) for ancestor in above)
    assert not is_descendant(name, name)
    assert not is_descendant(name + "x", name)
    assert parse_address(f"{name}#7") == (name, 7)
    assert parse_address(name) == (name, 0)


@pytest.mark.parametrize("address", ["a#", "a#b", "#1", "a#-1", "a#1#2"])
def test_an_address_has_a_number_behind_its_hash(address: str) -> None:
    """If false, a message could reach another mailbox than it says."""
    with pytest.raises(ValueError, match="name#mailbox"):
        parse_address(address)


@pytest.mark.parametrize("kind", ["bounded", "old rules"])
def test_a_twin_of_a_family_spawns_its_own_family(kind: str) -> None:
    """If false, a family that spawns itself fails where a mailbox is bounded, or in turns of before the value law."""
    family = load_family("engines.examples.ticker_continuation:TICKER")
    assert isinstance(family, Family)
    twin = family.bounded({0: 5}) if kind == "bounded" else family.under_old_rules()
    name = Configuration("node", "ticker", None, Terms(1))
    outcome = step(twin, name, birth(twin, name, now_ns=0), Delivery("me", 0, Increment()), 1)
    assert isinstance(outcome, Committed)
    assert [one.name for one in outcome.outputs if isinstance(one, Spawned)] == ["ticker/next"]
