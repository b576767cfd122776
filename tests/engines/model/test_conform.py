"""Conformity: what `conform` lets through is exactly what its bytes give, and it refuses nothing else."""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.model import Blob, ConformError, Map, Value, encode
from engines.model import conform as conform_in_python
from engines.model.conform_leaves import ABSENT, DEPTH_MAX, SIZE_MAX
from engines.model.law import conformer
from engines.model.values import from_wire


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Grade(IntEnum):
    ONE = 1
    TWO = 2


class Word(StrEnum):
    YES = "yes"


class Point(Value, tag=True):
    x: float
    y: float = 0.0


class Line(Value, tag=True):
    points: tuple[Point, ...] = ()
    name: str | None = None


class LongLine(Line, tag=True):
    pass


class Node(Value):
    value: int = 0
    next: Node | None = None


class Everything(Value):
    a: int | float = 0
    b: bool | None = None
    c: Map[str, float] = Map()
    d: Point | Line | None = None
    e: tuple[int, str, float] = (0, "", 0.0)
    f: Annotated[int, msgspec.Meta(ge=0, lt=10)] = 0
    g: Literal["a", 3] = 3
    h: Colour = Colour.RED
    i: Blob = Blob()
    j: Map[tuple[int, str], Line] = Map()
    k: Annotated[tuple[int, ...], msgspec.Meta(max_length=2)] = ()
    m: Grade | None = None


class Whole(int):
    pass


FORMS: list[Any] = [
    int, float, bool, str, bytes, None, Blob, Colour, Grade, Word, Point, Line, Node, Everything,
    int | None, float | None, int | float, Literal["a", "b", 1], tuple[int, ...], tuple[float, ...],
    tuple[int, str], tuple[tuple[float, ...], ...], Map[str, int], Map[int, float], Map[str, Map[str, float]],
    Point | Line | None, Annotated[int, msgspec.Meta(ge=0, lt=10)], Annotated[str, msgspec.Meta(max_length=2)],
    Annotated[float, msgspec.Meta(ge=1)] | None,
]  # fmt: skip

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**63 - 1, 2**64 - 1, 2**64, 2**70, -(2**63), -(2**63) - 1, 10**400, Whole(3)]),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["a", "b", "\ud800", "é", "x" * 70]),
    st.binary(max_size=3),
    st.binary(max_size=3).map(bytearray),
    st.binary(max_size=3).map(Blob),
    st.sampled_from([*Colour, *Grade, *Word]),
)
KEYS = st.one_of(
    st.integers(-2, 2), st.text(max_size=1), st.just(2**70), st.just("\ud800"), st.tuples(st.just(1), st.just("k"))
)


def conform_by_law(value: Any, form: Any, before: Any = ABSENT) -> Any:
    """As a transition's values are checked: in C where that was built."""
    return conformer(form)(value, before)


BOTH = pytest.mark.parametrize("conform", [conform_in_python, conform_by_law])


def holding(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(parts, max_size=3),
        st.lists(parts, max_size=3).map(tuple),
        st.builds(Point, parts, parts),
        st.builds(Line, parts, parts),
        st.builds(LongLine, parts, parts),
        st.builds(Node, parts, parts),
        st.dictionaries(KEYS, parts, max_size=2).map(as_map),
    )


def as_map(pairs: dict[Any, Any]) -> Any:
    try:
        return Map(pairs)
    except TypeError:
        return Map()


ANYTHING = st.recursive(SCALARS, holding, max_leaves=6)


def fitting(form: Any) -> st.SearchStrategy[Any]:
    """Mostly values of a type, with something else in one place now and then."""
    if form is Everything:
        fields = msgspec.structs.fields(Everything)
        wrong = {field.name: st.one_of(st.just(field.default), st.just(field.default), ANYTHING) for field in fields}
        return st.builds(Everything, **wrong)
    return st.one_of(ANYTHING, SCALARS)


def read_back(value: Any, form: Any) -> Any:
    return msgspec.msgpack.Decoder(form, dec_hook=from_wire).decode(encode(value))


def told(value: Any) -> Any:
    """A value with every type in it named, so that 1, True and 1.0 differ, and a NaN equals itself."""
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        return kind, [told(getattr(value, name)) for name in value.__struct_fields__]
    if kind in (tuple, list):
        return kind, [told(part) for part in value]
    if kind is Map:
        return kind, [(told(key), told(held)) for key, held in value.items()]
    return kind, bytes(value) if kind is Blob else repr(value)


@BOTH
@pytest.mark.parametrize("form", FORMS, ids=str)
@given(data=st.data())
def test_it_lets_through_exactly_what_reads_back(conform: Any, form: Any, data: st.DataObject) -> None:
    """False if a value that conforms read back as another, or one that reads back as it is were refused."""
    value = data.draw(fitting(form))
    try:
        fit = conform(value, form)
    except ConformError as error:
        str(error).encode()
        try:
            again = read_back(value, form)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, NotImplementedError):
            return
        assert told(again) != told(value)
    else:
        assert told(read_back(fit, form)) == told(fit)
        assert conform(fit, form) is fit


@BOTH
@given(st.integers())
@example(2**70)
def test_an_int_becomes_a_float_wherever_one_is_declared(conform: Any, number: int) -> None:
    """False if an int stayed one in a field, tuple, map or union that says float."""
    given_ = Everything(c=Map({"k": number}), d=Point(number), e=(1, "", number))  # type: ignore[arg-type]
    fit = conform(given_, Everything)
    assert [type(fit.c["k"]), type(fit.d.x), type(fit.e[2])] == [float] * 3
    assert type(conform(number, int | float) if abs(number) < 2**63 else 0) is int


