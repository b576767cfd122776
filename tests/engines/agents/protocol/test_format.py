"""The one form: what is read again is the same protocol, a second time changes nothing, and prose stays."""

from __future__ import annotations

from random import Random

import pytest
from written import protocol

from engines.agents.protocol.canonical import digest, doc_digest, placeless
from engines.agents.protocol.format import format_protocol, reformat, render
from engines.agents.protocol.model import Protocol
from engines.agents.protocol.parse import parse

SHORT, STORM, LONG = range(20), range(20, 400), range(400, 1000)


def same(one: Protocol, other: Protocol) -> bool:
    """Whether two protocols differ in places only."""
    return bool(placeless(one) == placeless(other))


def laws(seed: int) -> None:
    """Both laws, for one protocol and for a file with it that somebody has written less tidily."""
    random = Random(seed)
    made = protocol(random)
    text = render(made)
    read = parse(text)
    assert [one for one in read.findings if one.code not in ("E-ID", "W-SECTION-TYPO")] == [], (seed, text)
    assert same(read.protocol, made), (seed, text)
    assert render(read.protocol) == text
    assert reformat(read) == text, seed
    assert digest(read.protocol) == digest(made)
    untidy = written_by_hand(random, text)
    tidied = reformat(parse(untidy))
    assert same(parse(untidy).protocol, made), (seed, untidy)
    assert same(parse(tidied).protocol, made), (seed, untidy, tidied)
    assert reformat(parse(tidied)) == tidied, (seed, tidied)


def written_by_hand(random: Random, text: str) -> str:
    """The same protocol with other arrows, bullets, line ends, and things between the lists."""
    lines = []
    bullet, deeper = random.choice((("*", 2), ("+", 3), ("1.", 3), ("-", 2), ("-  ", 4)))
    for line in text.split("\n"):
        if line.startswith("  - "):
            line = " " * deeper + "- " + line[4:]
        elif line.startswith("- "):
            line = f"{bullet} {line[2:]}"
            if random.random() < 0.1:
                lines += ["", "<!-- a note -->"]
        elif line.startswith("## "):
            lines += ["Some prose, with a - dash.", "", "```", "## States", "- not_me: no", "```", ""]
            lines += ["| a | b |", "|---|---|", "| - x | y |", ""] if random.random() < 0.5 else ["> - quoted: no", ""]
        if line.startswith(("*", "+", "1", "-", " ")) and "`" not in line and '"' not in line:
            head, colon, rest = line.partition(":")
            if "→" in head:
                line = head.replace("→", random.choice(("->", "=>", "⟶", "→"))) + colon + rest
        lines.append(line)
    return random.choice(("", "\ufeff")) + random.choice(("\n", "\r\n")).join(lines)


@pytest.mark.parametrize(
    "seeds", [SHORT, pytest.param(STORM, marks=pytest.mark.storm), pytest.param(LONG, marks=pytest.mark.long)], ids=str
)
def test_p3_format_laws(seeds: range) -> None:
    """False if a protocol is another one after it was written and read, or writing it again changes it."""
    for seed in seeds:
        laws(seed)


BY_HAND = """\
---
version: 1.0.0   # the first
---
Prose before the title.

# Protocol: task

<!-- lint: ignore W-NO-TIMEOUT people look after it -->
## States

1. waiting   ( idle , initial ):   Nothing
   to do
   * remind:  60m

     A paragraph below an item stays.
2. done (final): Finished <!-- at last -->

```
## States
- not_me: no
```

### About moves

## Transitions
* waiting=>done : When   *nothing* is left
    <!-- a comment -->
  - guard:  `inbox.unread==0`
  - limit: 3 per visit

Prose after.   Two spaces stay.
"""

TIDY = """\
---
version: 1.0.0   # the first
---
Prose before the title.

# Protocol: task

<!-- lint: ignore W-NO-TIMEOUT people look after it -->
## States

- waiting (initial, idle): Nothing to do
  - remind: 1h

    A paragraph below an item stays.
2. done (final): Finished <!-- at last -->

```
## States
- not_me: no
```

### About moves

## Transitions
- waiting → done: When *nothing* is left
    <!-- a comment -->
  - guard: `inbox.unread == 0`
  - limit: 3 per visit

Prose after.   Two spaces stay.
"""


def test_p3_what_people_wrote_stays() -> None:
    """False if the one form of items costs a comment, a paragraph, code, or the order of keys."""
    assert format_protocol(parse(BY_HAND)) == TIDY
    assert format_protocol(parse(TIDY)) == TIDY
    assert same(parse(TIDY).protocol, parse(BY_HAND).protocol)


def test_what_is_beside_an_item_does_not_come_into_it() -> None:
    """False if a shorter bullet made a key of a line that was an item of its own."""
    text = "# Protocol: a\n\n## States\n*   one: x\n  - 9 lives\n\n*   two: y\n\n   prose\n"
    assert format_protocol(parse(text)) == text


def test_an_item_with_an_error_stays() -> None:
    """False if the formatter changed what it cannot read."""
    text = "# Protocol: a\n\n## States\n*  one:  x\n*  two  three\n*  four:  y\n   - nokey:  1\n"
    assert format_protocol(parse(text)) == (
        "# Protocol: a\n\n## States\n- one: x\n*  two  three\n*  four:  y\n   - nokey:  1\n"
    )


def test_prose_changes_only_the_digest_of_the_document() -> None:
    """False if wording needed a new version, or a move did not."""
    other = TIDY.replace("is left", "remains").replace("Prose after", "Words after")
    assert digest(parse(other).protocol) == digest(parse(TIDY).protocol)
    assert doc_digest(other) != doc_digest(TIDY)
    assert doc_digest(TIDY.replace("\n", "\r\n")) == doc_digest(TIDY)
    assert digest(parse(TIDY.replace("3 per", "4 per")).protocol) != digest(parse(TIDY).protocol)
