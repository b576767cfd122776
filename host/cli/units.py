"""Quantities for people: sizes, rates, ages, times; and the type of an option that takes a duration."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import click

NS: Final = {"us": 10**3, "ms": 10**6, "s": 10**9}
NAMES_SHOWN_MAX: Final = 10

MINUTE_NS: Final = 60 * 10**9

COUNT_MAX: Final = 2**63 - 1
"""The largest number for MessagePack and `islice`."""


class Count(click.IntRange):
    """Type of a click option that counts turns or entries, at least `least`."""

    def __init__(self, least: int) -> None:
        super().__init__(least, COUNT_MAX)

    def _describe_range(self) -> str:
        return f"x>={self.min}"


def show_duration(ns: int) -> str:
    """Three digits and a suitable unit: 870 ns, 12.3 us, 1.50 s, 5 min 2 s, 3 h 4 min, 2 d 5 h."""
    if ns < 0:
        return "-" + show_duration(-ns)
    if ns >= MINUTE_NS:
        return _show_long(ns)
    for unit in ("s", "ms", "us"):
        if ns >= NS[unit]:
            return f"{_digits(ns / NS[unit])} {unit}"
    return f"{ns} ns"


def show_count(n: float) -> str:
    """Exact to 9,999, then 12.3 k, 4.56 M, 7.89 G."""
    if n < 10_000:
        return f"{n:,.0f}"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{_digits(n / size)} {unit}"
    raise AssertionError(n)


def show_rate(per_s: float) -> str:
    """Events per second: "0" at rest, one decimal below ten, then as `show_count`."""
    if per_s < 0.05:
        return "0"
    return f"{per_s:.1f}" if per_s < 10 else show_count(per_s)


def show_bytes(n: int) -> str:
    """Bytes in powers of 1,024: 512 B, 1.50 KiB, 64.0 MiB."""
    if n < 1024:
        return f"{n} B"
    scaled = float(n)
    for unit in ("KiB", "MiB", "GiB"):
        scaled /= 1024
        if scaled < 1024:
            return f"{_digits(scaled)} {unit}"
    return f"{_digits(scaled / 1024)} TiB"


def show_names(names: Sequence[object]) -> str:
    """Names, or only their number if they would fill more than a line or two."""
    return ", ".join(map(str, names)) if len(names) <= NAMES_SHOWN_MAX else f"{show_count(len(names))} engines"


def show_mailbox(item: Mapping[str, object], engine: str) -> str:
    """The mailbox that an item is about, by the key of its engine; without a number if it is the first one."""
    return f"{item[engine]}#{item['mailbox']}" if item.get("mailbox") else str(item[engine])


def show_time(ns: object) -> str:
    """Local time of day with milliseconds, with the date if it is not today; `-` for what is no time."""
    if not isinstance(ns, int):
        return "-"
    moment = time.localtime(ns // 10**9)
    clock = time.strftime("%H:%M:%S", moment) + f".{ns // 10**6 % 1000:03d}"
    today = moment[:3] == time.localtime()[:3]
    return clock if today else time.strftime("%Y-%m-%d ", moment) + clock


def duration(value: str | int) -> int:
    """Type of a click option such as `500ms` or `2s`, in nanoseconds; defaults are nanoseconds already.

    The syntax is that of the node file; its parser is imported only when a duration is given.
    """
    if isinstance(value, int):
        return value
    from host.config.units import UnitError, parse_quantity

    try:
        return parse_quantity(value, "_ns")
    except UnitError as e:
        guess = f"; {e.suggestion}" if e.suggestion else ""
        raise click.BadParameter(f"{value!r} is not a duration such as 500ms, 2s, 1min{guess}") from e


def _show_long(ns: int) -> str:
    seconds = ns // NS["s"]
    for big, big_s, small, small_s in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= big_s:
            rest = seconds % big_s // small_s
            return f"{seconds // big_s} {big}" + (f" {rest} {small}" if rest else "")
    raise AssertionError(ns)


def _digits(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:.0f}"
