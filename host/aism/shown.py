"""Answers as text for people: the state of an agent, its moves, its messages."""

from __future__ import annotations

from typing import Any


def state(answer: dict[str, Any]) -> str:
    """Where the agent is, where it may go, and what blocks the rest; the same for the error of a refused move."""
    if not answer["success"]:
        return "\n".join(_blocked(answer["error"].get("details", {})))
    data = answer["data"]
    lines = [f"{answer['agent']} is in {data.get('state', '?')}" + (f": {data['text']}" if data.get("text") else "")]
    protocol = answer.get("protocol") or {}
    if protocol.get("name"):
        lines.append(f"protocol {protocol['name']} {protocol.get('version', '')}")
    context = data.get("context") or {}
    lines += [f"  {name} = {value!r}" for name, value in context.items()]
    allowed = data.get("allowed_transitions")
    if allowed is not None:
        lines.append(f"may go to: {', '.join(allowed) or 'nothing now'}")
    return "\n".join([*lines, *_blocked(data)])


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


def messages(answer: dict[str, Any]) -> str:
    """One message below the other; what others wrote is between their markers."""
    if not answer["success"]:
        return ""
    found = answer["data"].get("messages") or []
    if not found:
        return "no messages"
    return "\n\n".join(_message(one) for one in found)


def _message(one: dict[str, Any]) -> str:
    head = " ".join(str(one[name]) for name in ("id", "type", "from") if one.get(name))
    fields = [f"  {name} = {value!r}" for name, value in (one.get("fields") or {}).items()]
    return "\n".join([head, *fields, str(one.get("text") or one.get("body") or "")])
