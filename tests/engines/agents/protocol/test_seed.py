"""The example that the language was begun with: what is wrong with it, exactly; and the same example made complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.agents.protocol.format import reformat
from engines.agents.protocol.lint import lint, strict
from engines.agents.protocol.parse import parse

ROOT = Path(__file__).resolve().parents[4]
PROTOCOLS = sorted((ROOT / "configs/agents/protocols").glob("*.md"))

SEED = """\
# Protocol: inbox

## States
- inbox: Processing messages and requests
- deep_work: Focused task execution \x20
- distill: Context compression

## Transitions
- inbox → deep_work: When focused task identified
- inbox → idle: When no actionable items
- deep_work → distill: When context pressure high
"""


def lines(text: str, severities: tuple[str, ...] = ("error", "warning")) -> list[str]:
    """The findings of these severities, one a line."""
    found = lint(parse(text, "inbox.md"))
    return [f"{one.line}:{one.column} {one.code} {one.message}" for one in found if one.severity in severities]


def test_p1_the_findings_of_the_example() -> None:
    """False if the example is accepted, refused as a whole, or judged at other places."""
    assert lines(SEED) == [
        "1:3 W-NO-VERSION no version; 0.0.0 is assumed",
        "4:3 W-NO-INITIAL no initial state; 'inbox', which is listed first, is assumed",
        "6:3 W-DEAD-END state 'distill' has no way out, and is not final",
        "10:11 E-UNDEF-STATE state 'idle' is not defined here",
    ]
    assert [one.rpartition(" of ")[0] or one for one in lines(SEED, ("advice",))] == [
        "4:3 W-NO-PRESSURE no move out",
        "4:3 W-NO-TIMEOUT an agent may stay in state 'inbox' for ever",
        "5:3 W-NO-PRESSURE no move out",
        "5:3 W-NO-TIMEOUT an agent may stay in state 'deep_work' for ever",
    ]


def test_p1_a_declared_state_is_a_second_dead_end() -> None:
    """False if the missing state, once it is there, is not judged as the others are."""
    declared = SEED.replace("\n## Transitions", "- idle: Nothing to do\n\n## Transitions")
    assert lines(declared)[2:] == [
        "6:3 W-DEAD-END state 'distill' has no way out, and is not final",
        "7:3 W-DEAD-END state 'idle' has no way out, and is not final",
    ]


def test_strict_makes_errors_of_warnings_only() -> None:
    """False if advice failed a file, or a warning did not."""
    found = strict(lint(parse(SEED, "inbox.md")))
    assert [one.severity for one in found].count("error") == 4
    assert [one.severity for one in found].count("advice") == 4


def test_the_lines_of_the_example_are_in_the_complete_one() -> None:
    """False if what was begun with is no longer how it is written."""
    complete = (ROOT / "configs/agents/protocols/inbox.md").read_text("utf-8")
    for line in SEED.splitlines()[3:]:
        left, colon, text = line.partition(":")
        assert not colon or any(one.startswith(left) and text.strip() in one for one in complete.splitlines()), line


@pytest.mark.parametrize("path", PROTOCOLS, ids=lambda path: str(path.stem))
def test_protocols_to_begin_with_are_in_order(path: Path) -> None:
    """False if a new user began with a protocol that lint complains about, or that is not in the one form."""
    text = path.read_text("utf-8")
    reading = parse(text, str(path))
    assert [one for one in lint(reading) if one.severity != "advice"] == []
    assert reformat(reading) == text


def test_two_of_a_pair_agree() -> None:
    """False if worker and supervisor had different messages."""
    worker, supervisor = (parse((ROOT / f"configs/agents/protocols/{name}.md").read_text("utf-8")).protocol
                          for name in ("worker", "supervisor"))  # fmt: skip
    assert [one.id for one in worker.messages] == [one.id for one in supervisor.messages]
    assert [one.id for one in worker.roles] == [one.id for one in supervisor.roles]


@pytest.mark.parametrize(
    ("comment", "silenced"),
    [
        ("<!-- lint: ignore W-DEAD-END it waits for a person -->", True),
        ("<!-- lint: ignore W-DEAD-END -->", False),
        ("<!-- lint: ignore W-TRAP it waits -->", False),
        ("<!-- it waits -->", False),
    ],
)
def test_a_comment_silences_a_finding_for_a_reason(comment: str, silenced: bool) -> None:
    """False if a comment silenced another finding, or did so without a reason."""
    text = SEED.replace("- distill", f"{comment}\n- distill")
    assert any("W-DEAD-END" in one for one in lines(text)) is not silenced
    assert any("E-UNDEF-STATE" in one for one in lines(text.replace("- inbox → idle", f"{comment}\n- inbox → idle")))
