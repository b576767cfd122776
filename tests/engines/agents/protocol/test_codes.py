"""Each code has a small file that has this finding and no other, and one without; the words are in a golden file."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.agents.protocol.explain import EXPLANATIONS, explained
from engines.agents.protocol.explanation import Explanation
from engines.agents.protocol.findings import SEVERITIES, Finding
from engines.agents.protocol.lint import lint
from engines.agents.protocol.parse import BYTES_MAX, parse, read_bytes

GOLDEN = Path(__file__).with_name("findings.txt")
SHOWN = [one for one in EXPLANATIONS.values() if one.is_shown]


def findings(one: Explanation, text: str) -> tuple[Finding, ...]:
    """The findings about an example, with the files beside it."""
    beside = [parse(other).protocol for other in one.others]
    registered = parse(one.registered).protocol if one.registered else None
    return lint(parse(text, one.file or "task.md"), {other.name: other for other in beside}, registered)


def written(finding: Finding) -> str:
    """A finding as the golden file has it."""
    fix = f" [{finding.fix.text}]" if finding.fix else ""
    return f"{finding.line}:{finding.column}+{finding.length} {finding.code} {finding.message} | {finding.hint}{fix}"


@pytest.mark.parametrize("one", SHOWN, ids=lambda one: str(one.code))
def test_p2_one_file_for_one_code(one: Explanation) -> None:
    """False if the example of a code has another finding, or the corrected one has any."""
    assert [finding.code for finding in findings(one, one.before)] == [one.code]
    assert findings(one, one.after) == ()
    assert one.severity == SEVERITIES[one.code]


def test_p2_the_words_of_findings() -> None:
    """False if a message changed; write the file anew then, and read what it says."""
    lines = [written(finding) for one in SHOWN for finding in findings(one, one.before)]
    assert "\n".join(lines) + "\n" == GOLDEN.read_text("utf-8")


def test_each_code_is_explained() -> None:
    """False if lint could report a code that `explain` does not know."""
    assert EXPLANATIONS.keys() == SEVERITIES.keys()
    assert all(one.code in explained(one) and one.meaning in explained(one) for one in EXPLANATIONS.values())


def test_findings_about_bytes() -> None:
    """False if a file that is no text, or too big, were taken for a protocol."""
    assert [written(one) for one in lint(read_bytes(b"# Protocol: a\n\xff", "a.md"))] == [
        "2:1+0 E-ENC byte 14 is not UTF-8 | save the file as UTF-8"
    ]
    assert [one.code for one in lint(parse("# Protocol: a\n\0"))] == ["E-ENC"]
    assert [one.code for one in lint(parse("a" * (BYTES_MAX + 1)))] == ["E-SIZE"]
    assert [one.code for one in lint(parse("ü" * (BYTES_MAX // 2 + 1)))] == ["E-SIZE"]


def test_a_section_has_a_bound() -> None:
    """False if a file could have any number of states."""
    states = "\n".join(f"- s{number} (final)" for number in range(501))
    found = [one for one in parse(f"# Protocol: a\n\n## States\n{states}\n").findings if one.code == "E-LIMIT"]
    assert [(one.line, one.message) for one in found] == [(504, "501 items in section 'States', limit 500")]


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("- a b: c", "4:3", "expected 'name (flags): text', found 'b'"),
        ("- (x): c", "4:3", "'(x)' is no name"),
        ("- a (finl): c", "4:6", "'finl' is no flag of a state"),
        ("- 2fast", "4:3", "'2fast' is no name"),
        ("- a\n  - max_duratoin: 5m → a", "5:5", "cannot read this key of a state"),
        ("- a\n  - max_duration: 5 minutes → a", "5:19", "'5 minutes' is no duration"),
        ("- a\n  - remind: 5m\n  - remind: 6m", "6:5", "already given at line 5"),
        ("- a\n  - allow: fly(away)", "5:12", "'fly(away)' is no capability"),
        ("- a\n  - enter: explode", "5:12", "'explode' is no effect"),
        ("- a\n  - remind: 5m\n    - more: x", "6:7", "nothing is read below 'remind'"),
        ("-  - x", "4:6", "found nothing"),
    ],
)
def test_items_that_cannot_be_read(text: str, place: str, says: str) -> None:
    """False if a slip in an item were reported at another place, or not at all."""
    found = parse(f"# Protocol: a\n\n## States\n{text}\n").findings
    assert [f"{one.line}:{one.column}" for one in found] == [place], found
    assert says in found[0].message


def test_places_count_characters() -> None:
    """False if a column counted bytes, or a byte order mark, or moved with the form of the line ends."""
    text = "\ufeff# Protocol: a\r\n\r\n## Transitions\r\n- é\u0301\u05e9\u05dc → x: y\r\n"
    text += "- a → b\r\n  - guard: `e\u0301 == 1`\r\n"
    places = [(one.line, one.column, one.code) for one in parse(text).findings]
    assert places == [(4, 3, "E-ID"), (6, 14, "E-GUARD-SYNTAX")]


def test_the_guide_has_each_code() -> None:
    """False if the table of codes in the guide lacked one, or said something else than `explain`."""
    guide = (Path(__file__).resolve().parents[4] / "docs/guides/protocols.md").read_text("utf-8")
    lines = [f"| `{one.code}` | {one.severity} | {one.meaning} |" for one in EXPLANATIONS.values()]
    assert guide.endswith("\n".join(lines) + "\n")
