"""Diagrams: what is drawn can be read by Mermaid and by dot, and there is one edge for each move."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from written import protocol

from engines.agents.protocol.graph import dot, mermaid
from engines.agents.protocol.parse import parse
from engines.agents.protocol.subject import edges_of

ROOT = Path(__file__).resolve().parents[4]

WORD = r"[A-Za-z][A-Za-z0-9_]*"
LINE = re.compile(
    rf'    (?:(?P<edge>{WORD}) --> {WORD}(?: : [^;#<>"{{}}:%`\n]*(?:#\d+;[^;#<>"{{}}:%`\n]*)*)?'
    rf'|\[\*\] --> {WORD}|{WORD} --> \[\*\]|state "[^"\n]*" as {WORD}|{WORD})'
)
"""A line of the grammar of `stateDiagram-v2`, as far as it is used."""

QUOTED = r'"(?:[^"\\]|\\.)*"'
DOT = re.compile(rf"    (?:(?P<edge>{QUOTED} -> {QUOTED})|{QUOTED}|rankdir=LR|node)(?: \[.*\])?;")


@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(seed, marks=pytest.mark.storm) for seed in range(10, 40))])
def test_p9_one_edge_for_each_move(seed: int) -> None:
    """False if Mermaid or dot could not read a line, or there were more or fewer edges than moves."""
    made = protocol(Random(seed))
    first, *lines = mermaid(made).splitlines()
    assert first == "stateDiagram-v2"
    matches = [LINE.fullmatch(line) for line in lines]
    assert None not in matches, lines[matches.index(None)]
    edges = len(list(edges_of(made)))
    assert sum(1 for one in matches if one and one["edge"] and not one[0].endswith("[*]")) == edges
    _, *lines, last = dot(made).splitlines()
    assert last == "}"
    matches = [DOT.fullmatch(line) for line in lines]
    assert None not in matches, lines[matches.index(None)]
    assert sum(1 for one in matches if one and one["edge"] and not one["edge"].startswith('"[*]"')) == edges


def test_the_diagram_of_the_example() -> None:
    """False if guards, events, actors, or times were not shown."""
    text = (ROOT / "configs/agents/protocols/inbox.md").read_text("utf-8")
    assert (
        mermaid(parse(text).protocol)
        == """\
stateDiagram-v2
    [*] --> inbox
    inbox --> deep_work : When focused task identified
    inbox --> idle : [inbox.unread == 0]
    idle --> inbox : on message by engine
    deep_work --> distill : [measure.context_percent #62;= 70#37;]
    deep_work --> inbox : Task finished
    distill --> inbox : Notes written
    inbox --> done : by admin
    inbox --> idle : after 5m
    deep_work --> distill : after 2h
    done --> [*]
"""
    )


def test_names_that_mermaid_would_misread() -> None:
    """False if a state named like a keyword, or with a dash, broke the diagram."""
    made = parse("# Protocol: a\n\n## States\n- end\n- a-b\n\n## Transitions\n- end → a-b: x; y\n- any → self").protocol
    assert mermaid(made).splitlines()[1:] == [
        '    state "end" as s0_end',
        '    state "a-b" as s1_a_b',
        "    [*] --> s0_end",
        "    s0_end --> s1_a_b : x#59; y",
        "    s0_end --> s0_end",
        "    s1_a_b --> s1_a_b",
    ]
