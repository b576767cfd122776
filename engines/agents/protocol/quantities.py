"""Durations, sizes, counts and shares, as protocols write them: `5m`, `16KiB`, `10k`, `80%`."""

from __future__ import annotations

import re
from typing import Final

DURATIONS: Final = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
"""Units of time in ns."""

SIZES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
COUNTS: Final = {"": 1, "k": 1000}
NUMBER: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?([A-Za-z%]*)", re.ASCII)


def read(text: str, units: dict[str, int]) -> int | None:
    """The amount that `text` writes in one of the units, or None if it writes none. `1.5h` is exact, or else None."""
    match = NUMBER.fullmatch(text)
    if match is None or match[3] not in units:
        return None
    unit = units[match[3]]
    fraction = match[2] or ""
    amount, rest = divmod(int(match[1] + fraction) * unit, 10 ** len(fraction))
    return None if rest else amount


def write(amount: int, units: dict[str, int]) -> str:
    """The amount in the largest unit that leaves a whole number. `write(0, DURATIONS)` is `0s`."""
    zero = "s" if "s" in units else min(units, key=lambda unit: units[unit])
    if amount == 0:
        return f"0{zero}"
    name, unit = max((one for one in units.items() if amount % one[1] == 0), key=lambda one: one[1], default=("", 1))
    return f"{amount // unit}{name}"


def duration(text: str) -> int | None:
    """Nanoseconds."""
    return read(text, DURATIONS)


def size(text: str) -> int | None:
    """Bytes."""
    return read(text, SIZES)


def count(text: str) -> int | None:
    """A whole number."""
    return read(text, COUNTS)


def number(text: str) -> int | float | None:
    """A number of JSON, or a count such as `10k`; an int where it is written as one."""
    if re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        return int(text)
    if re.fullmatch(r"-?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,2})?", text, re.ASCII):
        return float(text)
    return count(text)


def write_number(value: int | float) -> str:
    """As `number` reads it."""
    return repr(value)
