"""What is measured, as text for people: tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import Any, Final

NAME_CHARS: Final = 29
WORD_CHARS: Final = 17
NUMBER_CHARS: Final = 9
COLUMNS: Final = ("count", "sum", "p50", "p95", "greatest")


def of_agent(answer: dict[str, Any], agent: str = "") -> str:
    """One agent: where it is, its tokens, and the measures of this hour."""
    if not answer["success"]:
        return ""
    data = answer["data"]
    context, tokens = data.get("context") or {}, data.get("tokens") or {}
    name = _cut(data.get("agent") or agent, NAME_CHARS)
    lines = [f"{name}  state {_cut(data['state'], WORD_CHARS)}  session {_number(data['session'])}"]
    if any(tokens.values()):
        lines.append("tokens   " + "  ".join(f"{name} {_number(one)}" for name, one in tokens.items()))
    if context.get("tokens") is not None:
        lines.append(f"context  {_number(context['tokens'])} tokens of {context['model']}, {context['confidence']}")
    lines += [f"{_cut(name, NAME_CHARS):{NAME_CHARS}}  {_number(one)}" for name, one in data["facts"].items()]
    return "\n".join([*lines, *_measures("this hour", data["hour"])])


def of_system(answer: dict[str, Any], _agent: str = "") -> str:
    """The whole: what was counted and missed, and the measures of this hour and of today."""
    if not answer["success"]:
        return ""
    data = answer["data"]
    counts = "  ".join(f"{name} {_number(data[name])}" for name in ("agents", "events", "missed", "unwritten", "lost"))
    gaps = [f"missed  {one['family']}, events {one['first']} to {one['last']}" for one in data["gaps"][-10:]]
    tables = ("this hour", data["hour"]), ("today", data["day"]), ("too late", data["late"])
    return "\n".join([*wrap(counts, 80), *gaps, *(line for name, found in tables for line in _measures(name, found))])


def of_peers(answer: dict[str, Any], _agent: str = "") -> str:
    """A line for each agent."""
    if not answer["success"]:
        return ""
    data = answer["data"]
    rows = [
        (one["agent"], one["role"], one["state"], one["session"], one["facts"].get("context_percent"))
        for one in data["peers"]
    ]
    lines = [_peer("agent", "role", "state", "session", "context %")]
    lines += [_peer(*words, _number(session), _number(percent)) for *words, session, percent in rows]
    more = [f"more: aism measure peers --after {data['next']}"] if data.get("next") else []
    return "\n".join([*lines, *more])


def _peer(*words: str) -> str:
    agent, role, state, session, percent = words
    cells = [f"{_cut(one, WORD_CHARS):{WORD_CHARS}}" for one in (agent, role, state)]
    return "  ".join([*cells, f"{session:>8}", f"{percent:>9}"])


def _measures(title: str, found: dict[str, dict[str, Any]]) -> list[str]:
    rows = [_row(name, [_number(one[column]) for column in COLUMNS]) for name, one in found.items()]
    return [_row(title, COLUMNS), *rows] if rows else []


def _row(name: str, cells: Iterable[str]) -> str:
    return f"{_cut(name, NAME_CHARS):{NAME_CHARS}}" + "".join(f" {cell:>{NUMBER_CHARS}}" for cell in cells)


def _cut(text: str, most: int) -> str:
    text = " ".join((text or "-").split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _number(value: Any) -> str:
    """A number in nine characters at most."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-" if value is None else _cut(str(value), NUMBER_CHARS)
    whole = f"{value:,.0f}"
    return whole if value == int(value) and len(whole) <= NUMBER_CHARS else f"{value:.3g}"
