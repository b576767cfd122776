"""Session logs with real-world defects: every token counts once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_logs import assistant, random_logs

from engines.agents.measuring.session_records import Usage, read_claude_code, time_of
from engines.agents.measuring.tokens import ContextUse, Tokens

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def counted(*rows: dict[str, Any] | str) -> Tokens:
    """What lines of a log come to."""
    tokens = Tokens()
    for row in rows:
        record = read_claude_code((row if isinstance(row, str) else json.dumps(row)).encode())
        if record is not None:
            tokens, _ = tokens.add(record)
    return tokens


@pytest.mark.parametrize("seed", range(5))
def test_s5_totals_are_exact_to_the_token(seed: int) -> None:
    """False if a repeated line, a missing request id, a second file or disorder adds or loses a token."""
    files, total, context = random_logs(seed, 60, 3)
    tokens = counted(*(line for file in files for line in file))
    assert tokens.total == total
    assert tokens.context is not None
    assert tokens.context.tokens == context


def test_s5_what_each_line_adds_sums_up_to_the_total() -> None:
    """False if rollups, which get what each line adds, would come to another total."""
    files, total, _ = random_logs(9, 40, 2)
    tokens, sum_of_parts = Tokens(), Usage()
    for line in (line for file in files for line in file):
        if (record := read_claude_code(line.encode())) is not None:
            tokens, added = tokens.add(record)
            sum_of_parts = sum_of_parts.plus(added)
    assert sum_of_parts == total


def test_messages_of_one_id_and_two_requests_are_two() -> None:
    """False if two requests were taken for one message."""
    rows = [assistant("m", Usage(1, 2, 3, 4), request=one) for one in ("q1", "q2", "q1", "")]
    assert counted(*rows).total == Usage(2, 4, 6, 8)


def test_s6_a_sub_agent_counts_for_use_and_not_for_the_context() -> None:
    """False if a sub-agent's context were taken for the agent's, or its tokens were free."""
    side = assistant("side", Usage(7, 90_000, 0, 1), sidechain=True, timestamp="2026-02-01T00:00:00Z")
    tokens = counted(assistant("main", Usage(5, 10_000, 200, 3)), side)
    assert tokens.total == Usage(12, 100_000, 200, 4)
    assert tokens.context is not None
    assert tokens.context.tokens == 10_205


def test_a_compaction_shrinks_the_context_until_the_next_message() -> None:
    """False if a compacted context looked full, or the estimate outlived the next message."""
    row = {
        "type": "system",
        "subtype": "compact_boundary",
        "uuid": "c",
        "timestamp": "2026-01-31T12:01:00Z",
        "compactMetadata": {"trigger": "auto", "preTokens": 150_000, "postTokens": 20_000},
    }
    first = assistant("a", Usage(0, 150_000, 0, 1))
    tokens = counted(first, row, row)
    assert tokens.compactions == 1
    assert tokens.context == ContextUse(20_000, time_of("2026-01-31T12:01:00Z"), "claude-x", is_estimated=True)
    later = assistant("b", Usage(0, 25_000, 0, 1), timestamp="2026-01-31T12:02:00Z")
    assert counted(first, row, later).context == ContextUse(25_000, time_of("2026-01-31T12:02:00Z"), "claude-x")


def test_a_cache_that_is_split_by_its_life_is_added_up() -> None:
    """False if cache writes were lost where they are given in parts."""
    row = assistant("m", Usage(1, 2, 0, 4))
    row["message"]["usage"]["cache_creation"] = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    assert counted(row).total == Usage(1, 2, 30, 4)


def test_results_of_tools_count_once() -> None:
    """False if a failed tool were not counted, or twice in two files."""
    results = [{"type": "tool_result", "is_error": bad} for bad in (True, False, None)]
    row = {"type": "user", "uuid": "t", "message": {"content": results}}
    tokens = counted(row, row)
    assert (tokens.tools, tokens.tool_errors) == (3, 1)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)))
def test_times_are_read_to_the_millisecond(moment: datetime) -> None:
    """False if a time were read as another."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    text = moment.strftime(f"{moment.year:04d}-%m-%dT%H:%M:%S.{moment.microsecond // 1000:03d}Z")
    assert time_of(text) == (moment - EPOCH) // timedelta(milliseconds=1) * 10**6


KEYS = ["type", "message", "usage", "id", "timestamp", "content", "input_tokens", "output_tokens", "cache_creation"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_line_stops_the_reader(line: bytes) -> None:
    """False if a damaged or strange line raised."""
    read_claude_code(line)
    for kind in ("assistant", "user", "system"):
        read_claude_code(b'{"type":"%s","subtype":"compact_boundary","message":%s}' % (kind.encode(), line))
