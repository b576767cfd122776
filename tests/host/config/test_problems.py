"""How a problem is shown: the carets stand below what is meant, whatever the line looks like."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from host.config.problems import SHOWN_COLUMNS_MAX, ConfigErrors, ConfigProblem, render


def test_shown() -> None:
    """Place, sentence, the line, carets and the suggestion."""
    problem = ConfigProblem("n.yaml", 12, 3, "unknown key `a`", "did you mean `b`?", "  abc: 1", 3)
    assert str(problem) == (
        "n.yaml:12:3: unknown key `a`\n"
        "  12 |   abc: 1\n"
        "     |   ^^^ did you mean `b`?"
    )  # fmt: skip


def test_without_source() -> None:
    """A file that cannot be read has no line to show."""
    assert (
        str(ConfigProblem("n.yaml", 1, 1, "cannot be read", "look again")) == "n.yaml:1:1: cannot be read; look again"
    )


def test_errors_are_in_order() -> None:
    """All of them, by place, in one text."""
    problems = [ConfigProblem("f", 2, 1, "c"), ConfigProblem("f", 1, 9, "b"), ConfigProblem("f", 1, 2, "a")]
    errors = ConfigErrors(problems)
    assert [p.text for p in errors.problems] == ["a", "b", "c"]
    assert str(errors) == render(errors.problems)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=400), st.data())
def test_carets_stand_below_their_column(line: str, data: st.DataObject) -> None:
    """Long lines are cropped and control characters blanked, and the first caret is still below its character."""
    at = data.draw(st.integers(0, len(line) - 1))
    shown = str(ConfigProblem("f", 1, at + 1, "x", "", line, data.draw(st.integers(1, 500)))).split("\n")
    if not line.strip():
        assert shown == [f"f:1:{at + 1}: x"]
        return
    _, source, carets = shown
    assert len(source) <= SHOWN_COLUMNS_MAX + len("  1 | ")
    first = carets.index("^")
    character = line[at] if line[at].isprintable() else " "
    assert source[first : first + 1] in (character, "")
