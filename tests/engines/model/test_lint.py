"""Overlaps and trials of a family as findings: what is reported, what is asked for, what cannot be tried."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lint_cases import HEAD, TYPES

from engines.model import load_family
from engines.model.check.determinism import compare, run_cases
from engines.model.check.lint import FamilyLint, LintFinding, differing, may_run
from engines.model.check.text import SourceText
from engines.model.outcome import Outcome

TWO_RULES = """

def small(t: Arrived[Ask, None, Seen]) -> int | None:
    return 1 if t.message.number <= 4711 else None


def large(t: Arrived[Ask, None, Seen]) -> int | None:
    return 1 if t.message.number {op} 4711 else None


@rule(when=small)
def take_small(one: int, t: Arrived[Ask, None, Seen]) -> Effects[Seen, None]:
    return Seen(1)


{comment}@rule(when=large)
def take_large(one: int, t: Arrived[Ask, None, Seen]) -> Effects[Seen, None]:
    return Seen(2)


FAMILY = Family("two", accepts=Ask, state=Seen(), strategy="{strategy}").rules(take_small, take_large)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A code root; its modules are forgotten afterwards."""
    yield tmp_path
    for name, module in [*sys.modules.items()]:
        if str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def lint_of(folder: Path, text: str) -> FamilyLint:
    (folder / "two.py").write_text(HEAD + text, encoding="utf-8")
    family: Any = load_family("two:FAMILY", (str(folder),))
    return FamilyLint(family, {path: SourceText(path, Path(path).read_bytes()) for path in family.files})


def overlaps(folder: Path, op: str, strategy: str = "first", comment: str = "") -> list[LintFinding]:
    text = TYPES + TWO_RULES.format(op=op, strategy=strategy, comment=comment)
    return lint_of(folder, text).overlaps(cases_max=500)


def test_a_seeded_overlap_is_found_at_the_second_rule(folder: Path) -> None:
    """False if two rules competed unseen, or the author were not told on which message."""
    [found] = overlaps(folder, ">=")
    line = (folder / "two.py").read_text(encoding="utf-8").splitlines().index("@rule(when=large)") + 1
    assert (found.kind, found.line, found.rule) == ("overlap", line, "take_large")
    assert "number=4711" in found.what
    assert "the first one listed runs" in found.what


def test_a_disjoint_family_passes(folder: Path) -> None:
    """False if the search cried wolf."""
    assert overlaps(folder, ">") == []


@pytest.mark.parametrize(("strategy", "count"), [("last", 1), ("unique", 1), ("all", 0), ("one", 0)])
def test_an_overlap_that_the_strategy_asks_for_is_none(strategy: str, count: int, folder: Path) -> None:
    """False if authors of `all` and `one` got a finding for what these are for, or the others did not."""
    assert len(overlaps(folder, ">=", strategy)) == count


def test_an_overlap_can_be_accepted(folder: Path) -> None:
    """False if an intended overlap kept the exit code at 8 for ever."""
    assert overlaps(folder, ">=", comment="# lint: accept overlap: the first one is cheaper\n") == []


def test_a_family_without_values_is_a_finding(folder: Path) -> None:
    """False if a search that tried nothing looked like one that found nothing."""
    refusing = "number: int = 0\n\n    def __post_init__(self) -> None:\n        raise ValueError('no')"
    strict = TYPES.replace("number: int = 0", refusing)
    lint = lint_of(folder, strict + TWO_RULES.format(op=">=", strategy="first", comment=""))
    [found] = lint.overlaps()
    assert (found.kind, found.line) == ("unsearched", lint.family.place.line)
    assert "ValueError: no" in found.what
    cases, unsearched = lint.trials()
    assert cases == []
    assert unsearched == [found]


ALL_KINDS = (
    TYPES
    + """

class More(Message):
    pass


AGAIN = Timer("again")


@interactive_rule
def ask(message: Ask, t: Arrived[Ask, None, Seen]) -> Interaction[Seen, None]:
    side = yield from Roll(6)
    return Seen(side)


@rule
def more(message: More, t: Arrived[More, None, Seen]) -> Effects[Seen, None]:
    return SetTimer(AGAIN, after_ns=1)


@rule(timer=AGAIN)
def again(handle: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, None]:
    return Seen(t.env.state.last + 1)


FAMILY = Family("two", accepts=Ask | More, state=Seen(), timers=[AGAIN]).rules(ask, more, again)
"""
)


def test_trials_reach_messages_questions_and_timers_and_repeat(folder: Path) -> None:
    """False if a part of a family were never tried, or a trial could not be repeated."""
    lint = lint_of(folder, ALL_KINDS)
    cases, unsearched = lint.trials()
    assert unsearched == []
    assert {case.rule for case in cases} == {"ask", "more", "again"}
    outcomes = {(case.rule, msgspec.msgpack.decode(case.record)["outcome"]) for case in cases}
    assert {("ask", "Suspended"), ("ask", "Committed"), ("again", "Committed")} <= outcomes
    assert lint.trials()[0] == cases
    assert run_cases([case.case for case in cases], (str(folder),)) == [case.record for case in cases]


def test_a_difference_can_be_accepted_at_its_rule(folder: Path) -> None:
    """False if the guide's promise held for the other kinds only."""
    text = ALL_KINDS.replace("@rule\ndef more", "# lint: accept difference: a test\n@rule\ndef more")
    cases, _ = lint_of(folder, text).trials()
    assert {case.rule for case in cases} == {"ask", "again"}


def test_a_transition_that_must_not_be_repeated_is_left_out(folder: Path) -> None:
    """False if a rule that loops for ever here were sent to another process."""

    def run(*arguments: Any) -> Outcome[Any] | None:
        return None

    assert lint_of(folder, ALL_KINDS).trials(run=run) == ([], [])


def test_a_difference_is_one_finding_a_rule(folder: Path) -> None:
    """False if one mistake filled the screen, or a rule without a difference were reported."""
    cases, _ = lint_of(folder, ALL_KINDS).trials()
    wrong = [case.record.replace(b"Committed", b"Commotted") for case in cases]
    found = [*differing("two:FAMILY", [(c, compare(c.record, w)) for c, w in zip(cases, wrong, strict=True)])]
    assert [(one.kind, one.rule) for one in found] == [("difference", rule) for rule in ("ask", "more", "again")]
    assert "'Committed' and 'Commotted'" in found[0].what
    assert [*differing("two:FAMILY", [(case, []) for case in cases])] == []


def test_code_that_acts_on_the_world_is_not_run(folder: Path) -> None:
    """False if looking for mistakes removed the author's files."""
    text = (
        TYPES
        + """

@rule
def act(ask: Ask, t: Arrived[Ask, None, Seen]) -> Effects[Seen, None]:
    {line}
    return Seen()


FAMILY = Family("two", accepts=Ask, state=Seen()).rules(act)
"""
    )
    assert not may_run(lint_of(folder, text.format(line="open('x', 'w')")).read())
    del sys.modules["two"]
    assert may_run(lint_of(folder, text.format(line="id(ask)")).read())
    del sys.modules["two"]
    assert may_run(lint_of(folder, text.format(line="print()  # lint: accept io: seen by nobody")).read())
