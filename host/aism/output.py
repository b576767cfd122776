"""What a call prints: one JSON object, or text for people; and its exit status.

The object is `{"success": true, "data": {...}, ...}`, or `{"success": false, "error": {...}}`. It goes to stdout; in
text form an error goes to stderr. The exit status is `bus.EXITS` of the kind of the error.
"""

from __future__ import annotations

import os
import sys

from engines.agents.bus import EXITS
from engines.agents.names import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Final

TYPES: Final = {
    "validation": "validation",
    "timeout": "system",
    "usage": "usage",
    "identity": "identity",
    "unknown": "validation",
    "unavailable": "system",
    "limit": "coordination",
    "conflict": "coordination",
    "internal": "system",
}
"""The type of each kind of error, for agents that know only five."""

CONTROLS: Final = {ord(c): f"\\x{ord(c):02x}" for c in map(chr, (*range(9), *range(11, 32), *range(127, 160)))}
"""Control characters, which no text brings to a terminal."""


class Outcome(NamedTuple):
    """What a command came to: the object, and the same as text for people (empty: the data, one a line).

    `json` is the object as it is printed, where that is known.
    """

    envelope: dict[str, Any]
    text: str = ""
    json: str = ""


class Failure(Exception):
    """A call fails. `kind` is a key of `bus.EXITS`, `code` a word for programs, `message` a line for people."""

    def __init__(
        self,
        kind: str,
        code: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        suggestions: list[str] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.error: dict[str, Any] = {
            "type": TYPES[kind],
            "kind": kind,
            "code": code,
            "message": message,
            "details": details or {},
            "recovery_suggestions": suggestions or [],
        }
        if retry_after_ms is not None:
            self.error["retry_after_ms"] = retry_after_ms


def done(data: dict[str, Any], text: str = "") -> Outcome:
    """A call that succeeded here, without the engine."""
    return Outcome({"success": True, "data": data, "notices": []}, text)


def noticed(outcome: Outcome, *notices: str) -> Outcome:
    """The same, with what else there is to say."""
    said = [one for one in notices if one]
    envelope = outcome.envelope | {"notices": [*outcome.envelope["notices"], *said]}
    return Outcome(envelope, "\n".join([outcome.text, *said]))


def failed(failure: Failure, data: dict[str, Any] | None = None, text: str = "") -> Outcome:
    """A call that failed here. `data` and `text` are what there is to see all the same."""
    return Outcome({"success": False, "data": data or {}, "error": failure.error, "notices": []}, text)


def put(outcome: Outcome, *, as_json: bool, is_quiet: bool = False) -> int:
    """Print, and return the exit status."""
    envelope = outcome.envelope
    if as_json:
        write(outcome.json or _json(envelope))
    elif not is_quiet or not envelope["success"]:
        if outcome.text or envelope["success"]:
            write((outcome.text or _lines(envelope.get("data", {}))).translate(CONTROLS))
        if not envelope["success"]:
            _complain(envelope["error"])
    if envelope["success"]:
        return 0
    return EXITS.get(envelope["error"].get("kind", ""), EXITS["internal"])


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _lines(data: Any, inset: str = "") -> str:
    """A value for people: names and values a line each, what holds others indented below its name."""
    lines = []
    for name, value in data.items():
        if isinstance(value, dict) and value:
            lines += [f"{inset}{name}:", _lines(value, inset + "  ")]
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            lines += [f"{inset}{name}:", *(_item(one, inset + "  ") for one in value)]
        else:
            lines.append(f"{inset}{name}: {_plain(value)}".rstrip())
    return "\n".join(lines)


def _item(value: Any, inset: str) -> str:
    """An item of a list; the fields of an object follow its first one, without those that are empty."""
    if not isinstance(value, dict):
        return f"{inset}- {_plain(value)}"
    held = _lines({name: one for name, one in value.items() if one not in ([], {}, "", None)}, inset + "  ")
    return f"{inset}- {held.lstrip()}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return value if isinstance(value, str) else "" if value in (None, {}) else _json(value)


def _complain(error: dict[str, Any]) -> None:
    lines = [f"aism: {error['message']}", *(f"  {one}" for one in error.get("recovery_suggestions", ()))]
    sys.stderr.write("\n".join(lines).translate(CONTROLS) + "\n")


def write(text: str) -> bool:
    """Print, and return whether there is a reader. What Python prints at exit to a closed pipe goes nowhere then."""
    if not text:
        return True
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
