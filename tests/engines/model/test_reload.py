"""What a reload rests on: dumps that come back equal, interfaces that may only grow, states that lose nothing."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import FAMILY, STRICT, messages, newborn, tell

from engines.model import (
    AdoptError,
    Box,
    Committed,
    Family,
    Map,
    Message,
    Ref,
    Rule,
    Stored,
    Timer,
    Value,
    compatible,
)


@given(st.lists(messages, max_size=10))
def test_an_environment_survives_its_dump(script: list[Any]) -> None:
    """If false, a reload or a snapshot changes an engine."""
    env = newborn(STRICT, "z", "y")
    for now_ns, message in enumerate(script):
        outcome = tell(env, message, now_ns, STRICT)
        env = outcome.env if isinstance(outcome, Committed | Stored) else env
    dump = STRICT.dump(env)
    assert STRICT.load(dump) == env
    assert STRICT.dump(STRICT.load(dump)) == dump
    assert STRICT.adopt(dump, STRICT.interface()) == env


def test_a_torn_or_foreign_dump_is_an_error() -> None:
    """If false, an engine starts from half a state."""
    dump = FAMILY.dump(newborn())
    with pytest.raises(msgspec.DecodeError):
        FAMILY.load(dump[:-1])
    with pytest.raises(msgspec.ValidationError, match="format 9"):
        FAMILY.load(bytes([dump[0], 9]) + dump[2:])


def test_an_interface_is_plain_data() -> None:
    """If false, the supervisor would have to import a family to know it."""
    interface = STRICT.interface()
    assert json.loads(json.dumps(interface)) == interface
    assert interface["boxes"][0]["accepts"]["Later"] == [["number", "int", False], ["reply", "Ref[Told]", False]]
    assert interface["types"]["Tell"] == {
        "layout": "name",
        "tag": "Tell",
        "fields": [["target", "str", False], ["number", "int", False]],
    }


def family(
    fields: list[tuple[Any, ...]],
    state: Any = None,
    emits: Any = None,
    box: Any = None,
    timers: tuple[Timer, ...] = (),
    migrate: Any = None,
    downgrade: Any = None,
) -> Any:
    """A version of a family whose message `M` has these fields."""
    message = msgspec.defstruct("M", fields, bases=(Message,), module=__name__)

    def take(match: Any, t: Any) -> Any:
        return []

    rules: list[Any] = [Rule(take, messages=(message,))]
    rules += [Rule(take, None, 0, timer, f"on_{timer.name}", messages=()) for timer in timers]
    boxes = [Box(0, accepts=message, start=box)]
    made: Any = Family
    return made(
        "versioned",
        accepts=message,
        state=state,
        emits=emits,
        boxes=boxes,
        timers=timers,
        migrate=migrate,
        downgrade=downgrade,
    ).rules(*rules)


FIELDS = [("a", int), ("b", str)]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ([*FIELDS, ("c", int, 0)], ""),
        ([("a", int), ("b", str, "default")], ""),
        ([*FIELDS, ("c", int)], "M.c was appended without a default"),
        ([("b", str), ("a", int)], "M field 0 was a: int and is b: str"),
        ([("c", int), *FIELDS], "M field 0 was a: int and is c: int"),
        ([("a", int)], "M.b is gone"),
        ([("a", str), ("b", str)], "M field 0 was a: int and is a: str"),
        ([("a", int), ("renamed", str)], "M field 1 was b: str and is renamed: str"),
    ],
)
def test_fields_may_only_be_appended_with_a_default(fields: Any, problem: str) -> None:
    """If false, a queued message is decoded, in silence, into another one."""
    problems = compatible(family(FIELDS).interface(), family(fields).interface())
    assert problems[:1] == ([problem] if problem else [])
    old, new = family(FIELDS), family(fields)
    if not problem:
        assert new.adopt(old.dump(empty(old)), old.interface()) == empty(new)
    else:
        with pytest.raises(AdoptError, match=problem):
            new.adopt(old.dump(empty(old)), old.interface())


@given(st.permutations([("a", "int"), ("b", "int"), ("c", "int"), ("d", "int")]), st.integers(0, 4))
def test_no_reordering_and_no_shortening_gets_through(order: Any, kept: int) -> None:
    """If false, a field put somewhere else is a compatible change."""
    straight = [["a", "int", False], ["b", "int", False], ["c", "int", False], ["d", "int", False]]
    new = [[name, kind, False] for name, kind in order][:kept]
    assert (compatible(plain(straight), plain(new)) == []) == (new == straight)


def plain(fields: Any) -> dict[str, Any]:
    return {"boxes": [{"number": 0, "accepts": {"M": fields}}], "emits": {}, "types": {}, "enumerations": {}}


def empty(made: Any) -> Any:
    from engines.model import Configuration, birth

    return birth(made, Configuration("node", "me"), now_ns=0)


class Old(Value):
    number: int
    name: str = ""


class Grown(Value):
    number: int
    name: str = ""
    extra: int = 7


class Shrunk(Value):
    number: int


class Other(Value):
    text: str


class Inner(Value):
    kept: Map[str, Old] = Map()


class InnerShrunk(Value):
    kept: Map[str, Shrunk] = Map()


def adopted(old: Any, new: Any, state: Any = None) -> Any:
    env = empty(old) if state is None else empty(old).with_state(state)
    return new.adopt(old.dump(env), old.interface())


def test_a_state_that_grew_is_taken_over() -> None:
    """If false, a field with a default needs a migration."""
    assert adopted(family(FIELDS, Old(3, "x")), family(FIELDS, Grown(0))).state == Grown(3, "x", 7)


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (Old(3, "x"), Shrunk(0), "state.name"),
        (Inner(Map({"k": Old(1)})), InnerShrunk(), r"state.kept\[0\]\[1\].name"),
        (Old(3), Other(""), "missing required field `text`"),
        (Inner(Map({str(n): Old(1) for n in range(9)})), InnerShrunk(), r"kept\[4\]\[1\].name and 4 more; give"),
    ],
)
def test_a_state_that_would_lose_something_is_refused(before: Any, after: Any, lost: str) -> None:
    """If false, a reload throws data away in silence."""
    with pytest.raises(AdoptError, match=lost):
        adopted(family(FIELDS, before), family(FIELDS, after))


def test_migrate_gets_the_old_state_as_builtins() -> None:
    """If false, a state of another shape cannot be carried over."""

    def migrate(old: Any) -> Other:
        assert old == {"number": 3, "name": "x"}
        return Other(f"{old['number']}{old['name']}")

    new = family(FIELDS, Other(""), migrate=migrate)
    assert adopted(family(FIELDS, Old(3, "x")), new).state == Other("3x")
    assert adopted(new, new, Other("as it is")).state == Other("as it is")


class Wordless(BaseException):
    def __str__(self) -> str:
        raise SystemExit(0)


def throw(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("migrate", "reason"),
    [
        (lambda old: old["nothing"], "migrate raised KeyError"),
        (lambda old: 3, "migrate gave int, which is not"),
        (lambda old: sys.exit(3), "migrate raised SystemExit: 3"),
        (lambda old: throw(Wordless()), r"migrate raised Wordless: \(its text cannot be had: SystemExit\)"),
        (lambda old: Other(3.5), r"migrate gave .*text"),
        (lambda old: Other(True), r"migrate gave .*text"),
        (lambda old: Other(b"x"), r"migrate gave .*text"),
        (lambda old: Other("\ud800"), r"migrate gave .*"),
    ],
)
def test_a_migration_that_fails_refuses(migrate: Any, reason: str) -> None:
    """If false, an engine goes on with a state its rules cannot read."""
    with pytest.raises(AdoptError, match=reason):
        adopted(family(FIELDS, Old(3)), family(FIELDS, Other(""), migrate=migrate))


class Deep(Value):
    lines: tuple[str, ...] = ()
    sums: Map[str, int] = Map()
    share: float = 0.0


@pytest.mark.parametrize("state", [Deep(["x"]), Deep((), [["k", 1]]), Deep((), Map({"k": True})), Deep((3,))])
def test_what_migrate_gives_is_looked_at_deeply(state: Any) -> None:
    """False if a list passes for a tuple or for a Map, or a bool within one for an int."""
    with pytest.raises(AdoptError, match=r"migrate gave .*(lines|sums)"):
        adopted(family(FIELDS, Old(3)), family(FIELDS, Deep(), migrate=lambda old: state))


def test_an_int_that_migrate_gives_for_a_float_becomes_one() -> None:
    """False if the state of a live engine differs from the one that its bytes give."""
    share = adopted(family(FIELDS, Old(3)), family(FIELDS, Deep(), migrate=lambda old: Deep(share=3))).state.share
    assert type(share) is float


def test_mailbox_states_and_pending_timers_are_checked_too() -> None:
    """If false, a reload loses what does not lie in the state."""
    with pytest.raises(AdoptError, match=r"mailbox 0 has no place for mailbox 0\.name"):
        adopted(family(FIELDS, box=Old(1)), family(FIELDS, box=Shrunk(1)))
    from engines.model import Pending

    old = family(FIELDS, timers=(Timer("t"),))
    env = empty(old).with_timers(Map({"t": Pending(1, 5)}), 1)
    with pytest.raises(AdoptError, match="timer 't' is pending and no longer declared"):
        family(FIELDS).adopt(old.dump(env), old.interface())


class Small(Enum):
    ONE = "one"


class Large(Enum):
    ONE = "one"
    TWO = "two"


class Tagged(Value, tag="Old"):
    number: int


class Placed(Value, array_like=True):
    number: int
    name: str = ""


def same_name(name: str, *kinds: Any) -> None:
    """As if they were versions of one class."""
    for kind in kinds:
        kind.__name__ = name


same_name("Size", Small, Large)
same_name("Old", Old, Shrunk, Grown, Tagged, Placed)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (Old, Grown, ""),
        (Old, Shrunk, "Old.name is gone"),
        (Grown, Old, "Old.extra is gone"),
        (Shrunk, Tagged, "Old had the tag None and has 'Old'"),
        (Old, Placed, "Old was encoded by name and is by place"),
        (Small, Large, ""),
        (Large, Small, "Size no longer has the value 'two'"),
        (Literal["a"], str, ""),
        (tuple[Old, ...], tuple[Shrunk, ...], "Old.name is gone"),
        (Map[str, Old], Map[int, Old], "M field 0 was a: Map[str, Old] and is a: Map[int, Old]"),
        (Ref["A"], Ref["B"], "M field 0 was a: Ref[A] and is a: Ref[B]"),
    ],
)
def test_types_inside_messages_are_compared_too(before: Any, after: Any, problem: str) -> None:
    """If false, a value inside a queued message is decoded into something else."""
    found = compatible(family([("a", before)]).interface(), family([("a", after)]).interface())
    assert found == ([problem] if problem else [])


def test_two_types_of_one_name_are_told_apart() -> None:
    """If false, one of them is compared with the other."""
    interface = family([("a", Old), ("b", Grown)]).interface()
    assert interface["boxes"][0]["accepts"]["M"] == [["a", "Old", False], ["b", "Old_2", False]]
    assert [len(interface["types"][name]["fields"]) for name in ("Old", "Old_2")] == [2, 3]


def test_a_message_or_mailbox_that_is_gone_is_a_problem() -> None:
    """If false, queued mail has nowhere to go after a reload."""
    old = family(FIELDS).interface()
    gone = {**old, "boxes": []}
    assert compatible(old, gone) == ["mailbox 0 is gone"]
    fewer = {**old, "boxes": [{**old["boxes"][0], "accepts": {}}]}
    assert compatible(old, fewer) == ["mailbox 0 no longer accepts M"]


OLD = Old(3, "x")


def back_to_old(now: Grown) -> dict[str, Any]:
    return {"number": now.number, "name": now.name}


def forgetful(now: Grown) -> dict[str, Any]:
    return {"number": now.number + 1, "name": now.name}


def raising(now: Grown) -> dict[str, Any]:
    raise KeyError("name")


@pytest.mark.parametrize(
    ("new", "forward_only"),
    [
        (family(FIELDS, OLD), ""),
        (family(FIELDS, Grown(0), downgrade=back_to_old), ""),
        (family(FIELDS, Grown(0), downgrade=lambda now: Old(now.number, now.name)), ""),
        (family(FIELDS, Grown(0)), "the layout of the state differs, and the family has no downgrade"),
        (family(FIELDS, Grown(0), downgrade=forgetful), "downgrade does not give back state"),
        (family(FIELDS, Grown(0), downgrade=lambda now: {"number": 3}), "downgrade does not give back state.name"),
        (family(FIELDS, Grown(0), downgrade=raising), "downgrade raised KeyError: 'name'"),
        (family([*FIELDS, ("c", int, 0)], OLD), "M.c is gone"),
    ],
)
def test_a_way_back_gives_back_the_state_that_was_taken_over(new: Any, forward_only: str) -> None:
    """False if a reload promised a return that loses what the old version knew, or denied one that does not."""
    adopted(family(FIELDS), new) if new.state is None else adopted(family(FIELDS, OLD), new)
    assert new.forward_only == forward_only


def test_the_older_version_takes_what_the_newer_one_hands_back() -> None:
    """False if a version without a migrate could not come back where the newer one has a downgrade."""
    old, new = family(FIELDS, OLD), family(FIELDS, Grown(0), downgrade=back_to_old)
    now = Grown(9, "y", 1)
    dump = new.dump(empty(new).with_state(now))
    assert old.adopt(dump, new.interface(), new.downgraded(now)).state == Old(9, "y")
    with pytest.raises(AdoptError, match=r"no place for state\.extra"):
        old.adopt(dump, new.interface())


def test_a_way_back_that_raises_is_named_where_it_is_missed() -> None:
    """False if a refused way back hid the error of the function that was to provide it."""
    old, new = family(FIELDS, OLD), family(FIELDS, Grown(0), downgrade=raising)
    now = Grown(9, "y", 1)
    with pytest.raises(AdoptError, match=r"no place for state\.extra.*downgrade raised KeyError: 'name'"):
        old.adopt(new.dump(empty(new).with_state(now)), new.interface(), new.downgraded(now))


def test_a_version_that_has_room_for_all_is_not_given_less() -> None:
    """False if a step forward took the way back."""
    new = family(FIELDS, Grown(0), downgrade=back_to_old)
    later = family(FIELDS, Later(0))
    dump = new.dump(empty(new).with_state(Grown(9, "y", 1)))
    assert later.adopt(dump, new.interface(), new.downgraded(Grown(9, "y", 1))).state == Later(9, "y", 1, 0)


class Later(Value):
    number: int
    name: str = ""
    extra: int = 7
    more: int = 0
