"""The forms of a chart: text for a terminal, and Mermaid."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from host.chart.escapes import one_line
from host.chart.labels import LABEL_MAX, VALUE_MAX, delay_label, family_label, message_label
from host.chart.mermaid import PLAIN, escaped, mermaid
from host.chart.model import Arrow, Chart, ChartEvent, ChartMark, merge_outsiders, participants_of
from host.chart.text import text

MS = 10**6


def chart(*events: ChartEvent, inside: str = "a b c", notes: tuple[str, ...] = ()) -> Chart:
    return Chart(participants_of(events, inside.split()), events, notes)


EVERYTHING = chart(
    Arrow(1 * MS, "cli.1", "a", "Start(by=3)"),
    ChartMark(1 * MS, ("a",), "set", "timer nap set: 2 s"),
    Arrow(1 * MS, "a", "b", "Ask", "lost", "b ended first"),
    Arrow(2 * MS, "a", "c", "Ask(question=1, reply_to=a#1, and_a_very_long_field=yes)", "stored"),
    Arrow(3 * MS, "c", "a", "Bad", "failed", "ValueError: no"),
    Arrow(4 * MS, "a", "a", "Again"),
    Arrow(5 * MS, "a", "b", "spawn X", "spawn"),
    Arrow(6 * MS, "b", "c", "Late", "waiting"),
    ChartMark(7 * MS, ("a", "c"), "restarted", "process restarts after a crash"),
    notes=("only the newest 9 events are drawn",),
)


LANES = """
TIME     cli.1    a      b      c
0.001 s    |----->|      |      |  Start(by=3)
0.001 s    |      o      |      |  timer nap set: 2 s
0.001 s    |      |- - ->x      |  Ask (never taken: b ended first)
0.002 s    |      |------------>|  Ask(question=1, reply_to=a#1,
           |      |      |      |  and_a_very_long_field=yes) (stored)
0.003 s    |      x<------------|  Bad (failed: ValueError: no)
0.004 s    |      @      |      |  Again
0.005 s    |      |=====>|      |  spawn X
0.006 s    |      |      |- - ->|  Late (waits in the mailbox)
0.007 s    |      o      |      o  process restarts after a crash
only the newest 9 events are drawn
"""

NAMES = """
TIME     WHO
0.001 s  cli.1 -> a  Start(by=3)
0.001 s  a           timer nap set: 2 s
0.001 s  a ~>x b     Ask (never taken: b ended first)
0.002 s  a -> c      Ask(question=1, reply_to=a#1,
                     and_a_very_long_field=yes) (stored)
