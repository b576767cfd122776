"""Records of the session log of an agent's program: one JSON object a line, read into what is measured. Pure.

A program is known by its adapter: a function from a line to a record, or None for a line of no interest. `claude-code`
is the one there is; other programs are added to `ADAPTERS`.

Of a log it is known that an assistant's message is written up to 14 times, with equal or growing counts; that its
request id may be missing; that the same message is in several files; that lines of sub-agents are marked `isSidechain`;
that times are out of order; and that a line may be no JSON at all. So lines are only read here, each by itself;
`engines/agents/measuring/tokens.py` counts each message once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from engines.model import Value

COUNT_MAX: Final = 10**12
TEXT_MAX: Final = 200
_DAYS: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


class Usage(Value):
    """Tokens: what was read anew, from the cache, into the cache, and what was written."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def context(self) -> int:
        """How many tokens the model had before it when it wrote."""
        return self.input + self.cache_read + self.cache_write

    def minus(self, other: Usage) -> Usage:
        """What this one has more."""
        return Usage(
            self.input - other.input,
            self.cache_read - other.cache_read,
            self.cache_write - other.cache_write,
            self.output - other.output,
        )

    def plus(self, other: Usage) -> Usage:
        """Both."""
        return Usage(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.output + other.output,
        )


class LogRecord(Value):
    """A line of a session log: an assistant's message, a compaction (`usage.input` has the tokens after it), or results
    of tools (`failed` of them errors).

    `message` and `request` are "" where the line has none. `time_ns` is 0 where it has no readable time.
    """

    kind: Literal["message", "compaction", "tools"]
    session: str
    time_ns: int
    model: str = ""
    message: str = ""
    request: str = ""
    usage: Usage = Usage()
    is_sidechain: bool = False
    count: int = 0
    failed: int = 0


Adapter = Callable[[bytes], LogRecord | None]


def read_claude_code(line: bytes) -> LogRecord | None:
    """The record in a line of a session of Claude Code; None for other lines, and for damaged ones."""
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if not isinstance(row, dict):
        return None
    match row.get("type"):
        case "assistant":
            return _message(row)
        case "user":
            return _tools(row)
        case "system" if row.get("subtype") == "compact_boundary":
            return _compaction(row)
    return None


ADAPTERS: Final[Mapping[str, Adapter]] = {"claude-code": read_claude_code}


def _message(row: Mapping[str, Any]) -> LogRecord | None:
    message = row.get("message")
    usage = message.get("usage") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(usage, dict):
        return None
    name = _text(message.get("id")) or _text(row.get("uuid"))
    return LogRecord(
        "message",
        _text(row.get("sessionId")),
        time_of(row.get("timestamp")),
        _text(message.get("model")),
        name,
        _text(row.get("requestId")),
        Usage(
            _count(usage.get("input_tokens")),
            _count(usage.get("cache_read_input_tokens")),
            _cache_write(usage),
            _count(usage.get("output_tokens")),
        ),
        row.get("isSidechain") is True,
    )


def _cache_write(usage: Mapping[str, Any]) -> int:
    """As one number, or split by how long the cache lives."""
    whole, split = _count(usage.get("cache_creation_input_tokens")), usage.get("cache_creation")
    if whole or not isinstance(split, dict):
        return whole
    return sum(_count(split.get(name)) for name in ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"))


def _compaction(row: Mapping[str, Any]) -> LogRecord:
    about = row.get("compactMetadata")
    after = about.get("postTokens") if isinstance(about, dict) else 0
    side, name = row.get("isSidechain") is True, _text(row.get("uuid"))
    time_ns, session = time_of(row.get("timestamp")), _text(row.get("sessionId"))
    return LogRecord("compaction", session, time_ns, message=name, usage=Usage(_count(after)), is_sidechain=side)


def _tools(row: Mapping[str, Any]) -> LogRecord | None:
    message = row.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return None
    results = [one for one in content if isinstance(one, dict) and one.get("type") == "tool_result"]
    if not results:
        return None
    failed = sum(one.get("is_error") is True for one in results)
    side, name = row.get("isSidechain") is True, _text(row.get("uuid"))
    time_ns, session = time_of(row.get("timestamp")), _text(row.get("sessionId"))
    return LogRecord("tools", session, time_ns, message=name, is_sidechain=side, count=len(results), failed=failed)


def time_of(value: Any) -> int:
    """Nanoseconds since 1970 of a time such as 2026-01-31T12:00:00.123Z; 0 for anything else."""
    try:
        date, _, clock = value.removesuffix("Z").partition("T")
        year, month, day = map(int, date.split("-"))
        hour, minute, second = clock.split(":")
        seconds = int(hour) * 3_600 + int(minute) * 60 + float(second)
        leap = (year - 1969) // 4 - (year - 1901) // 100 + (year - 1601) // 400
        days = (year - 1970) * 365 + leap + _DAYS[month - 1] + day - 1
        is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if not (1970 <= year <= 2200 and month >= 1 and 1 <= day <= 31 and 0 <= seconds < 86_401):
            return 0
        return (days + (is_leap and month > 2)) * 86_400 * 10**9 + round(seconds * 1_000) * 10**6
    except (AttributeError, ValueError, IndexError, OverflowError):
        return 0


def _count(value: Any) -> int:
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= COUNT_MAX
    return value if is_one else 0


def _text(value: Any) -> str:
    return value[:TEXT_MAX] if isinstance(value, str) else ""
