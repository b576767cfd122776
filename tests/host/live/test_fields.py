from __future__ import annotations

import math
from enum import Enum
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import Message, Ref, Value
from engines.model.device import Device, DeviceHost
from host.live.control.protocol import TypedField
from host.live.supervisor.serving.fields import FieldProblem, Undeclared, encode_message, parse_kind, show_kind


class Point(Value):
    x: int
    y: int = 0


class Reply(Message):
    text: str


class Ask(Message):
    hash: bytes
    to: Ref[Reply]
    count: int = 1
    ratio: float = 0.5
    flag: bool = False
    note: str | None = None
    at: Point | None = None
    points: tuple[Point, ...] = ()
    pair: tuple[int, str] = (0, "")


class Tell(Message):
    text: str
    to: Ref[Reply] | None = None


class Forward(Message):
    inner: Reply


class Color(Enum):
    RED = 1
    GREEN = 2
    VERT = 2  # noqa: PIE796


class Mood(Enum):
    GOOD = "fine"


class Painted(Value):
    color: Color
    depth: float = 0.0


class Paint(Message):
    color: Color
    mood: Mood | None = None
    depth: float | None = None
    nested: Painted | None = None
    label: float | str = ""


class Pause(Value):
    for_ns: int


class Wake(Message):
    after_ns: int
    pause: Pause = Pause(0)
    until_ns: int | None = None
    room_bytes: int = 0
    label_ns: str = ""


BOB: Ref[Reply] = cast("Ref[Reply]", "bob")
ME: Ref[Reply] = cast("Ref[Reply]", "cli.1")


class Silence:
    async def run(self, host: DeviceHost) -> None:
        return


ASKER: Device[Ask | Reply | Tell | Forward | Wake | Paint, None, Ask] = Device(
    "asker", accepts=Ask | Reply | Tell | Forward | Wake | Paint, emits=Ask, driver=Silence
)


def interface() -> dict[str, Any]:
    return ASKER.interface()


def encoded(fields: dict[str, Any], tag: str = "Ask", mailbox: int = 0) -> bytes:
    written = {name: TypedField(how, value) for name, (how, value) in fields.items()}
    return encode_message(interface(), mailbox, tag, written, "cli.1")


def sent(**fields: tuple[str, Any]) -> Ask:
    return msgspec.msgpack.decode(encoded(fields), type=Ask)


def test_what_is_written_is_what_the_engine_reads() -> None:
    """A field arrives as another type, in another place, or not at all."""
    found = sent(
        hash=("hex", "0x1337"),
        to=("text", "bob"),
        count=("text", "7"),
        ratio=("text", "1e3"),
        flag=("text", "true"),
        note=("text", "null"),
        at=("json", {"x": 1}),
        points=("json", [{"x": 1, "y": 2}, {"x": 3}]),
        pair=("json", [1, "one"]),
    )
    assert found == Ask(b"\x13\x37", BOB, 7, 1000.0, True, None, Point(1), (Point(1, 2), Point(3)), (1, "one"))


def test_a_reference_left_out_is_the_session() -> None:
    """An answer goes nowhere because nobody was named."""
    assert sent(hash=("bytes", b"x")) == Ask(b"x", ME)


def painted(**fields: tuple[str, Any]) -> Paint:
    before: dict[str, Any] = {"color": ("text", "RED"), **dict.fromkeys(("mood", "depth", "nested"), ("json", None))}
    return msgspec.msgpack.decode(encoded(before | fields, "Paint"), type=Paint)


@pytest.mark.parametrize(
    ("how", "value", "color"),
    [
        ("text", "RED", Color.RED),
        ("text", "2", Color.GREEN),
        ("text", "VERT", Color.GREEN),
        ("json", 2, Color.GREEN),
        ("json", "GREEN", Color.GREEN),
    ],
)
def test_an_enumeration_is_written_by_value_or_by_name(how: str, value: Any, color: Color) -> None:
    """False if a member could be sent in one of the two ways only, or arrived as another."""
    assert painted(color=(how, value)).color is color
    assert painted(nested=("json", {"color": value})).nested == Painted(color)


