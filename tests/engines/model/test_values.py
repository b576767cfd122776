"""Values: deeply immutable, granted or refused at definition; one codec; one view for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Thread
from typing import Any, Literal, NewType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import (
    Blob,
    Box,
    Committed,
    Config,
    Configuration,
    DefinitionError,
    Delivery,
    Family,
    Map,
    Message,
    Ref,
    Rule,
    Stored,
    Value,
    birth,
    convert,
    encode,
    step,
    view,
)
from engines.model.acquaintance import references_in
from engines.model.check.immutable import faults
from engines.model.place import Place


class Colour(Enum):
    RED = "red"


class Leaf(Value):
    number: int
    raw: bytes = b""


class Tree(Value):
    leaf: Leaf
    kids: tuple[Tree, ...] = ()
    names: Map[str, Leaf] = Map()


@dataclass
class Point:
    x: int


UserId = NewType("UserId", int)
HERE = Place("here", 1)

GRANTED = [
    None,
    bool,
    int,
    float,
    str,
    bytes,
    Blob,
    Colour,
    UserId,
    Tree,
    tuple[int, ...],
    tuple[int, str],
    int | None,
    Literal["a", "b"],
    Ref["Leaf"],
    Map[str, Leaf],
    Map[tuple[int, str], Map[Leaf, bytes | None]],
]

REFUSED = [
    list[int],
    list,
    dict[str, int],
    set[int],
    frozenset[int],
    bytearray,
    memoryview,
    Any,
    object,
    Point,
    tuple,
    Map,
    complex,
    Map[bool, int],
    Map[float, int],
    Map[str, list[int]],
    tuple[list[int], ...],
    int | set[int],
]


@pytest.mark.parametrize("form", GRANTED, ids=str)
def test_immutable_types_are_granted(form: Any) -> None:
    """If false, a state that could be kept is refused."""
    assert list(faults(form, "it", lambda: HERE)) == []


@pytest.mark.parametrize("form", REFUSED, ids=str)
def test_mutable_types_are_refused_by_name(form: Any) -> None:
    """If false, two engines could share something one of them changes."""
    found = list(faults(form, "it", lambda: HERE))
    assert len(found) == 1
    assert found[0].place == HERE
    assert found[0].text.startswith("it: ")


class Note(Message):
    text: str
    tree: Tree
    blob: Blob = Blob()


class Param(Config):
    limit: int


@pytest.mark.parametrize(
    ("value", "field"),
    [(Leaf(1), "number"), (Note("a", Tree(Leaf(1))), "text"), (Param(1), "limit"), (Blob(b"a"), "view"), (Map(), "x")],
)
def test_a_write_to_a_value_fails_and_names_its_type(value: Any, field: str) -> None:
    """If false, engines in one process are not isolated."""
    with pytest.raises(AttributeError, match=type(value).__name__):
        setattr(value, field, 1)


leaves = st.builds(Leaf, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=4))
trees = st.recursive(
    st.builds(Tree, leaves, names=st.dictionaries(st.text(max_size=3), leaves, max_size=3).map(Map)),
    lambda kids: st.builds(Tree, leaves, st.lists(kids, max_size=2).map(tuple)),
    max_leaves=4,
)
notes = st.builds(Note, st.text(max_size=4), trees, st.binary(max_size=4).map(Blob))


@given(notes)
def test_a_message_survives_the_codec(note: Note) -> None:
    """If false, what arrives is not what was sent; structs in a Map come back as lists."""
    assert Box(0, accepts=Note).decode(encode(note)) == note


@given(notes)
def test_the_bytes_are_plain_message_pack(note: Note) -> None:
    """If false, a foreign client needs our library."""
    import msgpack

    tag, text, tree, blob = msgpack.unpackb(encode(note), strict_map_key=False)
    assert (tag, text, blob) == ("Note", note.text, bytes(note.blob))
    assert tree["leaf"] == {"number": note.tree.leaf.number, "raw": note.tree.leaf.raw}


@pytest.mark.parametrize(
    "wire",
    [["Other", "a"], ["Note"], ["Note", 1, {}], ["Note", "a", {"leaf": {}}], {"text": "a"}, ["Note", "a", {}, "text"]],
)
def test_what_is_no_message_of_the_mailbox_is_an_error(wire: Any) -> None:
    """If false, a mailbox takes what its type does not say."""
    with pytest.raises(msgspec.ValidationError):
        Box(0, accepts=Note).decode(msgspec.msgpack.encode(wire))


@pytest.mark.parametrize("pairs", [[[1, {"number": 1}]], [["a", 1]], [["a"]], {"a": {"number": 1}}, "a"])
def test_a_map_of_other_types_is_an_error(pairs: Any) -> None:
    """If false, a Map holds what its type does not say."""
    with pytest.raises(msgspec.ValidationError):
        convert(pairs, Map[str, Leaf])


def test_nothing_else_is_encoded() -> None:
    """If false, an object of an engine's process leaves it."""
    with pytest.raises(NotImplementedError, match="Thread is no value"):
        encode(Thread())


