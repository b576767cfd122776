"""The Python client: what it does not look at twice."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from engines.agents.bridge.json_body import read_body
from host.aism.client import is_sound

texts = st.text(st.characters(), max_size=8) | st.sampled_from(["\0", "\ud800", "\\u0000", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["to", "text", "ids", "fields"]), values, max_size=3))
@example({"ids": [""] * 10_001})
@example({"ids": ["x"] * 1_000, "max": 2**63 - 1, "peek": True})
def test_a_body_that_is_not_looked_at_is_one_that_the_bridge_lets_in(fields: dict[str, Any]) -> None:
    """False if the client takes a body to be sound that the bridge refuses."""
    body = json.dumps(fields, ensure_ascii=False)
    if is_sound(body, fields):
        assert read_body(body) == fields


def test_what_agents_send_most_is_not_looked_at() -> None:
    """False if a message, a move, a read or an acknowledgement were read after it was written."""
    for fields in ({"to": "ann", "text": "hello"}, {"target": "done"}, {"max": 100}, {"ids": ["m1-1"] * 100}):
        assert is_sound(json.dumps(fields), fields)
