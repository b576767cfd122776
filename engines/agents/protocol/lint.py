"""All findings about a protocol: of its form, its names, its graph, its guards, and its messages.

Rules are in `lint_names`, `lint_graph`, `lint_guards` and `lint_talk`. The exploration of several roles together is
`explore`: it runs outside, and its findings can be added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from .canonical import digest
from .findings import Finding, in_order
from .library import Library
from .lint_graph import check_graph
from .lint_guards import check_guards
from .lint_names import check_names
from .lint_talk import check_talk
from .model import Protocol
from .parse import Reading
from .subject import Subject
from .versions import read_version

NO_LIBRARY: Final[Mapping[str, Protocol]] = {}


def lint(
    subject: Protocol | Reading,
    library: Library = NO_LIBRARY,
    registered: Protocol | None = None,
    more: Iterable[Finding] = (),
) -> tuple[Finding, ...]:
    """All findings, by place. `registered` is the current version of the same name, if the engine has one.

    `library` has the protocols that `extends` and `uses` may name; `more` are findings of the exploration.
    """
    reading = subject if isinstance(subject, Reading) else None
    protocol = subject.protocol if isinstance(subject, Reading) else subject
    if reading is not None and reading.is_broken:
        return reading.findings
    looked = Subject(protocol, library, reading.document.lines if reading is not None else ())
    check_names(looked)
    check_graph(looked)
    check_guards(looked)
    check_talk(looked)
    _check_versions(looked, registered)
    found = [*(reading.findings if reading is not None else ()), *looked.findings, *more]
    if reading is not None:
        found = [one for one in found if not _is_ignored(one, reading.document.ignored)]
    return in_order(found)


def strict(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The same findings, warnings as errors."""
    return tuple(
        msgspec.structs.replace(one, severity="error") if one.severity == "warning" else one for one in findings
    )


def _is_ignored(finding: Finding, ignored: tuple[tuple[str, int, int], ...]) -> bool:
    """Whether a comment silences a warning or advice; errors are never silenced."""
    return not finding.is_error and any(
        code == finding.code and first <= finding.line <= last for code, first, last in ignored
    )


def _check_versions(subject: Subject, registered: Protocol | None) -> None:
    own = subject.own
    if not own.has_version:
        message = f"no version; {own.version} is assumed"
        subject.add("W-NO-VERSION", own.title, message, "begin the file with '---', 'version: 1.0.0', '---'")
    mine = read_version(own.version)
    for migration in own.migrations:
        target = read_version(migration.to)
        if own.has_version and mine is not None and target is not None and target > mine:
            message = f"migration leads to {migration.to}, and this file is {own.version}"
            subject.add("E-MIGRATION", migration.place, message, "raise the version, or correct the migration")
        olds: set[str] = set()
        for mapping in migration.states:
            if mapping.old in olds:
                message = f"state '{mapping.old}' has two rules"
                subject.add("E-MIGRATION", mapping.place, message, "remove one of them", length=len(mapping.old))
            olds.add(mapping.old)
    if registered is None or registered.name != own.name:
        return
    theirs = read_version(registered.version)
    if registered.version == own.version and digest(registered) != digest(own):
        message = f"content changed but version is still {own.version}; raise it"
        subject.add("E-DIGEST", own.title, message, "prose may change; states, moves, guards and the rest may not")
    elif mine is not None and theirs is not None and mine < theirs:
        message = f"version {own.version} is lower than the registered {registered.version}"
        subject.add("E-VERSION", own.title, message, "raise the version")