@pytest.mark.parametrize("mood", ["GOOD", "fine"])
def test_an_enumeration_of_texts_too(mood: str) -> None:
    """False if the name of a member whose value is text were taken for a value."""
    assert painted(mood=("text", mood)).mood is Mood.GOOD
    assert painted(mood=("text", "null")).mood is None


@pytest.mark.parametrize(
    ("how", "value"), [("text", "BLUE"), ("text", "3"), ("json", 3), ("json", True), ("json", "1.0")]
)
def test_no_member_is_refused_and_the_members_are_listed(how: str, value: Any) -> None:
    """False if what is no member became a dead letter instead of a refusal."""
    with pytest.raises(
        FieldProblem, match=r"Paint.color: Color expected, .* \(its members: RED = 1, GREEN = 2, VERT = 2\)"
    ):
        painted(color=(how, value))


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_floats_that_json_has_no_number_for_are_written_the_same_everywhere(text: str) -> None:
    """False if what `state get --json` shows could not be sent."""
    for how in ("text", "json"):
        assert str(painted(depth=(how, text)).depth) == text
        nested = painted(nested=("json", {"color": 1, "depth": text})).nested
        assert nested is not None
        assert str(nested.depth) == text
    assert painted(label=("json", text)).label == text


@pytest.mark.parametrize("text", ["1e999", "-1e999", "9" * 400])
def test_digits_are_never_infinity(text: str) -> None:
    """False if a number too large for a float became infinite in silence."""
    with pytest.raises(FieldProblem, match=r"Paint.depth: float \| None expected, .*infinity is written inf"):
        painted(depth=("text", text))
    assert painted(depth=("text", "Infinity")).depth == math.inf
    with pytest.raises(FieldProblem, match=r"Ask.ratio: float expected, .*infinity is written inf"):
        sent(hash=("hex", "0x"), count=("text", "1"), ratio=("text", text))


def test_a_tag_that_cannot_come_back_is_refused() -> None:
    """False if a mistyped `--wait` waited out its time."""
    only = {**interface(), "emits": {"Reply": []}}
    written = {"hash": TypedField("hex", "0x")}
    with pytest.raises(Undeclared, match=r"no Rpely can come back: Ask.to takes Reply"):
        encode_message(only, 0, "Ask", written, "cli.1", ("Reply", "Rpely"))
    assert encode_message(only, 0, "Ask", written, "cli.1", ("Reply",))
    assert encode_message(only, 0, "Ask", written, "cli.1", ("*",))
    named = written | {"to": TypedField("text", "bob")}
    assert encode_message(only, 0, "Ask", named, "cli.1", ("Other",))


@pytest.mark.parametrize(("wait", "to"), [((), None), (("*",), None), (("Other", "Reply"), ME), (("Reply",), ME)])
def test_a_reference_that_may_be_none_is_the_session_that_waits(wait: tuple[str, ...], to: Ref[Reply] | None) -> None:
    """Who waits for an answer has to say so twice, or who does not wait gets one all the same."""
    payload = encode_message(interface(), 0, "Tell", {"text": TypedField("text", "hi")}, "cli.1", wait)
    assert msgspec.msgpack.decode(payload, type=Tell if to else Any) == (Tell("hi", to) if to else ["Tell", "hi"])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, r"Ask.hash \(bytes\) is missing"),
        ({"hash": ("text", "zz")}, r"Ask.hash: bytes expected, 'zz' found"),
        ({"hash": ("hex", "0x1")}, r"Ask.hash: bytes expected, '0x1' found"),
        ({"hash": ("hex", "0x"), "count": ("text", "many")}, r"Ask.count: int expected, 'many' found"),
        ({"hash": ("hex", "0x"), "to": ("text", "b"), "ratio": ("text", "1")}, r"count must be given too.*ratio"),
        ({"hash": ("hex", "0x"), "cuont": ("text", "1")}, r"Ask has no field cuont; its fields: hash, to"),
        ({"hash": ("json", "1337")}, r"Ask.hash: bytes expected"),
        ({"hash": ("json", None)}, r"Ask.hash: bytes expected"),
        ({"hash": ("text", "zz")}, r"'zz' found \(bytes are written 0x…, b64:… or @file\)"),
        ({"hash": ("hex", "0x"), "count": ("text", "9" * 30)}, r"Ask.count: int expected, .* the most 2\*\*64 - 1"),
        ({"hash": ("hex", "0x"), "count": ("json", -(2**63) - 1)}, r"Ask.count: int expected, .* -2\*\*63"),
    ],
)
def test_mistakes_say_which_field_and_what_was_expected(fields: dict[str, Any], problem: str) -> None:
    """A mistake reaches the engine, or is reported without its field."""
    with pytest.raises(FieldProblem, match=problem):
        encoded(fields)


