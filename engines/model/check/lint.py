"""Everything that can be found in a family before it runs, as findings with a place, a reason and a remedy.

Three parts: the reading of its code (`reading`), the search for overlapping rules (`overlap`), and the trials whose
cases another process repeats (`trial`, `determinism`). The reading runs nothing, so it comes first: a family whose code
does input or output, or starts threads or processes, is not run at all, unless a comment accepts each of these.

Overlaps are findings where the author has not asked for them: not with the strategies `all` and `one`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

import msgspec

from ..family import Family
from ..place import Place
from ..rule import Rule
from ..step import step
from .determinism import Difference
from .impure import KINDS, remedy_of
from .overlap import CASES_MAX, Overlap, find_overlaps
from .reading import CodeReading, Placed
from .text import SourceText
from .trial import Run, Tried, trials

AnyFamily: TypeAlias = Family[Any, Any, Any, Any]

ACTS: Final = frozenset({"io", "thread", "process"})
"""Kinds of code that is not run."""

MEANT: Final = frozenset({"all", "one"})
"""Strategies for which several rules that hold are no mistake."""

CHOSEN: Final = {
    "first": "the first one listed runs, so the order of the list decides",
    "last": "the last one listed runs, so the order of the list decides",
    "unique": "the transition fails",
}


class LintFinding(msgspec.Struct, frozen=True, order=True):
    """Something found: where, of which kind, and what to do about it. `why` is "" where `what` says it."""

    file: str
    line: int
    kind: str
    what: str
    why: str
    remedy: str
    rule: str = ""
    family: str = ""


class Repeatable(msgspec.Struct, frozen=True):
    """A transition for the second process, the first one's record, and the place of its rule."""

    case: bytes
    record: bytes
    rule: str
    file: str
    line: int


class FamilyLint:
    """One loaded family, with the files that its version covers, parsed."""

    def __init__(self, family: AnyFamily, texts: Mapping[str, SourceText]) -> None:
        self.family = family
        self.texts = texts

    def read(self) -> list[LintFinding]:
        """The reading's findings, and comments in the family's own file that cannot be read."""
        found = [self._read(one) for one in CodeReading(self.family, self.texts).run()]
        own = self.texts.get(self.family.place.file)
        faulty = [self._finding("accept", Place(own.path, line), text) for line, text in own.faulty] if own else []
        return self._accepted([*faulty, *found])

    def overlaps(
        self, *, configs: Sequence[Any] = (), states: Sequence[Any] = (), cases_max: int = CASES_MAX
    ) -> list[LintFinding]:
        """The rules that hold together, each pair once; one finding if no trigger can be made."""
        try:
            search = find_overlaps(self.family, configs=configs, states=states, cases_max=cases_max)
        except Exception as error:
            return self._valueless(error)
        if self.family.strategy in MEANT:
            return []
        return self._accepted([self._overlap(one) for one in search.overlaps])

    def trials(
        self, *, configs: Sequence[Any] = (), states: Sequence[Any] = (), run: Run = step
    ) -> tuple[list[Repeatable], list[LintFinding]]:
        """Transitions to be repeated elsewhere; a finding if none can be made. Without those of a rule whose difference
        a comment accepts."""
        cases: list[Repeatable] = []
        try:
            for tried in trials(self.family, configs=configs, states=states, run=run):
                case = self._repeatable(tried)
                if not self._accepts("difference", case.file, case.line):
                    cases.append(case)
        except Exception as error:
            return cases, self._valueless(error)
        return cases, []

    def _repeatable(self, tried: Tried) -> Repeatable:
        rules = [rule for rule in self.family.rule_list if rule.name in tried.rules]
        place = rules[0].place if rules else self.family.place
        return Repeatable(tried.case, tried.record, " or ".join(tried.rules), place.file, place.line)

    def _read(self, one: Placed) -> LintFinding:
        offence = one.offence
        kind = KINDS[offence.kind]
        name = one.function.replace("<lambda>", "lambda").replace(".<locals>.", "/")
        via = f" (rule {one.rule})" if one.rule and one.rule != name else ""
        what = f"{name}{via} {kind.does}: {offence.text}"
        remedy = remedy_of(offence.kind, offence.name)
        return LintFinding(
            one.file, offence.line, offence.kind, what, kind.why, remedy, one.rule or one.function, self.family.ref
        )

    def _overlap(self, one: Overlap) -> LintFinding:
        second = self._rule(one.second)
        chosen = "both run" if second.timer is not None else CHOSEN[self.family.strategy]
        return self._finding("overlap", second.place, f"{one}: {chosen}", one.second)

    def _rule(self, name: str) -> Rule[Any, Any, Any, Any]:
        return next(rule for rule in self.family.rule_list if rule.name == name)

    def unsearched(self, reason: str) -> list[LintFinding]:
        """The finding that the family was not tried, unless a comment accepts it."""
        return self._accepted([self._finding("unsearched", self.family.place, f"{self.family.name}: {reason}")])

    def _valueless(self, error: Exception) -> list[LintFinding]:
        return self.unsearched(" ".join(f"no values could be made: {type(error).__name__}: {error}".split()))

    def _finding(self, kind: str, place: Place, what: str, rule: str = "") -> LintFinding:
        known = KINDS[kind]
        return LintFinding(place.file, place.line, kind, what, known.why, known.remedy, rule, self.family.ref)

    def _accepted(self, findings: Iterable[LintFinding]) -> list[LintFinding]:
        """The findings that no comment accepts."""
        return [one for one in findings if not self._accepts(one.kind, one.file, one.line)]

    def _accepts(self, kind: str, file: str, line: int) -> bool:
        """Whether a comment at a line accepts findings of a kind."""
        return file in self.texts and self.texts[file].accepts(line, kind)


def may_run(findings: Iterable[LintFinding]) -> bool:
    """Whether a family with these findings may be run for a search."""
    return not any(one.kind in ACTS for one in findings)


def differing(family: str, compared: Iterable[tuple[Repeatable, Sequence[Difference]]]) -> Iterator[LintFinding]:
    """One finding for each rule whose outcome differed, with the first difference."""
    known = KINDS["difference"]
    found = sorted(((case, differences[0]) for case, differences in compared if differences), key=_place)
    for (file, line, rule), group in groupby(found, key=_place):
        _, first = next(group)
        where = f"{first.where}: " if first.where else ""
        what = f"{rule} of {family} {known.does}: {where}{_short(first.first)} and {_short(first.second)}"
        yield LintFinding(file, line, "difference", what, known.why, known.remedy, rule, family)


def _place(found: tuple[Repeatable, Difference]) -> tuple[str, int, str]:
    return found[0].file, found[0].line, found[0].rule


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
