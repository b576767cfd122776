"""Semantic versions and ranges of them: `1.2.0`, `1.1` (any 1.1.x), `^1.2`, `~1.2.3`, `>=1.0 <2`, `*`, `a || b`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

SEMVER: Final = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)
COMPARATOR: Final = re.compile(
    r"(\^|~|>=|<=|>|<|=)?\s*(\d{1,9})(?:\.(\d{1,9}|x))?(?:\.(\d{1,9}|x))?(-[0-9A-Za-z.-]+)?", re.ASCII
)
RANGE_CHARS_MAX: Final = 100


class Version(NamedTuple):
    """A version that compares as semantic versioning says. A release comes after its pre-releases."""

    major: int
    minor: int
    patch: int
    before: tuple[tuple[int, int, str], ...] = ()


RELEASE: Final = ((2, 0, ""),)
"""What is `before` in a release: it is more than the parts of any pre-release."""


class Span(NamedTuple):
    """From `low` to before `high` (None: no end), or through it."""

    low: Version
    high: Version | None
    through: bool = False
    after: bool = False

    def has(self, version: Version) -> bool:
        """Whether the version is within."""
        if version < self.low or (self.after and version == self.low):
            return False
        return self.high is None or version < self.high or (self.through and version == self.high)


def read_version(text: str) -> Version | None:
    """The version, or None if the text is none."""
    match = SEMVER.fullmatch(text) if len(text) <= RANGE_CHARS_MAX else None
    if match is None:
        return None
    parts = tuple(_part(one) for one in match[4].split(".")) if match[4] else RELEASE
    return Version(int(match[1]), int(match[2]), int(match[3]), parts)


def read_range(text: str) -> tuple[tuple[Span, ...], ...] | None:
    """The alternatives of a range, each a conjunction of spans; None if the text is no range."""
    if len(text) > RANGE_CHARS_MAX:
        return None
    alternatives: list[tuple[Span, ...] | None] = []
    for part in text.split("||"):
        spans: list[Span] = []
        left = part.strip()
        if left in ("*", ""):
            alternatives.append(() if left else None)
            continue
        while left:
            match = COMPARATOR.match(left)
            span = _span(match) if match else None
            if match is None or span is None:
                return None
            spans.append(span)
            left = left[match.end() :].lstrip(" ,")
        alternatives.append(tuple(spans))
    found = [one for one in alternatives if one is not None]
    return tuple(found) if len(found) == len(alternatives) else None


def is_in_range(version: str, text: str) -> bool:
    """Whether a version is in a range; False if one of the texts is malformed."""
    known = read_version(version)
    spans = read_range(text)
    return known is not None and spans is not None and any(all(span.has(known) for span in one) for one in spans)


def _part(text: str) -> tuple[int, int, str]:
    return (0, int(text), "") if text.isdecimal() and len(text) < 18 else (1, 0, text)


def _span(match: re.Match[str]) -> Span | None:
    sign, major, minor, patch, before = match.groups()
    numbers = [int(one) if one and one != "x" else 0 for one in (major, minor, patch)]
    given = 1 + (minor not in (None, "x")) + (minor not in (None, "x") and patch not in (None, "x"))
    parts = tuple(_part(one) for one in before[1:].split(".")) if before else RELEASE
    if before and given < 3:
        return None
    # A range without a pre-release begins at the first one of its version only where it says so.
    low = Version(numbers[0], numbers[1], numbers[2], parts)
    if sign == ">=":
        return Span(low, None)
    if sign == ">":
        return Span(low, None, after=True) if given == 3 else Span(_next(numbers, given), None)
    if sign == "<":
        return Span(Version(0, 0, 0), low if before else low._replace(before=()))
    if sign == "<=":
        return Span(Version(0, 0, 0), low, True) if given == 3 else Span(Version(0, 0, 0), _next(numbers, given))
    if sign == "^":
        first = next((at for at, one in enumerate(numbers) if one), given - 1)
        return Span(low, _next(numbers, first + 1))
    if sign == "~":
        return Span(low, _next(numbers, min(given, 2)))
    return Span(low, low, True) if given == 3 else Span(low, _next(numbers, given))


def _next(numbers: list[int], given: int) -> Version:
    """The first version after those with the same `given` numbers; its pre-releases are not before it."""
    raised = [*numbers[: given - 1], numbers[given - 1] + 1, 0, 0][:3]
    return Version(raised[0], raised[1], raised[2])
