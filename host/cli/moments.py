"""A bound of a part of a journal, as an option: the number of a turn, or a time of day, maybe with its date."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple

import click

from host.cli.units import COUNT_MAX

_TIME: Final = re.compile(r"(?:(\d{4}-\d\d-\d\d)[ T])?(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?", re.ASCII)
SECOND_NS: Final = 10**9


class Bound(NamedTuple):
    """Either the number of a turn, or a time."""

    turn: int | None
    time_ns: int | None


class BoundType(click.ParamType):  # type: ignore[type-arg, unused-ignore] # generic since click 8.4
    """Type of an option that takes such a bound; a last time includes all of the second or millisecond it names."""

    name = "N|TIME"

    def __init__(self, *, last: bool) -> None:
        self._is_last = last

    def convert(self, value: str | Bound, param: click.Parameter | None, ctx: click.Context | None) -> Bound:
        """Times are local, as they are shown; without a date they are of today."""
        if isinstance(value, Bound):
            return value
        try:
            return parse_bound(value, last=self._is_last)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_bound(text: str, *, last: bool) -> Bound:
    """The bound. Raises ValueError."""
    if text.isascii() and text.isdecimal():
        if not 1 <= int(text) <= COUNT_MAX:
            raise ValueError(f"{text} is not the number of a turn: turns count from 1")
        return Bound(int(text), None)
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is neither the number of a turn nor a time such as 12:30:05.250")
    date, minute, second, digits = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date or datetime.now().date()}T{minute}:{second or '00'}")
        begin_ns = int(moment.timestamp()) * SECOND_NS + int((digits or "").ljust(9, "0"))
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is no time: {error}") from None
    unit_ns = SECOND_NS // 10 ** len(digits or "") if second else 60 * SECOND_NS
    return Bound(None, begin_ns + (unit_ns - 1 if last else 0))