@BOTH
@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (Node(2**70), Node, "Node.value: 1180591620717411303424 is beyond 64 bits (-2**63 to 2**64 - 1)"),
        (Node(2.5), Node, "Node.value: 2.5 is float, not int"),  # type: ignore[arg-type]
        (Node(True), Node, "Node.value: True is bool, not int"),
        (Node(0, Node("x")), Node, "Node.next.value: 'x' is str, not int"),  # type: ignore[arg-type]
        (Line((Point(1.0), 3)), Line, "Line.points[1]: 3 is int, not Point"),  # type: ignore[arg-type]
        (Line((), "\udce9"), Line, "Line.name: '\\udce9' holds a lone surrogate, which UTF-8 has no form for"),
        (Everything(c=[["k", 1]]), Everything, "Everything.c: a list is list, not Map (make one of pairs: Map(...))"),  # type: ignore[arg-type]
        (Everything(d=LongLine()), Everything, "Everything.d: a LongLine is LongLine, not Point or Line or None"),
        (10**5000, int, "an int of 16610 bits is beyond 64 bits (-2**63 to 2**64 - 1)"),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_misfit_is_named_with_its_place(conform: Any, value: Any, form: Any, text: str) -> None:
    """False if an author could not see from the text which field holds what."""
    with pytest.raises(ConformError) as caught:
        conform(value, form)
    assert str(caught.value) == text


def chain(length: int) -> Node:
    node = Node()
    for number in range(length):
        node = Node(number, node)
    return node


@BOTH
def test_depth_has_a_bound_below_which_everything_reads_back(conform: Any) -> None:
    """False if a value of the greatest depth could not be read, or a deeper one were let through."""
    deepest = chain(DEPTH_MAX - 1)
    assert read_back(conform(deepest, Node), Node) == deepest
    with pytest.raises(ConformError, match="inside each other"):
        conform(chain(DEPTH_MAX), Node)


class Tree(Value):
    below: Map[str, Tree] = Map()


@BOTH
def test_a_map_that_was_checked_counts_its_height(conform: Any) -> None:
    """False if a value grew beyond all bounds by a level a transition, each time around what was checked before."""
    tree = Tree()
    for _ in range(DEPTH_MAX // 2 - 1):
        tree = conform(Tree(Map({"k": tree})), Tree, tree)
    assert read_back(tree, Tree) == tree
    with pytest.raises(ConformError, match="inside each other"):
        conform(Tree(Map({"k": tree})), Tree, tree)
    flat = tree.below.set("k", Tree())
    assert conform(Tree(Map({"k": Tree(flat)})), Tree)


@BOTH
def test_what_is_skipped_in_a_map_counts_its_height(conform: Any) -> None:
    """False if a part that is there from before were taken for flat: maps around it could grow beyond the bound."""
    form = Map[str, Node]
    read = Map({"k": chain(10)})
    assert conform(read.set("j", Node()), form, read).unchecked()[0].height == 11
    deep = conform(Map({"k": chain(10)}), form)
    other = conform(Map({"j": Node()}), form)
    assert conform(other.set("k", deep["k"]), form, deep).unchecked()[0].height == 11


@BOTH
def test_a_map_is_looked_at_where_it_changed(conform: Any) -> None:
    """False if a change of one key of many cost a look at all, or a changed key went unseen."""
    many = conform(Map({key: float(key) for key in range(1_000)}), Map[int, float])
    assert list(many.set(3, 4.0).without(5).updated({7: 1.0}).unchecked()[1]) == [7, 3]
    assert type(conform(many.set(3, 4), Map[int, float], many)[3]) is float
    with pytest.raises(ConformError, match=r"Map\[3\]: 'x' is str, not float"):
        conform(many.set(3, "x"), Map[int, float], many)


class Shelf(Value):
    kind: Literal["low", "high"] = "low"
    boxes: Map[int, tuple[str, ...]] = Map()


STEPS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(["low", "high", "none"]),
        st.integers(0, 2),
        st.sampled_from([("x",), ("x", "y"), (), (1,), "x"]),
    ),
    max_size=6,
)


@given(STEPS)
def test_maps_in_maps_are_checked_alike_in_c_and_in_python(steps: list[tuple[str, str, int, Any]]) -> None:
    """False if one of both let through what the other refuses, or they measured another height."""
    form = Map[str, Shelf]
    told_of = []
    for check in (conform_in_python, conform_by_law):
        kept: Any = check(Map({"z": Shelf()}), form)
        outcomes: list[Any] = []
        for name, kind, place, texts in steps:
            shelf = kept.get(name) or Shelf()
            after = kept.set(name, Shelf(cast(Any, kind), shelf.boxes.set(place, texts)))
            try:
                kept = check(after, form, kept)
            except ConformError as error:
                outcomes.append(str(error))
            else:
                outcomes.append((told(kept), kept.unchecked()[0].height, [*kept.unchecked()[1]]))
        told_of.append(outcomes)
    assert told_of[0] == told_of[1]


class Fork(Value):
    left: Fork | None = None
    right: Fork | None = None


@BOTH
@pytest.mark.storm
def test_what_shares_its_parts_has_a_bound_too(conform: Any) -> None:
    """False if a value of 2**60 parts, though few objects, were written for ever."""
    fork = Fork()
    for _ in range(60):
        fork = Fork(fork, fork)
    with pytest.raises(ConformError, match=f"more than {SIZE_MAX >> 20} MiB"):
        conform(fork, Fork)
