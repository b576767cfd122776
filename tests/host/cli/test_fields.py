"""The syntax of `send`."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.cli.fields import FieldError, parse_field, parse_fields, parse_message, parse_target, parse_value
from host.live.control.protocol import TypedField

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(names, st.text())
def test_every_text_can_be_sent_as_it_stands(name: str, text: str) -> None:
    """If false, some text could not be sent at all."""
    assert parse_field(f"{name}=text:{text}") == (name, TypedField("text", text))


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"])))
def test_text_without_a_marker_is_itself(text: str) -> None:
    """If false, ordinary words would be changed on their way."""
    marked = text.startswith(("text:", "b64:", "@", "{", "[", '"', "0x"))
    assert marked or parse_value("x", text) == TypedField("text", text)


@given(st.binary())
def test_bytes_survive_hex_and_base64(content: bytes) -> None:
    """If false, bytes would arrive changed."""
    assert parse_value("x", "0x" + content.hex()) == TypedField("hex", "0x" + content.hex())
    assert parse_value("x", "b64:" + base64.b64encode(content).decode()) == TypedField("bytes", content)


@given(names, json_values.filter(lambda v: isinstance(v, dict | list | str)))
def test_nested_values_are_json(name: str, value: object) -> None:
    """If false, nested values would not arrive as written."""
    assert parse_field(f"{name}={msgspec.json.encode(value).decode()}") == (name, TypedField("json", value))


@given(st.text(), st.text())
def test_a_field_parses_or_says_what_is_wrong(name: str, text: str) -> None:
    """If false, some command line would end in a traceback."""
    with contextlib.suppress(FieldError):
        parse_fields([f"{name}={text}"])


@given(st.binary())
def test_standard_input_parses_or_says_what_is_wrong(text: bytes) -> None:
    """If false, some input would end in a traceback."""
    with contextlib.suppress(FieldError):
        parse_message(text)


@pytest.mark.storm
@given(st.dictionaries(names.filter(lambda n: n != "type"), json_values))
def test_a_message_on_standard_input_gives_its_fields(fields: dict[str, object]) -> None:
    """If false, `--json -` would lose fields or the type."""
    expected = {name: TypedField("json", value) for name, value in fields.items()}
    assert parse_message(msgspec.json.encode(fields)) == (None, expected)
    assert parse_message(msgspec.json.encode({"type": "Stamp", **fields})) == ("Stamp", expected)


def test_the_content_of_a_file(tmp_path: Path) -> None:
    """If false, `body=@file` would send something else."""
    (tmp_path / "page").write_bytes(b"\x00\xff")
    assert parse_value("body", f"@{tmp_path}/page") == TypedField("bytes", b"\x00\xff")


def test_targets() -> None:
    """If false, a message would go to another mailbox than the one named."""
    assert parse_target("server") == ("server", 0)
    assert parse_target("a/b.1#3") == ("a/b.1", 3)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("hash", "'hash' is not field=value"),
        ("=1", "'=1' is not field=value"),
        ("a b=1", "'a b=1' is not field=value"),
        ("a=b64:%", "a: not base 64 after b64:"),
        ("a={1}", "a: not JSON:"),
        ("a=@/does/not/exist", "a: /does/not/exist: No such file or directory"),
    ],
)
def test_mistakes_are_named(argument: str, expected: str) -> None:
    """If false, the user would not learn which field is wrong, and how."""
    with pytest.raises(FieldError) as caught:
        parse_fields([argument])
    assert str(caught.value).startswith(expected)


def test_a_field_given_twice_is_refused() -> None:
    """If false, one of two values would win in silence."""
    with pytest.raises(FieldError, match="field a is given twice"):
        parse_fields(["a=1", "a=2"])


@pytest.mark.parametrize("target", ["", "#1", "server#", "server#x", "server#1#2", "server#²"])
def test_wrong_targets_are_refused(target: str) -> None:
    """If false, a typing mistake would reach some mailbox."""
    with pytest.raises(FieldError):
        parse_target(target)
