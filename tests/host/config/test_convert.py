"""Values of a node file in the types of a family: strict, complete, every mistake with its path."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import Blob, Config, Map, Message, Ref, Value
from engines.model.values import encode
from host.config.convert import ConversionError, to_typed


class Colour(Enum):
    RED = "r"
    BLUE = 2


class Key(Value):
    seed: bytes


class Circle(Value, tag=True):
    radius: int


class Square(Value, tag="sq"):
    sides_bytes: tuple[int, ...] = ()


class Ping(Message):
    hash: bytes
    reply: Ref[Ping] = Ref("")


class Even(Value):
    number: int

    def __post_init__(self) -> None:
        if self.number == 1:
            raise SystemExit(0)
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


class Everything(Config):
    text: str = ""
    flag: bool = False
    number: Annotated[int, msgspec.Meta(ge=0, le=99)] = 0
    fraction: float = 0.0
    window_ns: int = 0
    maybe_ns: int | None = None
    either_ns: int | str = 0
    name_bytes: bytes = b""
    key: Key = Key(b"")
    blob: Blob = Blob()
    colour: Colour = Colour.RED
    mode: Literal["on", "off", 3] = "off"
    pair: tuple[int, str] = (0, "")
    times_ns: tuple[int, ...] = ()
    by_number: Map[int, str] = Map()
    by_key: Map[tuple[int, str], Key] = Map()
    limits_ns: Map[str, int] = Map()
    shape: Circle | Square | None = None
    last: Ping | None = None
    even: Even = Even(0)
    few: Annotated[tuple[int, ...], msgspec.Meta(max_length=2)] = ()
    anything: Any = None


GOOD: list[tuple[str, Any, Any]] = [
    ("text", "0x12", "0x12"),
    ("flag", True, True),
    ("number", 7, 7),
    ("number", "0x10", 16),
    ("fraction", 3, 3.0),
    ("window_ns", "1.5s", 1_500_000_000),
    ("window_ns", 5, 5),
    ("maybe_ns", None, None),
    ("maybe_ns", "2us", 2_000),
    ("either_ns", "2us", "2us"),
    ("name_bytes", "0x1337", b"\x13\x37"),
    ("name_bytes", "0x", b""),
    ("name_bytes", "grüß", "grüß".encode()),
    ("key", {"seed": "0x00ff"}, Key(b"\x00\xff")),
    ("blob", "0xff", Blob(b"\xff")),
    ("colour", "r", Colour.RED),
    ("colour", "BLUE", Colour.BLUE),
    ("colour", 2, Colour.BLUE),
    ("mode", 3, 3),
    ("pair", [1, "a"], (1, "a")),
    ("times_ns", ["1us", 2], (1_000, 2)),
    ("by_number", {"-1": "a", "0x2": "b"}, Map({-1: "a", 2: "b"})),
    ("by_key", [[[1, "a"], {"seed": "0x01"}]], Map({(1, "a"): Key(b"\x01")})),
    ("limits_ns", {"a": "1ms"}, Map({"a": 1_000_000})),
    ("shape", {"type": "Circle", "radius": 1}, Circle(1)),
    ("shape", {"type": "sq", "sides_bytes": ["1KiB"]}, Square((1024,))),
    ("last", {"hash": "0x01", "reply": "bob#1"}, Ping(b"\x01", Ref("bob#1"))),
    ("last", {"type": "Ping", "hash": "0x01"}, Ping(b"\x01")),
    ("last", ["Ping", b"\x01", "bob"], Ping(b"\x01", Ref("bob"))),
    ("even", {"number": 4}, Even(4)),
    ("few", [1, 2], (1, 2)),
    ("anything", {"a": [1, "0x1"]}, {"a": [1, "0x1"]}),
]


@pytest.mark.parametrize(("field", "written", "value"), GOOD, ids=lambda each: repr(each)[:30])
def test_good(field: str, written: Any, value: Any) -> None:
    """The value as the field's type has it, of the very type."""
    found = getattr(to_typed({field: written}, Everything), field)
    assert found == value
    assert type(found) is type(value)