def test_a_number_named_for_a_unit_may_be_written_with_one() -> None:
    """Who writes `10s` in the node file has to count zeros in a message, or a text field loses its text."""
    found = encoded(
        {
            "after_ns": ("text", "10s"),
            "until_ns": ("json", "1.5 min"),
            "room_bytes": ("text", "64KiB"),
            "label_ns": ("text", "10s"),
            "pause": ("json", {"for_ns": "20ms"}),
        },
        tag="Wake",
    )
    assert msgspec.msgpack.decode(found, type=Wake) == Wake(10**10, Pause(20_000_000), 90 * 10**9, 65_536, "10s")
    assert msgspec.msgpack.decode(encoded({"after_ns": ("text", "7")}, tag="Wake"), type=Wake) == Wake(7)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"after_ns": ("text", "10 parsecs")}, r"Wake.after_ns: int expected, '10 parsecs' found \(no unit `parsecs`"),
        ({"after_ns": ("text", "10S")}, r"did you mean `10s`\?"),
        ({"after_ns": ("text", "soon")}, r"Wake.after_ns: int expected, 'soon' found"),
        ({"after_ns": ("text", "1"), "pause": ("json", {"for_ns": "1KiB"})}, r"Pause.for_ns: .*no unit `KiB`"),
    ],
)
def test_a_unit_that_does_not_fit_is_refused(fields: dict[str, Any], problem: str) -> None:
    """A typing mistake in a unit becomes some other time."""
    with pytest.raises(FieldProblem, match=problem):
        encoded(fields, tag="Wake")


@pytest.mark.parametrize(
    ("inner", "problem"),
    [
        ({"text": 1}, r"Forward.inner: Reply expected, .* \(Reply.text: str expected, '1' found\)"),
        ({"txet": "a"}, r"Forward.inner: Reply expected, .* \(Reply has no field txet; its fields: text\)"),
    ],
)
def test_mistakes_in_a_nested_value_say_where(inner: dict[str, Any], problem: str) -> None:
    """Who writes a large message has to guess what is wrong in it."""
    with pytest.raises(FieldProblem, match=problem):
        encoded({"inner": ("json", inner)}, tag="Forward")


def test_wrong_tag_and_mailbox_say_what_there_is() -> None:
    """Who mistypes a message has to look up the family."""
    with pytest.raises(FieldProblem, match="does not accept Aks; it accepts Ask, Forward, Paint, Reply, Tell, Wake"):
        encoded({}, tag="Aks")
    with pytest.raises(FieldProblem, match="no mailbox 3; declared: 0"):
        encoded({}, mailbox=3)


KINDS = ["int", "tuple[int, ...]", "Map[str, tuple[int | None, Ref[A | B]]] | None", "package.Name", "Literal[a, b]"]


@pytest.mark.parametrize("text", KINDS)
def test_types_read_back(text: str) -> None:
    """A type is parsed as another one."""
    assert show_kind(parse_kind(text)) == text


@given(st.text(alphabet="ab[],| .", max_size=20))
def test_no_text_of_a_type_crashes_the_parser(text: str) -> None:
    """An interface of a later version takes the supervisor down."""
    try:
        parse_kind(text)
    except FieldProblem:
        return


def test_a_message_inside_a_message_carries_its_tag() -> None:
    """If false, a nested message is refused by whoever decodes it."""
    payload = encoded({"inner": ("json", {"text": "hello"})}, tag="Forward")
    assert msgspec.msgpack.decode(payload, type=Forward) == Forward(Reply("hello"))
