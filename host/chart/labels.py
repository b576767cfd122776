"""Messages, values and durations on one line of a chart: control characters escaped, long values shortened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from host.chart.escapes import one_line

VALUE_MAX: Final = 24
"""Characters of a value: a name, a time in nanoseconds, or the begin of a hash."""
LABEL_MAX: Final = 120
"""Characters of a label: a line and a half of a terminal."""
CUT: Final = "…"
TYPE: Final = "type"
"""The key of a message's type in the model's `view`."""


def message_label(message: Any) -> str:
    """A message with its type: as the model's `view` gives it, or in its wire form, a list without names of fields."""
    match message:
        case dict() if isinstance(message.get(TYPE), str):
            fields = (f"{one_line(name)}={value_label(v)}" for name, v in message.items() if name != TYPE)
            return _called(message[TYPE], fields)
        case [str() as name, *values]:
            return _called(name, map(value_label, values))
        case _:
            return value_label(message)


def value_label(value: Any) -> str:
    """A value, cut at `VALUE_MAX` characters."""
    return shortened(_plain(value), VALUE_MAX)


def text_label(text: str) -> str:
    """A text of an engine or an error, cut at `LABEL_MAX` characters."""
    return shortened(one_line(text), LABEL_MAX)


def family_label(reference: str) -> str:
    """A family by the last name of its module: `dice:DICE`."""
    return text_label(reference.rpartition(".")[2])


def delay_label(delay_ns: int) -> str:
    """A duration in seconds, or in nanoseconds if it is below a microsecond."""
    return f"{delay_ns} ns" if abs(delay_ns) < 1_000 else f"{delay_ns / 10**9:.6g} s"


def shortened(text: str, length_max: int) -> str:
    """The text, its end replaced by a mark if it is too long."""
    return text if len(text) <= length_max else text[: length_max - 1] + CUT


def _called(name: str, fields: Iterable[str]) -> str:
    inside = ", ".join(fields)
    return shortened(f"{one_line(name)}({inside})" if inside else one_line(name), LABEL_MAX)


def _plain(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case bytes():
            return "0x" + value[:VALUE_MAX].hex()
        case dict() if isinstance(value.get(TYPE), str):
            return message_label(value)
        case dict():
            return "{" + ", ".join(f"{one_line(k)}: {_plain(v)}" for k, v in list(value.items())[:VALUE_MAX]) + "}"
        case list() | tuple():
            return "[" + ", ".join(_plain(v) for v in value[:VALUE_MAX]) + "]"
        case str():
            return one_line(value[: 4 * VALUE_MAX])
        case _:
            return one_line(value)
