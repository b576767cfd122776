"""The records between `lint` and its child: the order, and what was found.

Separate from both, because the asking side imports no family.
"""

from __future__ import annotations

import msgspec

from engines.model.check.lint import LintFinding, Repeatable
from host.live.inspection.inspect_records import Begin, Done, EngineValues


class LintOrder(msgspec.Struct, frozen=True, array_like=True):
    """What to look at: families, modules or absolute paths of files; `engines` give values for their families.

    `deadline_ns` bounds the look at one family.
    """

    targets: tuple[str, ...]
    roots: tuple[str, ...] = ()
    engines: tuple[EngineValues, ...] = ()
    runs: bool = True
    deadline_ns: int = 0


class Linted(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Findings about a family; more may follow."""

    ref: str
    findings: tuple[LintFinding, ...]


class Cases(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Transitions of a family to be repeated, and the place of the family."""

    ref: str
    file: str
    line: int
    cases: tuple[Repeatable, ...]


class Absent(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A target that names nothing to look at; `is_empty`: a module that is there, without a family."""

    target: str
    reason: str
    is_empty: bool = False


class Remark(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What the user should know, and is no finding."""

    text: str


LintRecord = Begin | Linted | Cases | Absent | Remark | Done
