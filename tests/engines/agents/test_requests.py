"""What requests are let in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.agents.bridge.json_body import read_body
from engines.agents.bridge.misfit import Misfit
from engines.agents.bridge.requests import read_request
from engines.agents.bus import DEPTH_MAX, REQUEST_BYTES_MAX, VALUES_MAX, mark_of, marked, session_of, unmarked
from engines.agents.operations import FAMILIES, OPERATIONS

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda of: st.lists(of, max_size=4) | st.dictionaries(st.text("ab\"\\{[", max_size=4), of, max_size=4),
    max_leaves=20,
)  # fmt: skip


def code(text: str) -> str:
    """Why a body is refused."""
    with pytest.raises(Misfit) as caught:
        read_body(text)
    return f"{caught.value.kind} {caught.value.code}"


@given(st.dictionaries(st.text('ab"\\{[', max_size=4), VALUES, max_size=5))
def test_an_object_is_read_as_it_was_written(body: dict[str, Any]) -> None:
    """False if the check refuses what is right, or changes it."""
    assert read_body(json.dumps(body)) == body


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "usage not_json"),
        ("[]", "usage not_an_object"),
        ("7", "usage not_an_object"),
        ('{"a":1,"a":1}', "usage duplicate_key"),
        ('{"a":{"b":1,"\\u0062":1}}', "usage duplicate_key"),
        ('{"a":NaN}', "usage not_a_number"),
        ('{"a":-Infinity}', "usage not_a_number"),
        ('{"a":1e999}', "usage too_large_a_number"),
        ('{"a":9223372036854775808}', "usage too_large_a_number"),
        ('{"a":' + "9" * 10_000 + "}", "usage too_large_a_number"),
        ('{"a":"\\u0000"}', "usage not_text"),
        ('{"a":["\\ud800"]}', "usage not_text"),
        ('{"\\udfff":1}', "usage not_text"),
        ('{"a":' * (DEPTH_MAX + 1) + "1" + "}" * (DEPTH_MAX + 1), "usage too_deep"),
        ("[" * 60_000, "usage too_deep"),
        ('{"a":[' + "1," * VALUES_MAX + "1]}", "usage too_many_values"),
    ],
)
def test_c11_a_body_beyond_the_bounds_is_refused(text: str, why: str) -> None:
    """False if a body that families could not hold, or that two readers read differently, reaches one."""
    assert code(text) == why


def test_c11_a_body_at_the_bounds_is_let_in() -> None:
    """False if the last depth, number or byte that is allowed is refused."""
    read_body('{"a":' * DEPTH_MAX + "1" + "}" * DEPTH_MAX)
    assert read_body('{"a":9223372036854775807,"b":-9223372036854775808}')["a"] == 2**63 - 1
    fields = {b"id": b"r", b"op": b"state.current", b"body": b"{}"}
    room = REQUEST_BYTES_MAX - sum(map(len, fields.values()))
    full = fields | {b"body": b'{"a":"' + b"x" * (room - 6) + b'"}'}
    assert sum(map(len, full.values())) == REQUEST_BYTES_MAX
    assert read_request(full, "ann").op == "state.current"
    with pytest.raises(Misfit, match="65,537 bytes"):
        read_request(full | {b"id": b"rr"}, "ann")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "request_id"),
        ({b"id": b"a b"}, "request_id"),
        ({b"id": b"\xff"}, "not_utf8"),
        ({b"id": b"r", b"op": b"state.stop"}, "no_such_operation"),
        ({b"id": b"r", b"op": b"agent.stop"}, "operators_only"),
        ({b"id": b"r", b"op": b"state.current", b"body": b"\xc3("}, "not_utf8"),
    ],
)
def test_fields_that_are_no_request(fields: dict[bytes, bytes], why: str) -> None:
    """False if a family gets something that is no request, or an agent an operator's."""
    with pytest.raises(Misfit) as caught:
        read_request(fields, "ann")
    assert caught.value.code == why


def test_each_operation_has_a_family() -> None:
    """False if an operation that is let in has nobody to answer it."""
    assert {name.partition(".")[0] for name in OPERATIONS} == set(FAMILIES)


def test_a_mark_says_which_content_an_answer_is_for() -> None:
    """False if a retry with other content could read the answer to the first one."""
    mark = mark_of("state.transition", '{"target":"b"}')
    assert unmarked(mark, marked(mark, '{"success":true}')) == '{"success":true}'
    assert unmarked(mark, marked(mark, " { } ")) == "{} "
    assert unmarked(mark_of("state.transition", '{"target":"c"}'), marked(mark, "{}")) is None


def test_a_token_names_its_session() -> None:
    """False if a process does not know its user, or takes some text for a token."""
    assert (session_of("12-abc"), session_of("0-x")) == (12, 0)
    assert [session_of(text) for text in ("abc", "12-", "-abc", "x-abc", "٣-abc", "9" * 19 + "-a")] == [None] * 6
