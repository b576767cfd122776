"""What protocols take from each other: `extends`, `uses`, and versions in ranges."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engines.agents.protocol.canonical import canonical
from engines.agents.protocol.format import render, whole
from engines.agents.protocol.library import effective
from engines.agents.protocol.lint import lint
from engines.agents.protocol.model import Protocol
from engines.agents.protocol.parse import parse
from engines.agents.protocol.versions import is_in_range, read_range, read_version


def made(name: str, front: str = "", body: str = "", version: str = "1.0.0") -> Protocol:
    """A protocol from text."""
    return parse(f"---\nversion: {version}\n{front}\n---\n# Protocol: {name}\n\n{body}\n").protocol


BASE = """\
## States
- waiting (initial, idle): Nothing to do
- done (final): Finished

## Transitions
- waiting → done: When nothing is left

## Roles
- boss (1)

## Messages
- stop: boss → any"""

CHILD = """\
## States
- paused (idle): Resting
- done (final): Finished, after a rest

## Transitions
- waiting → paused: When tired
- paused → waiting: When rested
- waiting → done: When nothing is left
  - cooldown: 1m"""


def test_p8_a_child_adds_and_replaces() -> None:
    """False if what a protocol extends were lost, kept beside what replaces it, or its own order changed."""
    base = made("base", body=BASE)
    found = effective(made("task", "extends: base@^1.0", CHILD), {"base": base})
    assert [one.id for one in found.states] == ["waiting", "done", "paused"]
    assert found.states[1].text == "Finished, after a rest"
    assert [(one.index, one.sources[0], one.target) for one in found.transitions] == [
        (0, "waiting", "done"),
        (1, "waiting", "paused"),
        (2, "paused", "waiting"),
    ]
    assert found.transitions[0].cooldown_ns == 60_000_000_000
    assert [one.id for one in found.messages] == ["stop"]
    assert lint(made("task", "extends: base@^1.0", CHILD), {"base": base}) == ()
    assert parse(render(found)).protocol.states[2].id == "paused"


def test_the_whole_of_a_protocol_is_one_text() -> None:
    """False if the text for readers without other files lacks what is inherited, or the prose that people wrote."""
    base = made("base", body=BASE)
    prose = "\nBe kind.\n\n## Manners\n\n- say please\n\n"
    text = f"---\nversion: 1.0.0\nextends: base@^1.0\n---\n# Protocol: task\n{prose}{CHILD}\n\nThat is all.\n"
    reading = parse(text)
    found = effective(reading.protocol, {"base": base})
    one = whole(reading, found)
    again = parse(one)
    assert again.findings == ()
    assert canonical(again.protocol) == canonical(replace(found, extends=None))
    assert "extends" not in one
    for said in ("Be kind.", "## Manners\n\n- say please", "That is all."):
        assert one.count(said) == 1
    assert whole(again, again.protocol) == one


def test_findings_about_a_base_are_where_it_is_named() -> None:
    """False if a finding about another file had a place that is not in this one."""
    base = made("base", body="## States\n\n\n\n\n\n\n\n- lost (initial): Nowhere")
    child = made("task", "extends: base@1.0.0")
    assert {(one.line, one.column, one.code) for one in lint(child, {"base": base})} == {(3, 10, "W-DEAD-END")}


@pytest.mark.parametrize(
    ("ranged", "version"),
    [
        ("^1.0", "1.9.0"),
        ("1.x", "1.9.0"),
        (">=1.0 <1.9", "1.2.0"),
        ("1.2.0", "1.2.0"),
        ("*", "2.0.0"),
        ("^1 || ^2", "2.0.0"),
    ],
)
def test_p8_the_newest_in_the_range_is_taken(ranged: str, version: str) -> None:
    """False if another version were taken."""
    versions = tuple(made("base", f"owner: v{one}", BASE, one) for one in ("1.9.0", "1.2.0", "2.0.0", "1.0.0"))
    states = tuple(made("base", body=f"## States\n- v{one.version.replace('.', '_')} (final)", version=one.version)
                   for one in versions)  # fmt: skip
    found = effective(made("task", f"extends: base@{ranged}"), {"base": states})
    assert [one.id for one in found.states] == [f"v{version.replace('.', '_')}"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("key", ["extends", "uses"])
def test_p8_circles_of_any_length(count: int, key: str) -> None:
    """False if a circle were followed for ever, or not shown as a path."""
    names = [f"p{number}" for number in range(count)]
    files = {}
    for at, name in enumerate(names):
        other = f"{names[(at + 1) % count]}@1"
        files[name] = made(name, f"{key}: {f'[{other}]' if key == 'uses' else other}")
    found = [one for one in lint(files["p0"], files) if one.is_error]
    assert [one.code for one in found] == [f"E-CYCLE-{key.upper()}"]
    assert " → ".join([*names, "p0"]) in found[0].message


def test_p8_states_of_a_used_protocol_are_known() -> None:
    """False if a move could not lead to a used protocol, or to a state that it does not have."""
    base = made("base", body=BASE)
    moves = "## States\n- here (initial, idle)\n\n## Transitions\n- here → waiting: On\n- here → gone: Off"
    found = lint(made("task", "uses: [base@1]", moves), {"base": base})
    assert [(one.code, one.message) for one in found] == [
        ("E-UNDEF-STATE", "state 'gone' is not defined here or in base")
    ]
    partly = made("task", body=f"## Uses\n- base@1\n  - states: done, lost\n\n{moves}")
    codes = [one.message for one in lint(partly, {"base": base}) if one.is_error]
    assert codes == [
        "state 'lost' is not defined in base 1.0.0",
        "state 'waiting' is not defined here or in base",
        "state 'gone' is not defined here or in base",
    ]


@pytest.mark.parametrize(
    ("ranged", "inside", "outside"),
    [
        ("1.2", ("1.2.0", "1.2.9"), ("1.3.0", "1.1.9", "1.3.0-a")),
        ("1", ("1.0.0", "1.9.9"), ("2.0.0", "0.9.9", "2.0.0-a")),
        ("^0.2.3", ("0.2.3", "0.2.9"), ("0.3.0", "0.2.2")),
        ("^1.2.3", ("1.2.3", "1.9.0"), ("2.0.0", "1.2.2", "1.2.3-rc.1")),
        ("~1.2.3", ("1.2.3", "1.2.9"), ("1.3.0", "1.2.2")),
        (">1.2", ("1.3.0",), ("1.2.9", "1.2.0")),
        (">1.2.3", ("1.2.4",), ("1.2.3",)),
        ("<=1.2", ("1.2.9", "0.1.0"), ("1.3.0",)),
        (">=1.0.0-rc.1 <1.1", ("1.0.0-rc.1", "1.0.0", "1.0.9"), ("1.1.0", "1.1.0-a", "1.0.0-beta")),
        ("1.0.0", ("1.0.0",), ("1.0.1",)),
        ("*", ("0.0.0", "9.9.9"), ()),
    ],
)
def test_ranges(ranged: str, inside: tuple[str, ...], outside: tuple[str, ...]) -> None:
    """False if a version were taken that a range does not mean."""
    assert [one for one in inside if not is_in_range(one, ranged)] == []
    assert [one for one in outside if is_in_range(one, ranged)] == []


def test_versions_are_ordered_as_the_standard_says() -> None:
    """False if semantic versioning's own example were ordered otherwise (section 11)."""
    texts = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
             "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1"]  # fmt: skip
    versions = [read_version(one) for one in texts]
    assert versions == sorted(versions, key=lambda one: one or ())
    assert [one for one in ("1.0", "1", "01.0.0", "1.0.0-", "v1.0.0", "1.0.0.0", "") if read_version(one)] == []
    assert [one for one in ("", "a", "1.0.0.0", ">", "^", "1 ||", "1.x.2.3", "9" * 200) if read_range(one)] == []
