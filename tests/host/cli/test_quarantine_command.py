from __future__ import annotations

from typing import Any

from host.cli.commands.quarantine import render_entries, render_whole
from host.live.control.protocol import Request, Response

from .conftest import Cli, StartNode

ENTRY: dict[str, Any] = {
    "id": 3,
    "engine": "till",
    "sender": "clerk",
    "mailbox": 0,
    "n": 7,
    "time": 1_700_000_000_123_000_000,
    "policy": "park",
    "reason": "ValueError: no",
    "message": ["Add", 5],
}


def test_the_table_says_what_to_ask_for() -> None:
    """Who looks at the list does not see the number that `show` and `replay` want."""
    head, row = render_entries([ENTRY]).splitlines()
    assert head.split() == ["ID", "TIME", "ENGINE", "SENDER", "POLICY", "MESSAGE", "REASON"]
    assert row.split()[0] == "3"
    assert "till" in row
    assert row.endswith("ValueError: no")
    assert render_entries([]) == "nothing is in quarantine"


def test_show_has_the_traceback_as_it_was_printed() -> None:
    """A traceback in one line is of no use."""
    whole = ENTRY | {"state": "00ff", "code": "abcd", "detail": "Traceback\n  line\nValueError: no\n"}
    text = render_whole([whole])
    assert text.endswith("Traceback\n  line\nValueError: no")
    assert "00ff" in text


def test_each_word_asks_for_what_it_says(start_node: StartNode, cli: Cli) -> None:
    """`discard` replays, or the engine is not passed on."""
    asked: list[dict[str, Any]] = []

    def answer(request: Request) -> list[Response]:
        asked.append({"op": request.op} | request.args)
        return [Response("quarantined", [ENTRY])]

    start_node("a.yaml", answer)
    assert cli("quarantine", "ls", "till").code == 0
    assert cli("quarantine", "replay", "3").out == "entry 3 of till is sent again\n"
    assert cli("quarantine", "discard", "3").out == "entry 3 of till is discarded\n"
    assert [(one["do"], one.get("engine") or one.get("id")) for one in asked] == [
        ("ls", "till"),
        ("replay", 3),
        ("discard", 3),
    ]