0.003 s  c -> a      Bad (failed: ValueError: no)
0.004 s  a -> a      Again
0.005 s  a => b      spawn X
0.006 s  b ~> c      Late (waits in the mailbox)
0.007 s  a, c        process restarts after a crash
only the newest 9 events are drawn
"""

MERMAID = """
sequenceDiagram
    %% only the newest 9 events are drawn
    actor p1 as cli.1
    participant p2 as a
    participant p3 as b
    participant p4 as c
    p1->>p2: Start(by=3)
    Note over p2: timer nap set#58; 2 s
    p2--xp3: Ask (never taken#58; b ended first)
    p2->>p4: Ask(question=1, reply_to=a#35;1, and_a_very_long_field=yes) (stored)
    p4-xp2: Bad (failed#58; ValueError#58; no)
    p2->>p2: Again
    p2-->>p3: spawn X
    p3--)p4: Late (waits in the mailbox)
    Note over p2,p4: a, c#58; process restarts after a crash
"""


def test_lanes() -> None:
    """False if an event were drawn at another place, with another stroke or label than this."""
    assert text(EVERYTHING) == LANES.strip()


def test_names_where_lanes_leave_no_room() -> None:
    """False if a narrow terminal got lanes with labels of a few letters, or an event were shown otherwise than this."""
    assert text(EVERYTHING, 60) == NAMES.strip()


def test_a_diagram() -> None:
    """False if Mermaid were given another statement for an event than this."""
    assert mermaid(EVERYTHING) == MERMAID.strip()


def test_a_chart_without_events() -> None:
    """False if there were nothing to read where nothing happened."""
    empty = chart(notes=("no events there",))
    assert text(empty) == "no events there"
    assert mermaid(empty) == "sequenceDiagram\n    %% no events there"


def test_outsiders_share_a_lane_when_they_are_many() -> None:
    """False if each command that ever sent something took a lane of its own."""
    events = [Arrow(n, f"cli.{n}", "a", "M") for n in range(3)]
    merged = merge_outsiders(chart(*events, Arrow(9, "a", "cli.0", "Answer", "sent")))
    assert [one.name for one in merged.participants] == ["outside", "a"]
    labels = [event.label for event in merged.events if isinstance(event, Arrow)]
    assert labels == ["from cli.0: M", "from cli.1: M", "from cli.2: M", "to cli.0: Answer"]
    few = chart(*events[:2])
    assert merge_outsiders(few) == few


def test_lines_fit_and_nothing_is_lost() -> None:
    """False if long names made lines longer than asked for, or a part of a label were cut off."""
    names = [f"engine-with-a-long-name-{n}/child.{n}" for n in range(6)]
    events = [Arrow(n, names[n], names[n - 1], "Message(" + "X" * 100 + ")") for n in range(6)]
    drawn = text(chart(*events, inside=" ".join(names)))
    assert max(map(len, drawn.splitlines())) <= 80
    assert drawn.count("X") == 600


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_control_character_reaches_the_terminal(name: str, label: str) -> None:
    """False if the name of a sender could clear the screen, or tear a line in two."""
    mark = ChartMark(0, (name,), "note", message_label([name, label]))
    drawn = text(chart(Arrow(0, name, "a", message_label({"type": "M", "text": label})), mark, notes=(name,)))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", drawn)


def test_labels() -> None:
    """False if a message were shown otherwise than its type with short fields."""
    assert message_label({"type": "Pay", "amount": 5, "to": "shop", "urgent": True, "note": None}) == (
        "Pay(amount=5, to=shop, urgent=true, note=null)"
    )
    assert message_label(["Pay", 5, b"\x13\x37", ["x", 1]]) == "Pay(5, 0x1337, [x, 1])"
    assert message_label(["Close"]) == message_label({"type": "Close"}) == "Close"
    assert message_label({"type": "A", "of": {"type": "B", "n": 1}, "m": {"k": 2}}) == "A(of=B(n=1), m={k: 2})"
    long = message_label({"type": "M", **{f"field{n}": "y" * 1000 for n in range(20)}})
    assert len(long) == LABEL_MAX
    assert f"field0={'y' * (VALUE_MAX - 1)}…, " in long
    assert message_label(b"raw\xff") == "0x726177ff"
    assert (delay_label(1_500_000_000), delay_label(7), delay_label(-7)) == ("1.5 s", "7 ns", "-7 ns")
    assert family_label("engines.examples.dice:DICE") == "dice:DICE"


HARD = (
    "end",
    "a;b",
    "#35;",
    "a#quot;b",
    "x\ny",
    "%%{init}%%",
    "$$x$$",
    "wrap: x",
    "<b>",
    "a:b",
    "-->>",
    "\x1b[31m",
    "",
)
"""Texts that mean something to Mermaid: a page, and `mermaid.render` of version 11.17, show each as written here."""


def test_hard_texts_are_drawn_as_they_are() -> None:
    """False if a name or a label could end a statement of Mermaid, or begin a comment or HTML."""
    found = mermaid(chart(*(Arrow(0, name, "a", name) for name in HARD), inside="a"))
    assert found.count("\n") == 1 + 1 + len(HARD)
    shown = [
        "end",
        "a#59;b",
        "#35;35#59;",
        "a#35;quot#59;b",
        "x#92;ny",
        "#37;#37;#123;init#125;#37;#37;",
    ]
    shown += ["#36;#36;x#36;#36;", "wrap#58; x", "#60;b#62;", "a#58;b", "--#62;#62;", "#92;x1b[31m", "#32;"]
    assert [escaped(one) for one in HARD] == shown


@given(st.text())
def test_nothing_but_text_is_left_for_mermaid(text: str) -> None:
    """False if a text had another character than letters, digits, harmless marks and numbers of characters, or another
    text behind the numbers.
    """
    shown = escaped(text)
    left = re.sub(r"#\d+;", "", shown)
    assert all(char in PLAIN or char.isalnum() for char in left)
    read = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), shown)
    assert read == (one_line(text) or " ")


def test_engines_that_begin_together_are_in_order_of_their_messages() -> None:
    """False if the lanes of two charts of one run differed by whose process was there first."""
    begin = [ChartMark(1, (name,), "began", f"begins: {name}") for name in "ba"]
    greet = [Arrow(2, "cli.1", "a", "Greet"), Arrow(3, "a", "b", "Greeting")]
    for marks in (begin, begin[::-1]):
        assert [one.name for one in chart(*marks, *greet).participants] == ["cli.1", "a", "b"]