@given(notes)
def test_a_view_is_json(note: Note) -> None:
    """If false, `state get --json` cannot print a state."""
    seen = view(note)
    assert json.loads(json.dumps(seen)) == seen
    assert seen["type"] == "Note"
    assert seen["blob"] == "0x" + bytes(note.blob).hex()
    assert seen["tree"]["names"] == {key: view(leaf) for key, leaf in note.tree.names.items()}


def test_a_view_of_a_map_with_other_keys_is_pairs() -> None:
    """If false, keys that are no text get lost or changed."""
    assert view(Map({1: b"\x01", 2: Colour.RED})) == [[1, "0x01"], [2, "red"]]
    with pytest.raises(TypeError, match="Point"):
        view(Point(1))


def test_references_are_found_however_deep() -> None:
    """If false, a strict engine cannot use a reference it was given."""
    found = references_in(Deep("a#1", (Holder("b"),), Map({"k": Holder("c"), "n": None}), Holder("d", Holder("e"))))
    assert sorted(found) == ["a#1", "b", "c", "d", "e"]
    assert list(references_in(Leaf(1))) == []


@pytest.mark.parametrize("address", [2**70, None, b"a", object(), [1], ("a",)], ids=lambda one: type(one).__name__)
def test_a_reference_is_made_from_text(address: Any) -> None:
    """False if another value became an address: its text may differ in a replay, and the log would be refused."""
    with pytest.raises(TypeError, match=f"not from {type(address).__name__}"):
        Ref(address)


class Holder(Value):
    ref: Ref[Note]
    next: Holder | None = None


class Deep(Message):
    ref: Ref[Note]
    holders: tuple[Holder, ...]
    named: Map[str, Holder | None]
    maybe: Holder | int


class Page(Message):
    content: Blob


class Shelf(Value):
    page: Blob = Blob()


@pytest.mark.parametrize("keep", [True, False])
def test_a_blob_in_state_or_in_a_mailbox_owns_its_bytes(keep: bool) -> None:
    """If false, a state changes when the memory a message came in is used again."""

    def put(message: Page, t: Any) -> Shelf:
        return Shelf(message.content)

    def guard(t: Any) -> Page | None:
        return t.message if keep else None

    made = Family("shelf", accepts=Page, state=Shelf()).rules(Rule(put, guard, messages=(Page,)))
    me = Configuration("node", "me")
    memory = bytearray(b"text")
    arrived = Page(Blob(memoryview(memory).toreadonly()))
    outcome = step(made, me, birth(made, me, now_ns=0), Delivery("x", 0, arrived), 0)
    assert isinstance(outcome, Committed | Stored)
    memory[:] = b"next"
    kept = outcome.env.state.page if keep else outcome.env.mailboxes[0].stored[0].message.content
    assert kept == b"text"


def test_a_family_names_every_mutable_field_with_its_line() -> None:
    """If false, a mutable field deep inside is found by whoever debugs it at night."""

    with pytest.raises(DefinitionError) as caught:
        Family("bad", accepts=Sent, state=Worse({})).rules(Rule(lambda m, t: [], messages=(Sent,), name="r"))
    texts = [problem.text for problem in caught.value.problems]
    assert texts == [
        "Worse.table: dict is mutable; use Map[K, V]",
        "Sent.when: object is not a type of values; name the type",
    ]
    source = Path(__file__).read_text().splitlines()
    for problem in caught.value.problems:
        assert problem.file == __file__
        field = problem.text.split(":")[0].split(".")[1]
        assert source[problem.line - 1].strip().startswith(f"{field}:")


class Worse(Value):
    table: dict[str, int]


class Sent(Message):
    when: object
    worse: Worse
