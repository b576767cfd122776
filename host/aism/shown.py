"""Answers as text for people: the state of an agent, its moves, its messages."""

from __future__ import annotations

import time

from engines.agents.names import TYPE_CHECKING
from host.aism.output import CONTROLS

if TYPE_CHECKING:
    from typing import Any, Final

WIDTH: Final = 80
MOVE_MAX: Final = 32
ACTOR_MAX: Final = 16


def state(answer: dict[str, Any], agent: str = "") -> str:
    """Where `agent`, by default the caller, is, where it may go, and what blocks the rest; also for a refused move."""
    if not answer["success"]:
        return "\n".join(_blocked(answer["error"].get("details", {})))
    data = answer["data"]
    lines = [
        f"{agent or answer['agent']} is in {data.get('state', '?')}" + (f": {data['text']}" if data.get("text") else "")
    ]
    protocol = answer.get("protocol") or {}
    if protocol.get("name"):
        lines.append(f"protocol {protocol['name']} {protocol.get('version', '')}")
    context = data.get("context") or {}
    lines += [f"  {name} = {value!r}" for name, value in context.items()]
    allowed = data.get("allowed_transitions")
    if allowed is not None:
        lines.append(f"may go to: {', '.join(allowed) or 'nothing now'}")
    return "\n".join([*lines, *_blocked(data)])


def history_table(answer: dict[str, Any], _agent: str = "") -> str:
    """The moves, a line of at most 80 columns each, the newest first: when, from where to where, by whom, and why."""
    if not answer["success"]:
        return ""
    rows = [_past(one) for one in answer["data"]["moves"]]
    if not rows:
        return "no moves yet"
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    widths[2], widths[3] = min(widths[2], MOVE_MAX), min(widths[3], ACTOR_MAX)
    lines = []
    for row in rows:
        cells = [row[0].rjust(widths[0]), *(_cut(row[at], widths[at]).ljust(widths[at]) for at in (1, 2, 3)), row[4]]
        lines.append(_cut("  ".join(cells).rstrip(), WIDTH))
    following = answer["data"].get("next")
    return "\n".join([*lines, *([f"earlier ones: --before {following}"] if following else [])])


def _past(one: dict[str, Any]) -> list[str]:
    clock = time.strftime("%m-%d %H:%M:%S", time.localtime(one["time_ns"] // 10**9))
    who = " ".join(dict.fromkeys(filter(None, (one.get("actor", ""), one.get("cause", "")))))
    why = one.get("reason") or one.get("attested") or ""
    to = one["after"] + (f" ({one['below']})" if "below" in one else "")
    return [str(one["seq"]), clock, f"{one['before']} → {to}", who, " ".join(why.split())]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _blocked(found: dict[str, Any]) -> list[str]:
    lines = []
    for one in found.get("blocked") or ():
        reasons = [
            f"{kind}: {', '.join(map(str, one[kind]))}"
            for kind in ("missing", "invalid", "awaiting", "forbidden")
            if one.get(kind)
        ]
        lines.append(f"  {one.get('target', '?')}: {'; '.join(reasons) or 'possible'}")
    return lines


def messages(answer: dict[str, Any], _agent: str = "") -> str:
    """One message below the other; what others wrote is between their markers."""
    if not answer["success"]:
        return ""
    found = [_message(one) for one in answer["data"].get("messages") or []] or ["no messages"]
    if unknown := answer["data"].get("unknown"):
        found.append(f"not handed out to you: {' '.join(unknown)}")
    return "\n\n".join(found)


def _message(one: dict[str, Any]) -> str:
    head = " ".join(str(one[name]) for name in ("id", "type", "from") if one.get(name))
    fields = [f"  {name} = {value!r}" for name, value in (one.get("fields") or {}).items()]
    return "\n".join([head, *fields, str(one.get("text") or one.get("body") or "")])


def agents(answer: dict[str, Any], _agent: str = "") -> str:
    """A table of agents."""
    if not answer["success"]:
        return ""
    found = answer["data"]["agents"]
    rows = [f"{one['agent']:<16} {one['phase']:<12} {one['state']:<16} {one['pid'] or '-'}" for one in found]
    return "\n".join([f"{'AGENT':<16} {'PHASE':<12} {'STATE':<16} PID", *rows]) if rows else "no agents"


def event_line(event: dict[str, Any]) -> str:
    """An event on one line: when, who, what, and its attributes."""
    seconds, ns = divmod(event["time_ns"], 10**9)
    clock = time.strftime("%H:%M:%S", time.localtime(seconds))
    value = "" if event["value"] is None else f"{_number(event['value'])} {event['unit']}".rstrip()
    attributes = [f"{name}={text}" for name, text in event["attributes"]]
    words = [event["agent"] or "-", event["kind"], event["state"], value, *attributes]
    line = f"{clock}.{ns // 10**6:03d}  " + "  ".join(word for word in words if word)
    return line.replace("\n", "\\n").translate(CONTROLS)


def _number(value: float) -> str:
    """Whole numbers as they are, others with six digits."""
    return f"{value:.0f}" if value == int(value) else f"{value:.6g}"