BAD: list[tuple[str, Any, str]] = [
    ("text", 5, "text: expected text, found `5`; in quotes it is text"),
    ("text", None, "text: expected text, found nothing"),
    ("flag", "no", "flag: expected `true` or `false`, found the text `no`; did you mean `false`?"),
    ("flag", 1, "flag: expected `true` or `false`, found `1`"),
    ("number", "010", "number: expected a whole number, found the text `010`; did you mean `10`?"),
    ("number", True, "number: expected a whole number, found `true`"),
    ("number", 1.0, "number: expected a whole number, found `1.0`"),
    ("number", 100, "number: expected `int` <= 99, found `100`"),
    ("fraction", "1.5", "fraction: expected a number, found the text `1.5`"),
    ("window_ns", "1sec",
     "window_ns: no unit `sec` for a duration; there are ns, us, ms, s, min, h, d; did you mean `1s`?"),
    ("window_ns", 1.5, "window_ns: expected a whole number, found `1.5`"),
    ("number", "5s", "number: expected a whole number, found the text `5s`"),
    ("name_bytes", "0x123", "name_bytes: expected pairs of hex digits after `0x`, found the text `0x123`"),
    ("name_bytes", 5, "name_bytes: expected bytes (`0x…` or text), found `5`; in quotes it is text"),
    ("key", "0x12", "key: expected a mapping for `Key`, found the text `0x12`"),
    ("key", {}, "key: `seed` is missing in `Key`"),
    ("key", {"sed": "a"}, "key.sed: unknown key `sed` in `Key`; did you mean `seed`?"),
    ("key", {"seed": "a", "colour": 1}, "key.colour: unknown key `colour` in `Key`; known here: seed"),
    ("colour", "RE", "colour: expected one of `r`, `2`, found the text `RE`"),
    ("mode", "onn", "mode: expected one of `on`, `off`, `3`, found the text `onn`; did you mean `on`?"),
    ("pair", [1], "pair: expected a list of 2, found 1"),
    ("pair", {"a": 1}, "pair: expected a list, found a mapping"),
    ("times_ns", ["1s", "soon"], "times_ns[1]: expected a duration such as `500ms`, found `soon`"),
    ("by_number", {"one": "a"}, "by_number.one: expected a whole number, found the text `one`"),
    ("by_number", {"1": 1}, "by_number.1: expected text, found `1`; in quotes it is text"),
    ("by_number", [1], "by_number: expected a mapping or a list of [key, value], found a list"),
    ("by_key", [[[1, "a"], {}]], "by_key[0][1]: `seed` is missing in `Key`"),
    ("shape", {"radius": 1}, "shape: `type` is missing: which of `Circle`, `sq`?"),
    ("shape", {"type": "Circel"},
     "shape.type: expected one of `Circle`, `sq` for `type`, found the text `Circel`; did you mean `Circle`?"),
    ("shape", 5, "shape: expected `Circle` or `Square`, found `5`"),
    ("last", {"type": "Pong", "hash": ""}, "last.type: expected `Ping`, found the text `Pong`"),
    ("even", {"number": 3}, "even: refused: 3 is odd"),
    ("even", {"number": 1}, "even: refused: SystemExit: 0"),
    ("few", [1, 2, 3], "few: expected `array` of length <= 2, found a list"),
    ("nmber", 1, "nmber: unknown key `nmber` in `Everything`; did you mean `number`?"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "written", "message"), BAD, ids=lambda each: repr(each)[:30])
def test_bad(field: str, written: Any, message: str) -> None:
    """Nothing is bent to fit, and the message names path, expectation and finding."""
    with pytest.raises(ConversionError) as caught:
        to_typed({field: written}, Everything)
    assert str(caught.value) == message


def test_all_mistakes_at_once() -> None:
    """One mistake hides no other, wherever it is; paths begin where the caller says."""
    written = {"text": 1, "key": {"seed": 2}, "shape": {"type": "Circle"}, "times_ns": ["x", 1, "y"]}
    with pytest.raises(ConversionError) as caught:
        to_typed(written, Everything, ("engines", "a", "config"))
    start = ("engines", "a", "config")
    assert {f.path for f in caught.value.findings} == {
        (*start, "text"), (*start, "key", "seed"), (*start, "shape"), (*start, "times_ns", 0), (*start, "times_ns", 2),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "written", "value"),
    [
        (Map[str, Key], {"a": {"seed": "x"}}, Map({"a": Key(b"x")})),
        (int, 5, 5),
        (Circle | Square, {"type": "Circle", "radius": 2}, Circle(2)),
        (type(None), None, None),
        (tuple[int, ...], [], ()),
    ],
    ids=repr,
)
def test_states_that_are_no_struct(form: Any, written: Any, value: Any) -> None:
    """A family's state may be any value."""
    assert to_typed(written, form) == value


@given(st.builds(Circle, st.integers(0, 2**40)) | st.builds(Key, st.binary()))
def test_a_typed_value_is_itself(value: Any) -> None:
    """What is typed already, as a parent's own parameters for its child, passes unchanged."""
    assert to_typed(value, type(value)) is value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(Everything.__struct_fields__), json_values, max_size=5))
def test_any_values_convert_or_are_refused(written: dict[str, Any]) -> None:
    """Nothing else is ever raised, and what is returned keeps the declared bounds."""
    try:
        found = to_typed(written, Everything)
    except ConversionError as error:
        assert error.findings  # noqa: PT017
        return
    assert isinstance(found, Everything)
    assert 0 <= found.number <= 99
    assert len(found.few) <= 2


everything = st.builds(
    Everything,
    text=st.text(max_size=8),
    number=st.integers(0, 99),
    fraction=st.floats(allow_nan=False),
    maybe_ns=st.none() | st.integers(0, 2**40),
    either_ns=st.integers(0, 2**40) | st.text(max_size=8),
    name_bytes=st.binary(max_size=8),
    key=st.builds(Key, st.binary(max_size=8)),
    blob=st.builds(Blob, st.binary(max_size=8)),
    colour=st.sampled_from(Colour),
    pair=st.tuples(st.integers(0, 9), st.text(max_size=8)),
    by_number=st.builds(Map, st.dictionaries(st.integers(-9, 9), st.text(max_size=3), max_size=3)),
    by_key=st.builds(Map, st.dictionaries(st.tuples(st.integers(0, 9), st.just("a")), st.just(Key(b"k")), max_size=3)),
    shape=st.none() | st.builds(Circle, st.integers(0, 9)) | st.just(Square((1, 2))),
    last=st.none() | st.builds(Ping, st.binary(max_size=4), st.just(Ref("bob"))),
)


@given(everything)
def test_what_was_encoded_converts_back(value: Everything) -> None:
    """Parameters that travelled as bytes without their type, as a spawned child's do, are what they were."""
    assert to_typed(msgspec.msgpack.decode(encode(value)), Everything) == value


class Awkward(Config):
    """Fields with the names of parameters of our own code."""

    path: str
    make: int
    parts: tuple[int, ...]
    value: str


def test_a_field_may_have_any_name() -> None:
    """False if a family's field of a name that our code also uses could not be read (as `path` of the log device)."""
    given = {"path": "a", "make": 1, "parts": [2], "value": "b"}
    assert to_typed(given, Awkward) == Awkward("a", 1, (2,), "b")
