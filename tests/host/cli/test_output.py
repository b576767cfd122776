"""What reaches the terminal, and what JSON makes of values it does not have."""

from __future__ import annotations

import io
import math
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.chart.escapes import one_line
from host.cli.commands.lines import render_events, render_lines
from host.cli.commands.state import render_states
from host.cli.output import envelope, take_any_encoding, write
from host.cli.table import Column, render_table, render_tree

texts = st.text(st.characters(exclude_categories=["Cs"]))
FORGED = "bob\n12:00:00.000  s:  login  user=root\x1b[2J"


def is_shown(text: str) -> bool:
    """No character that a terminal acts on, the end of a line and a tab apart."""
    return all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Zl", "Zp") for c in text)


@given(texts)
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    """False if an engine's text could clear the screen, move the cursor or retitle the window."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        write(text)
    assert is_shown(out.getvalue())


@given(texts)
def test_a_text_in_a_table_a_tree_or_a_note_is_one_line(text: str) -> None:
    """False if one value could look like two, or a note forge the next one."""
    assert len(render_table([Column("A")], [[text]]).split("\n")) == 2
    assert "\n" not in render_tree({text or "k": text})
    assert "\n" not in render_lines([{"engine": text, "text": text, "fields": {text: text}}])
    assert "\n" not in render_events([{"engine": text, "kind": text, "detail": text}])


def test_a_note_with_a_text_of_a_user_is_one_line() -> None:
    """False if a user who is logged by an engine could write lines of its log."""
    (line,) = render_lines([{"engine": "s", "text": "login", "fields": {"user": FORGED}}]).splitlines()
    assert line.endswith(r"user=bob\n12:00:00.000  s:  login  user=root\x1b[2J")


def test_a_text_in_a_state_stays_one_value() -> None:
    """False if a text could pass for the mailbox states below it."""
    shown = render_states([{"engine": "s", "family": "f", "state": {"text": "a\n  mailboxes:\n    0: 7"}}])
    assert shown.splitlines()[1:] == ["  state:", r"    text: a\n  mailboxes:\n    0: 7"]


@given(texts)
def test_escaping_twice_is_escaping_once(text: str) -> None:
    """False if a value that is escaped in its cell would be changed again on its way out."""
    assert one_line(one_line(text)) == one_line(text)


def test_json_tells_the_floats_apart_that_it_has_no_number_for() -> None:
    """False if a program that reads --json took infinity for null."""
    items = msgspec.json.decode(envelope("x", [{"a": [math.nan, math.inf, -math.inf, None, 1.5]}]))["items"]
    assert items == [{"a": ["nan", "inf", "-inf", None, 1.5]}]


@given(texts)
def test_json_is_read_back_and_has_no_control_characters(text: str) -> None:
    """False if an escape broke the JSON, or it carried a terminal's commands."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        write(envelope("x", [text]))
    assert msgspec.json.decode(out.getvalue())["items"] == [text]
    assert is_shown(out.getvalue())


@pytest.mark.parametrize(
    ("encoding", "shown"), [("latin-1", "gr\xf6\xdfe . \\u4e2d"), ("ascii", "gr\\xf6\\xdfe . \\u4e2d")]
)
def test_a_terminal_of_another_encoding_gets_escapes(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """False if a terminal that is not UTF-8 ended a command with an internal error."""
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding))
    take_any_encoding()
    write("größe … 中")
    assert raw.getvalue().decode(encoding) == shown + "\n"
