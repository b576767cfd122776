"""Findings about a protocol file: what is wrong, where, how grave it is, and what would help."""

from __future__ import annotations

from typing import Final, Literal

from engines.model import Value

from .model import Place

Severity = Literal["error", "warning", "advice"]

ERRORS: Final = (
    "E-ENC", "E-SIZE", "E-LIMIT", "E-FRONT", "E-TITLE", "E-NAME-FILE",
    "E-DUP-SECTION", "E-DUP-STATE", "E-DUP-MSG", "E-DUP-ROLE", "E-DUP-FIELD", "E-DUP-ITEM",
    "E-ID", "E-ITEM",
    "E-UNDEF-STATE", "E-UNDEF-MSG", "E-UNDEF-ROLE", "E-UNDEF-FIELD", "E-UNDEF-PROTOCOL", "E-UNDEF-MEASURE",
    "E-TYPE", "E-RANGE", "E-DEFAULT",
    "E-GUARD-SYNTAX", "E-GUARD-NAME", "E-GUARD-TYPE", "E-GUARD-SIZE", "E-GUARD-OPAQUE",
    "E-FINAL-OUT", "E-INITIAL", "E-AMBIGUOUS", "E-TIMER", "E-UNSAT-INV",
    "E-MSG-ROLE", "E-REPLY", "E-CAUSAL", "E-CYCLE-EXTENDS", "E-CYCLE-USES", "E-DIGEST", "E-MIGRATION", "E-VERSION",
)  # fmt: skip
"""A protocol with one of these is not loaded."""

WARNINGS: Final = (
    "W-NO-VERSION", "W-NO-INITIAL", "W-UNREACHABLE", "W-DEAD-END", "W-TRAP", "W-NEVER", "W-ALWAYS", "W-SHADOWED",
    "W-OVERLAP", "W-BUSY-LOOP", "W-REPLY-STORM", "W-DEADLOCK", "W-UNSPECIFIED", "W-ORPHAN", "W-SECTION-TYPO",
    "W-LOCALE",
)  # fmt: skip
"""`--strict` makes errors of these."""

ADVICE: Final = ("W-NO-PRESSURE", "W-NO-TIMEOUT", "W-PROSE-MODAL", "W-GAP", "W-NO-CONDITION", "W-UNUSED")
"""These never fail a file."""

SEVERITIES: Final[dict[str, Severity]] = {
    **dict.fromkeys(ERRORS, "error"),
    **dict.fromkeys(WARNINGS, "warning"),
    **dict.fromkeys(ADVICE, "advice"),
}


class Fix(Value):
    """An edit that removes the finding: `length` characters at the place become `text`."""

    line: int
    column: int
    length: int
    text: str


class Related(Value):
    """Another place that a finding is about."""

    line: int
    column: int
    message: str


class Finding(Value):
    """A finding. It is about `length` characters from `line` and `column`, both from 1; 0 characters name a place."""

    severity: Severity
    code: str
    line: int
    column: int
    message: str
    hint: str = ""
    length: int = 0
    related: tuple[Related, ...] = ()
    fix: Fix | None = None

    @property
    def is_error(self) -> bool:
        """Whether the protocol is not loaded."""
        return self.severity == "error"


def found(
    code: str,
    place: Place,
    message: str,
    hint: str = "",
    *,
    length: int = 0,
    related: tuple[Related, ...] = (),
    becomes: str | None = None,
) -> Finding:
    """A finding of this code. `becomes` is what its characters should be."""
    fix = None if becomes is None else Fix(place.line, place.column, length, becomes)
    return Finding(SEVERITIES[code], code, place.line, place.column, message, hint, length, related, fix)


class Unreadable(Exception):
    """A part of a file cannot be read; the finding says why."""

    def __init__(self, code: str, place: Place, message: str, hint: str = "", *, length: int = 0) -> None:
        super().__init__(message)
        self.finding = found(code, place, message, hint, length=length)


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """By place, each once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda one: (one.line, one.column, one.code, one.message)))
