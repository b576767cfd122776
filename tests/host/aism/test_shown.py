"""Answers as text for people."""

from __future__ import annotations

from typing import Any

from host.aism.measured import of_agent, of_peers, of_system
from host.aism.shown import event_line, history_table


def event(**rest: Any) -> dict[str, Any]:
    """An event as the bus has it."""
    plain = {"time_ns": 0, "agent": "ann", "kind": "k", "state": "", "value": None, "unit": "", "attributes": []}
    return plain | rest


def test_an_event_is_one_line_whatever_an_agent_wrote() -> None:
    """False if a text of an agent began a line of its own, or sent a command to the terminal."""
    line = event_line(event(attributes=[["reason", "a\n00:00:00.000  boss  done\x1b[2J\x9b1m"]]))
    assert line.endswith("ann  k  reason=a\\n00:00:00.000  boss  done\\x1b[2J\\x9b1m")


def test_a_value_of_an_event_has_all_its_digits() -> None:
    """False if 6,022,144 bytes were shown as 6.02214e+06."""
    assert event_line(event(value=6_022_144.0, unit="B")).endswith("k  6022144 B")
    assert event_line(event(value=0.123456789)).endswith("k  0.123457")


def test_the_history_fits_into_a_terminal() -> None:
    """False if a line of the history is wider than 80 columns, or leaves out when, what, who or why."""
    long = {"seq": 1234, "time_ns": 10**18, "before": "a" * 40, "after": "b" * 40, "actor": "engine", "cause": "c" * 30}
    moves = [
        {**long, "visit": 3, "attested": "words " * 40},
        {
            "seq": 2,
            "time_ns": 10**18,
            "before": "inbox",
            "after": "idle",
            "visit": 2,
            "actor": "agent",
            "reason": "tired",
        },
    ]
    lines = history_table({"success": True, "data": {"moves": moves, "next": 2}}).split("\n")
    assert all(len(line) <= 80 for line in lines)
    assert "2001-09" not in lines[0]
    assert lines[0].startswith("1234  09-0")
    assert ("inbox → idle" in lines[1], "agent" in lines[1], lines[1].endswith("tired")) == (True, True, True)
    assert lines[2] == "earlier ones: --before 2"
    taken = {**moves[1], "before": "direct", "after": "direct", "below": "idle"}
    assert "direct → direct (idle)" in history_table({"success": True, "data": {"moves": [taken]}})
    assert history_table({"success": True, "data": {"moves": []}}) == "no moves yet"


def test_what_is_measured_fits_80_columns() -> None:
    """False if a line were wider, whatever its names and numbers, or a table lacked a measure."""
    rollup = {"count": 123_456_789, "sum": 1e18, "least": 0.0, "greatest": 1 / 3, "last": 1, "p50": None, "p95": 2e-7}
    measures = {"request": rollup, "x" * 200: rollup, "a\nb": rollup}
    facts = {"y" * 200: 1e300, "context_percent": 12.5, "log_intact": False}
    context = {"tokens": 10**9, "model": "m", "confidence": "measured"}
    tokens = {"input": 10**9, "cache_read": 10**12, "cache_write": 0, "output": 7}
    about = {"agent": "z" * 64, "state": "s", "session": 10**6, "facts": facts, "context": context, "tokens": tokens}
    gaps = [{"family": "validator", "first": 1, "last": 10**9}]
    counts = dict.fromkeys(("agents", "events", "missed", "unwritten", "lost"), 10**6)
    whole = {**counts, "hour": measures, "day": measures, "late": {}, "gaps": gaps}
    peers = {"peers": [{**about, "role": "r" * 64}], "next": "z" * 40}
    texts = [
        of_agent({"success": True, "data": {**about, "hour": measures}}),
        of_system({"success": True, "data": whole}),
        of_peers({"success": True, "data": peers}),
    ]
    for text in texts:
        assert max(map(len, text.splitlines())) <= 80
    assert [sum(line.startswith("request ") for line in text.splitlines()) for text in texts] == [1, 2, 0]
    assert "12.5" in texts[2]
