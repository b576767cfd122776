"""Lints families in a child process, and has their transitions repeated in others with other hash seeds.

The caller imports no family: a forked child reads and tries them (`lint_child`) and writes records. The transitions
that it tried run again in fresh interpreters (`determinism`), because a hash seed is chosen at the start of one.

Crash points: the child dies or hangs: what it had reported stays, the family it had begun gets the blame, and the
families behind it are reported as not looked at. The repeating process dies: the families whose transitions it had.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engines.model.check.determinism import compare
from engines.model.check.impure import KINDS
from engines.model.check.lint import LintFinding, differing
from host.live.inspection.child import forked, pieces
from host.live.inspection.determinism import ElsewhereError, run_elsewhere
from host.live.inspection.inspect_records import Begin, Done, take_records
from host.live.inspection.lint_records import Absent, Cases, Linted, LintOrder, LintRecord, Remark

SEEDS: Final = (1, 2, 3)
"""Hash seeds to choose from; 0 would mean no randomness."""

RUNS: Final = 2
"""Processes in which the transitions run again, each with another seed. Two texts have the same order in a set under
half of all seeds."""


class LintReport(msgspec.Struct, frozen=True):
    """The findings in the order of their places, what else to say, and how much was looked at."""

    findings: tuple[LintFinding, ...]
    remarks: tuple[str, ...]
    absent: tuple[Absent, ...]
    families: int
    transitions: int


def lint(order: LintOrder) -> LintReport:
    """Look at everything ordered. Blocks, for each family at most its deadline; raises for nothing that families do."""
    child = _Child(order)
    child.run()
    repeated = _repeat(child.cases, order)
    findings = sorted({*child.findings, *repeated})
    transitions = sum(len(one.cases) for one in child.cases)
    remarks, absent = tuple(dict.fromkeys(child.remarks)), tuple(child.absent)
    return LintReport(tuple(findings), remarks, absent, len(child.families), transitions)


class _Child:
    """The child, and what it has reported so far."""

    def __init__(self, order: LintOrder) -> None:
        self.order = order
        self.findings: list[LintFinding] = []
        self.cases: list[Cases] = []
        self.absent: list[Absent] = []
        self.remarks: list[str] = []
        self.families: set[str] = set()
        self._begun, self._end_ns = "", 0
        self._done = False

    def run(self) -> None:
        """Start the child, and take its records until it ends or a family takes too long."""

        def look(fd: int) -> None:
            from host.live.inspection.lint_child import answer  # brings what the caller does not need

            answer(self.order, fd)

        self._begin("")
        with forked(look) as reading:
            try:
                for record in self._records(reading):
                    self._take(record)
            except TimeoutError:
                self._blame(f"took longer than {self.order.deadline_ns / 1e9:g} s")
                return
        if not self._done:
            self._blame("ended the process that looked at it")

    def _begin(self, ref: str) -> None:
        self._begun, self._end_ns = ref, time.monotonic_ns() + self.order.deadline_ns

    def _records(self, reading: int) -> Iterator[Any]:
        decode = msgspec.msgpack.Decoder(LintRecord).decode
        data = bytearray()
        while piece := next(pieces(reading, self._end_ns), b""):
            data += piece
            yield from map(decode, take_records(data))

    def _take(self, record: Any) -> None:
        match record:
            case Begin():
                self._begin(record.ref)
            case Linted():
                self.families.add(record.ref)
                self.findings += record.findings
            case Cases():
                self.cases.append(record)
            case Absent():
                self.absent.append(record)
            case Remark():
                self.remarks.append(record.text)
            case Done():
                self._done = True

    def _blame(self, why: str) -> None:
        self.findings.append(_unsearched(self._begun, "", 0, f"{self._begun} {why}; what follows was not looked at"))


def _repeat(families: list[Cases], order: LintOrder) -> Iterator[LintFinding]:
    """Run all transitions again under other seeds; a finding for each rule with another outcome."""
    cases = [case for family in families for case in family.cases]
    if not cases:
        return
    seeds = [seed for seed in SEEDS if str(seed) != os.environ.get("PYTHONHASHSEED")][:RUNS]
    try:
        deadline_ns = len(families) * order.deadline_ns
        runs = [
            run_elsewhere([case.case for case in cases], order.roots, seed=seed, deadline_ns=deadline_ns)
            for seed in seeds
        ]
    except ElsewhereError as error:
        for family in families:
            text = f"its transitions could not be run again: {error}"
            yield _unsearched(family.ref, family.file, family.line, text)
        return
    start = 0
    for family in families:
        mine = slice(start, start + len(family.cases))
        start = mine.stop
        compared = [
            (case, compare(case.record, record))
            for records in runs
            for case, record in zip(family.cases, records[mine], strict=True)
        ]
        yield from differing(family.ref, compared)


def _unsearched(ref: str, file: str, line: int, text: str) -> LintFinding:
    known = KINDS["unsearched"]
    return LintFinding(file or ref, line, "unsearched", text, known.why, known.remedy, "", ref)
