"""The laws of `Map`: a dict to its users, immutable, and the same under every hash seed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from enum import Enum, IntEnum
from typing import Any

import msgspec
import pytest
from deadline import DEADLINE_S
from hypothesis import given
from hypothesis import strategies as st

import engines.model.map
from engines.model.blob import Blob
from engines.model.map import Map
from engines.model.trie import RpdsTrie


class Colour(Enum):
    RED = 1
    BLUE = "blue"


class Number(IntEnum):
    ONE = 1


@pytest.fixture(
    autouse=True, params=sorted({engines.model.map.Trie, RpdsTrie}, key=str), ids=lambda trie: trie.__name__
)
def trie(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each law holds over each trie that is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines.model.map, "Trie", request.param)
        yield


class Point(msgspec.Struct, frozen=True):
    x: int
    name: str


class Loose(msgspec.Struct):
    x: int


COLLIDING = 2**61 - 1  # the modulus of CPython's integer hash: n and n + COLLIDING hash alike
ints = st.integers(0, 40) | st.integers(0, 5).map(lambda n: n + COLLIDING)
plain = ints | st.text(max_size=3) | st.binary(max_size=3)
points = st.builds(Point, st.integers(0, 3), st.text("ab", max_size=1))
keys = st.recursive(
    plain | st.none() | st.sampled_from(Colour) | points, lambda k: st.lists(k, max_size=3).map(tuple), max_leaves=4
)
values = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3) | points
changes = st.lists(st.tuples(keys, st.none() | values), max_size=60)


def unique_lists(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, unique=True)


def applied(steps: list[tuple[Any, Any]]) -> tuple[Map[Any, Any], dict[Any, Any]]:
    """A Map and a dict after the same changes; a value of None removes the key."""
    target, model = Map[Any, Any](), dict[Any, Any]()
    for key, value in steps:
        if value is None:
            target = target.without(key)
            model.pop(key, None)
        else:
            target = target.set(key, value)
            model[key] = value
    return target, model


@given(changes)
def test_it_holds_what_a_dict_holds(steps: list[tuple[Any, Any]]) -> None:
    """A Map would lose, invent or confuse keys."""
    target, model = applied(steps)
    assert dict(target.items()) == model
    assert len(target) == len(model)
    for key, _ in steps:
        assert (key in target) == (key in model)
        assert target.get(key, "absent") == model.get(key, "absent")
    assert target.values() == tuple(target[key] for key in target)


@pytest.mark.storm
@given(changes, changes, st.randoms(use_true_random=False))
def test_equal_content_is_equal_whatever_its_history(first: Any, second: Any, random: Any) -> None:
    """Equality, hash or iteration order would depend on how a map came about."""
    target, model = applied(first + second)
    shuffled = list(model.items())
    random.shuffle(shuffled)
    detour, _ = applied(second + first + [(key, None) for key, _ in first + second] + shuffled)
    for other in (Map(model), Map(shuffled), detour, Map[Any, Any]().updated(shuffled), Map(target)):
        assert other == target
        assert hash(other) == hash(target)
        assert other.items() == target.items()
        assert repr(other) == repr(target)
    assert msgspec.msgpack.encode(target, enc_hook=Map.items) == msgspec.msgpack.encode(detour, enc_hook=Map.items)


@pytest.mark.storm
@given(changes, keys, values)
def test_a_change_leaves_the_map_it_came_from(steps: Any, key: Any, value: Any) -> None:
    """A state kept for undo, or a message already sent, would change under its holder."""
    target, _ = applied(steps)
    before = target.items()
    changed = target.set(key, value)
    removed = target.without(key)
    both = target.updated({key: value})
    assert target.items() == before
    assert changed[key] == value
    assert changed == both
    assert key not in removed
    assert changed.without(key) == removed


@given(changes, st.lists(keys))
def test_without_several_keys_is_without_each(steps: Any, gone: list[Any]) -> None:
    """False if keys removed at once left another map than removed one by one, or changed the map they were in."""
    target, model = applied(steps)
    left = target.without(*gone)
    assert target == Map(model)
    for key in gone:
        target = target.without(key)
    assert left == target
    assert left.items() == target.items()


@pytest.mark.storm
@given(changes, changes)
def test_updated_is_a_set_for_each_pair(steps: Any, more: Any) -> None:
    """`updated` would lose a pair, or the order kept by a map would outlive a new key."""
    target, _ = applied(steps)
    target.keys()
    pairs = [(key, value) for key, value in more if value is not None]
    one_by_one = target
    for key, value in pairs:
        one_by_one = one_by_one.set(key, value)
    assert target.updated(pairs).items() == one_by_one.items() == target.updated(Map(pairs)).items()


@given(st.sampled_from([ints, st.text(), st.binary(), st.tuples(ints, st.text())]).flatmap(unique_lists))
def test_the_order_of_plain_keys_is_the_natural_one(found: list[Any]) -> None:
    """Users would meet an order they cannot predict."""
    assert list(Map((key, 0) for key in found)) == sorted(found)


@pytest.mark.storm
@given(st.lists(keys, unique=True))
def test_the_order_is_one_order(found: list[Any]) -> None:
    """The order of two keys would depend on which others are there, as with a sort that mixes comparisons."""
    order = list(Map((key, 0) for key in found))
    for i, left in enumerate(order):
        for right in order[i + 1 :]:
            assert list(Map({right: 0, left: 0})) == [left, right]


@pytest.mark.parametrize(
    "key",
    [True, 1.0, Number.ONE, (1, (True,)), Loose(1), frozenset({1}), [1], Blob(b"x"), Point(1, True)],  # type: ignore[arg-type]
)
def test_keys_that_equal_others_of_another_type_or_change_are_refused(key: Any) -> None:
    """Equal maps would have different bytes, or a key would change its place."""
    some = Map({1: 1})
    for attempt in (lambda: some.set(key, 1), lambda: Map([(key, 1)]), lambda: some.updated([(key, 1)])):
        with pytest.raises(TypeError):
            attempt()


@pytest.mark.parametrize("value", [[1], {}, set(), frozenset(), bytearray(), (1, ([],)), Loose(1), object(), print])
def test_mutable_values_are_refused_by_name(value: Any) -> None:
    """A state would be mutable through a map."""
    some = Map({1: 1})
    for attempt in (lambda: some.set(2, value), lambda: Map([(2, value)]), lambda: some.updated({2: value})):
        with pytest.raises(TypeError, match=r"(list|dict|set|frozenset|bytearray|Loose|object|builtin\w*) is no value"):
            attempt()


def test_what_may_be_a_value() -> None:
    """A value the model allows in state would be refused in a map."""
    allowed = (1, 1.5, True, None, "a", b"a", Blob(b"a"), Map({1: 2}), (1, (2, Point(1, "a"))), Colour.RED)
    assert Map({0: allowed})[0] == allowed


def test_writing_to_it_fails_and_names_it() -> None:
    """A rule could change a state it was only shown."""
    target: Any = Map({"a": 1})
    with pytest.raises(TypeError, match="Map"):
        target["a"] = 2
    with pytest.raises(TypeError, match="Map"):
        del target["a"]
    for name in ("_trie", "other"):
        with pytest.raises(AttributeError, match="Map"):
            setattr(target, name, None)
    with pytest.raises(AttributeError, match="Map"):
        del target._order
    with pytest.raises(KeyError):
        target["b"]
    assert deepcopy(target) is target


def test_it_reads_like_a_mapping() -> None:
    """`dict(m)`, `**m` and the repr, which a user tries first, would not work."""
    target = Map({"b": 2, "a": 1})
    assert dict(target) == {"a": 1, "b": 2}
    assert dict(**target) == {"a": 1, "b": 2}
    assert repr(target) == "Map({'a': 1, 'b': 2})"
    assert target.keys() == ("a", "b")
    assert target != {"a": 1, "b": 2}
    assert target.without("c") is target


SEED_PROBE = """
import sys
if "rpds" in sys.argv:
    sys.modules["immutables"] = None
from enum import Enum
import msgspec
from engines.model.map import Map
Colour = Enum("Colour", "RED BLUE")
Point = msgspec.defstruct("Point", [("x", int)], frozen=True)
content = {f"key-{n}": n for n in range(300)} | {(b"x", Point(n)): n for n in range(9)} | dict.fromkeys(Colour, 1)
target = Map(content).without("key-7").set("key-8", Map({Colour.BLUE: 1, Colour.RED: 2}))
print([str(target), msgspec.msgpack.encode([str(pair) for pair in target.items()]).hex()])
"""


def test_a_map_with_nan_equals_itself() -> None:
    """A state that did not change would look changed, over one trie and not over the other."""
    nan = float("nan")
    assert Map({"a": nan}) == Map({"a": nan})
    assert Map({"a": nan}) != Map({"a": 1.0}) != Map({"b": 1.0})


def test_two_hash_seeds_give_the_same_bytes() -> None:
    """A replay in another process would see another order, and send in another order."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", SEED_PROBE, trie],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=DEADLINE_S,
        ).stdout
        for seed, trie in (("1", ""), ("2", ""), ("2", "rpds"))
    }
    assert len(printed) == 1
    assert len(printed.pop()) > 10_000
