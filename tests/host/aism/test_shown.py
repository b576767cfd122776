"""Answers as text for people."""

from __future__ import annotations

from typing import Any

from host.aism.shown import event_line


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
