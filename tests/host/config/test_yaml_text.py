"""YAML as it is read here: traps are text or refused, everything is bounded, every refusal has a place."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.config.yaml_text import DEPTH_MAX, REFUSALS_MAX, TEXT_BYTES_MAX, Document, Path, read_document, to_builtins

TIME_S_MAX = 10.0
"""Of this process, so that others do not count. What has no bound takes minutes over these texts."""
"""A refusal takes milliseconds; a defeated bound takes minutes."""


def read(text: str) -> Document:
    return read_document(text.encode(), "f")


def value_of(text: str) -> Any:
    document = read(text)
    assert not document.refused
    assert document.root is not None
    return to_builtins(document.root)


TEXTS = [
    "no", "No", "NO", "yes", "Yes", "on", "Off", "y", "n", "True", "TRUE", "False", "NULL", "Null",
    "22:22", "1:30:00", "190:20:30", "2024-01-01", "2024-01-01T10:00:00Z",
    "010", "0o17", "0b101", "0x1f", "1_000", "+5", "1,000", ".5", "5.", "1e", "+1.5", "0.1.2", ".inf", "-.INF", ".nan",
    "=", "a=b", "<<x", "1s", "64KiB", "٣",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_trap_is_text(text: str) -> None:
    """What YAML 1.1 or an over-eager reader turns into something else stays the text that is written."""
    assert value_of(f"a: {text}\n") == {"a": text}
    assert value_of(f"{text}: 1\n") == {text: 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-0", 0),
        ("-17", -17),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
        ('"5"', "5"),
        ("'true'", "true"),
        ('""', ""),
        ("|\n  5\n", "5\n"),
    ],
)
def test_plain_value(text: str, value: object) -> None:
    """The few spellings that are not text; quoted and block scalars always are."""
    found = value_of(f"a: {text}\n")["a"]
    assert (found, type(found)) == (value, type(value))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
)
REFUSED = {
    "": "f:1:1: the file is empty",
    "# nothing\n": "f:1:1: the file is empty",
    "a: 1\nb: 2\na: 3\n": "f:3:1: key `a` a second time; the first is at 1:1",
    'a: {b: 1, "b": 2}\n': "f:1:11: key `b` a second time; the first is at 1:5",
    "0: 1\n'0': 2\n": "f:2:1: key `0` a second time; the first is at 1:1",
    "a: !!python/object:os.system x\n": "f:1:4: a tag (`tag:yaml.org,2002:python/object:os.system`) is not read here",
    "a: !!str 5\n": "f:1:4: a tag",
    "!x a: 5\n": "f:1:1: a key has no tag",
    "<<: {a: 1}\n": "f:1:1: merge keys are not read",
    "? [1, 2]\n: 3\n": "f:1:3: a key is text or a number",
    "? {a: 1}\n: 3\n": "f:1:3: a key is text or a number",
    "a: &x 1\n*x : 2\n": "f:2:1: a key is text or a number",
    "? \n: 3\n": "f:1:2: a key is missing before the colon",
    "{: 3}\n": "f:1:2: a key, a value or a closing bracket belongs here",
    "a: 1\n---\nb: 2\n": "f:2:1: a second document begins here",
    "%YAML 1.1\n---\n%x: 1\n": "f:3:1: a line that begins with `%` is not read",
    "%FOO\n---\na: 1\n": "f:1:1: a line that begins with `%` is not read here",
    "a: *nobody\n": "f:1:4: alias `*nobody` names nothing above it",
    "a: &a [*a]\n": "f:1:8: alias `*a` is inside the value that it names",
    "a:\n\tb: 1\n": "f:2:1: a tab in the indentation",
    "a: 1\n\tb: 1\n": "f:2:1: a tab in the indentation",
    "a: [1, 2\nb: 3\n": "f:1:4: this `[` is not closed",
    "a: {b: 1\n": "f:1:4: this `{` is not closed",
    'a: "x\n': "f:1:4: this quote is not closed",
    "a: b: c\n": "f:1:5: a colon cannot stand here",
    "a: @x\n": "f:1:4: `@` cannot begin a text here",
    "a: 1\n  b: 2\n": "f:2:4: a colon cannot stand here",
    "- a\nb: 1\n": "f:2:1: an item of the list",
    'a: "\\q"\n': "f:1:5: in double quotes",
    "a: 99999999999999999999999\n": "f:1:4: this number does not fit 64 bits",
    "a: 1" + "0" * 5000 + "\n": "f:1:4: this number does not fit 64 bits",
    "a: 1e999\n": "f:1:4: this number is too large",
    "a: \x01\n": "f:1:4: character U+0001 does not belong",
    "a: b\x00c\n": "f:1:5: character U+0000 does not belong",
    "[" * (DEPTH_MAX + 5): f"f:1:{DEPTH_MAX + 2}: nested deeper than {DEPTH_MAX} levels",
    "[" * 500_000: f"f:1:{DEPTH_MAX + 2}: nested deeper than",
    "[" * 500 + "@": f"f:1:{DEPTH_MAX + 2}: nested deeper than",
    "- " * 200_000: f"f:1:{2 * DEPTH_MAX + 3}: nested deeper than",
    "{a: " * 200_000: f"f:1:{4 * DEPTH_MAX + 5}: nested deeper than",
    BOMB: "f:6:8: more than 100000 values",
    "- a\n" * 100_001: "f:100000:3: more than 100000 values",
    "#" * (TEXT_BYTES_MAX + 1): "f:1:1: the file has 1048577 bytes",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:20]))
def test_refused_with_place_and_in_bounded_time(text: str) -> None:
    """Each is refused first for the reason given, at the place given, before anything grows."""
    begun = time.process_time()
    refused = read(text).refused
    assert time.process_time() - begun < TIME_S_MAX
    assert str(refused[0]).startswith(REFUSED[text])


def test_not_utf8() -> None:
    """The place of the first wrong byte, counted in characters."""
    (problem,) = read_document("a: 1\nb: é".encode() + b"\xff\n", "f").refused
    assert str(problem) == "f:2:5: byte 0xff is not UTF-8; save the file as UTF-8"


def test_byte_order_mark_and_line_ends() -> None:
    """A byte order mark and foreign line ends change neither values nor places."""
    document = read_document(b"\xef\xbb\xbfa: 1\r\nb: [1,\r\n  2]\r\nb: 3\r\n", "f")
    assert [(p.line, p.column, p.source) for p in document.refused] == [(4, 1, "b: 3")]


def test_refusals_are_collected_and_bounded() -> None:
    """Reading goes on after a refusal, but not for ever."""
    assert len(read("a: !x 1\nb: !x 2\na: 3\n").refused) == 3
    assert len(read("".join(f"a{n}: !x 1\n" for n in range(500))).refused) == REFUSALS_MAX


def test_alias_is_the_value_it_names() -> None:
    """A plain alias works, and what is wrong in it is found where it is written."""
    document = read("a: &box {capacity: 5}\nb: *box\n")
    assert document.root is not None
    assert to_builtins(document.root) == {"a": {"capacity": 5}, "b": {"capacity": 5}}
    assert document.place(("b", "capacity")) == (1, 20, 1)


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ((), (1, 1, 1), (1, 1, 1)),
        (("a",), (1, 4, 1), (1, 1, 1)),
        (("a", 1), (1, 8, 5), (1, 8, 5)),
        (("é", "y"), (3, 9, 5), (3, 3, 3)),
        (("é", "gone"), (2, 1, 1), (2, 1, 1)),
        (("é", "y", "gone"), (3, 3, 3), (3, 3, 3)),
        (("gone", "gone"), (1, 1, 1), (1, 1, 1)),
    ],
)
def test_places(path: Path, value: tuple[int, ...], key: tuple[int, ...]) -> None:
    """Values and keys by path; for what is not there, the nearest thing above."""
    document = read('a: [1, "two"]\né:\n  "y":  three\n')
    assert (document.place(path), document.place(path, at_key=True)) == (value, key)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(st.characters(max_codepoint=0xFFFF, codec="utf-8"))
)
trees = st.recursive(
    scalars, lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text("abc", min_size=1), below, max_size=4)
)


@given(trees)
def test_json_reads_as_itself(tree: Any) -> None:
    """What JSON can say is read as JSON says it: quoted text is text, whatever it looks like."""
    import json

    document = read(json.dumps({"tree": tree}, ensure_ascii=True))
    assert not document.refused
    assert document.root is not None
    assert to_builtins(document.root) == {"tree": tree}


@given(st.text(max_size=200) | st.text(":-{}[]&*!|>'\"%@`#?,\n\t ab0", max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    """No text raises, and a refusal is always inside the text."""
    document = read_document(text.encode("utf-8", "surrogatepass"), "f")
    assert document.root is not None or document.refused
    for problem in document.refused:
        assert 1 <= problem.line <= max(1, len(document.lines))
        assert problem.column >= 1
