"""Damaged files: whatever they say, they are read, and soon."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest
from written import protocol

from engines.agents.protocol.canonical import placeless
from engines.agents.protocol.format import format_protocol, render
from engines.agents.protocol.graph import dot, mermaid
from engines.agents.protocol.lint import lint
from engines.agents.protocol.parse import parse, read_bytes

ROOT = Path(__file__).resolve().parents[4]
CPU_S_MAX = 0.05
LONG_CHARS = 20_000
PIECES = (
    "## States\n",
    "## Transitions\n",
    "# Protocol: x\n",
    "---\n",
    "- ",
    "  - ",
    "    - ",
    "* ",
    "1. ",
    " → ",
    "->",
    "=>",
    ":",
    "(",
    ")",
    "`",
    "```\n",
    "<!--",
    "-->",
    "<",
    ">",
    "|",
    "|---|\n",
    "\t",
    "\r",
    "\n",
    "\n\n",
    "\0",
    "\ufeff",
    "\u2028",
    "\x85",
    "\u202e",
    "e\u0301",
    "שלום",
    "any",
    "self",
    "any except",
    "guard:",
    "requires:",
    "list<list<list<",
    "string(..",
    "@",
    "9" * 30,
    "max_duration: 5m → ",
    "from 1.0 → ",
    "\\",
    '"',
    "'",
    "{",
    "}",
    "in {",
    "and ",
    "not " * 30,
    "((((",
    "> ",
    "[",
    "]",
    "-" * 80,
    "<!-- lint: ignore W-DEAD-END why -->\n",
    "\ud800",
    "=",
    "%",
    "x" * 70,
    "%%",
    "uses: [",
    "extends: a@",
    "#",
    "===\n",
)


def sources(random: Random) -> list[str]:
    """Files to damage."""
    shown = [path.read_text("utf-8") for path in sorted((ROOT / "configs/agents/protocols").glob("*.md"))]
    return shown + [render(protocol(random)) for _ in range(2)]


def damaged(random: Random, text: str) -> str:
    """A text after some accidents."""
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        at = random.randint(0, len(text))
        end = min(len(text), at + random.choice((1, 2, 5, 20, 200)))
        match random.randrange(5):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + random.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + random.choice(PIECES) * random.choice((1, 3, 50)) + text[end:]
            case 3:
                to = random.randint(0, len(text))
                text = text[:to] + text[at:end] + text[to:]
            case _:
                lines = text.split("\n")
                random.shuffle(lines[at % len(lines) :])
                text = "\n".join(lines)
    return text


def judge(text: str) -> float:
    """Everything that reads a file does so; the seconds of CPU time that lint takes."""
    began = time.thread_time()
    reading = parse(text, "x.md")
    lint(reading)
    spent = time.thread_time() - began
    mermaid(reading.protocol)
    dot(reading.protocol)
    format_protocol(reading)
    return spent


def fuzz(first: int, count: int) -> None:
    """Judge damaged files; a slow one is given more chances, since others use the machine too."""
    random = Random(first)
    originals = sources(random)
    for number in range(count):
        text = damaged(random, random.choice(originals))
        spent = judge(text)
        for _ in range(4):
            if spent > CPU_S_MAX:
                spent = judge(text)
        assert spent < CPU_S_MAX, (first, number, text)


@pytest.mark.parametrize(
    ("first", "count"), [(0, 75), *(pytest.param(first, 375, marks=pytest.mark.storm) for first in range(4))]
)
def test_p4_damaged_files(first: int, count: int) -> None:
    """False if a damaged file raises, or takes more than 50 ms."""
    fuzz(first, count)


@pytest.mark.long
@pytest.mark.parametrize("first", range(100, 200))
def test_p4_many_damaged_files(first: int) -> None:
    """False if one of 100,000 damaged files raises, or takes more than 50 ms."""
    fuzz(first, 1000)


@pytest.mark.storm
def test_damaged_files_keep_their_meaning_in_the_one_form() -> None:
    """False if the formatter made another protocol of a file with errors, or changed it again the second time."""
    random = Random(5)
    originals = sources(random)
    for number in range(400):
        reading = parse(damaged(random, random.choice(originals)))
        tidied = parse(format_protocol(reading))
        assert placeless(tidied.protocol) == placeless(reading.protocol) or reading.is_broken, (number, reading.text)
        assert format_protocol(tidied) == tidied.text, (number, reading.text)


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "- (",
        "`",
        '"',
        "list<",
        "- a → b\n",
        "- a: b\n",
        "  " * 20 + "- a\n",
        "> ",
        "<!--",
        "[",
        "- x → y: <!-- \n",
        "|a",
        "---\n",
        "a, ",
        "\n",
        "- any → x\n  - guard: `inbox.unread > 1`\n",
    ],
)
def test_the_time_is_bounded_for_any_length(unit: str) -> None:
    """False if the time could grow by the square of the length: these took minutes then."""
    head = "# Protocol: x\n\n## States\n- x: " if unit[0] not in "-\n" else "# Protocol: x\n\n## Transitions\n"
    text = head + unit * (LONG_CHARS // len(unit))
    assert judge(text) < 3


@pytest.mark.parametrize(
    ("line", "count", "code"),
    [
        pytest.param("- any → s{0}: x\n", 5000, "E-LIMIT", marks=pytest.mark.storm),
        ("- s{0} → s{1} by engine: x\n  - guard: `inbox.unread > {2}`\n", 1500, "W-BUSY-LOOP"),
        pytest.param("- s1 → s2: x\n", 5000, "W-SHADOWED", marks=pytest.mark.storm),
        ("- s{0} → s{1}: x\n", 2500, "W-NO-TIMEOUT"),
    ],
)
def test_the_time_is_bounded_for_large_machines(line: str, count: int, code: str) -> None:
    """False if a file within the limits could take minutes: each of these did something for all pairs or paths."""
    states = "".join(f"- s{number}{' (idle)' if number == 9 else ''}: x\n" for number in range(500))
    moves = "".join(line.format(at % 500, (at * 7 + at // 500) % 500, at % 9) for at in range(count))
    began = time.thread_time()
    found = lint(parse(f"# Protocol: x\n\n## States\n{states}\n## Transitions\n{moves}"))
    assert code in {one.code for one in found}
    assert time.thread_time() - began < 10


def test_bytes_are_no_text() -> None:
    """False if bytes that are not UTF-8 raise."""
    random = Random(7)
    for original in sources(random) * 20:
        data = bytearray(original.encode())
        for _ in range(3):
            data[random.randrange(len(data))] = random.randrange(256)
        lint(read_bytes(bytes(data), "x.md"))
