"""Converts durations and sizes such as `500ms`, `1.5min`, `64KiB`, `10MB` to whole nanoseconds and bytes.

The name of a field decides: one that ends in `_ns` takes a duration, one that ends in `_bytes` a size. Units are
case-sensitive, because `mB` and `MB` differ. The arithmetic is exact: a value that is not a whole number is refused,
not rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

DURATIONS: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
"""Nanoseconds. A day has 24 hours."""

SIZES: Final[Mapping[str, int]] = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""Bytes. `MB` is a million, `MiB` 2 to the 20th."""

VALUE_MAX: Final = 2**63 - 1
"""About 292 years, or 8 EiB."""

_WRITTEN: Final = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))? ?([^\W\d_]+)")
_SYNONYMS: Final = frozenset({"µs", "KB"})
_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)
_BY_SUFFIX: Final = {"_ns": (DURATIONS, "duration", "500ms"), "_bytes": (SIZES, "size", "64KiB")}


class UnitError(ValueError):
    """A text that is not such a quantity; `suggestion` contains a guess, or ""."""

    def __init__(self, text: str, suggestion: str = "") -> None:
        super().__init__(text)
        self.suggestion = suggestion


def unit_suffix(field: str) -> str:
    """`_ns` or `_bytes` when a field of this name takes a unit, else the empty string."""
    return next((suffix for suffix in _BY_SUFFIX if field.endswith(suffix)), "")


def parse_quantity(text: str, suffix: str) -> int:
    """`text` in nanoseconds (`suffix` is `_ns`) or bytes (`_bytes`); 0 to `VALUE_MAX`.

    Raises `UnitError`.
    """
    units, what, example = _BY_SUFFIX[suffix]
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"expected a {what} such as `{example}`, found `{text}`", _missing_unit(text, suffix))
    whole, fraction, unit = match.group(1), match.group(2) or "", match.group(3)
    if unit not in units:
        shown = ", ".join(each for each in units if each not in _SYNONYMS)
        raise UnitError(f"no unit `{unit}` for a {what}; there are {shown}", _other_unit(text, unit, units))
    scale: int = 10 ** len(fraction)
    value, rest = divmod(int(whole + fraction) * units[unit], scale)
    if rest:
        raise UnitError(f"`{text}` is not a whole number of {'nanoseconds' if suffix == '_ns' else 'bytes'}")
    if value > VALUE_MAX:
        raise UnitError(f"`{text}` is too large")
    return value


def _missing_unit(text: str, suffix: str) -> str:
    number = text.strip()
    if not _NUMBER.fullmatch(number):
        return ""
    unit = "ns" if suffix == "_ns" else "B"
    return f"did you mean `{number}{unit}`?"


def _other_unit(text: str, unit: str, units: Mapping[str, int]) -> str:
    """Suggests the unit that differs only in case, or the short name of a written-out unit."""
    words = {"sec": "s", "second": "s", "minute": "min", "m": "min", "hour": "h", "hr": "h", "day": "d", "byte": "B"}
    folded = {known.lower(): known for known in units} | {"k": "KiB", "g": "GiB"}
    lower = unit.lower().rstrip("s") if len(unit) > 2 else unit.lower()
    known = folded.get(unit.lower()) or words.get(lower) or folded.get(lower)
    return f"did you mean `{text.strip().removesuffix(unit)}{known}`?" if known in units else ""
