"""The line a measurement shows while it runs."""

from __future__ import annotations

import io
import re
import threading

import pytest
from rich.console import Console

from host.cli.progress import moving_line, progress_line

ERASE = "\x1b[2K"


def test_on_a_terminal_one_line_is_rewritten_and_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines pile up above the result, or the last one stays."""
    monkeypatch.setenv("TERM", "xterm")
    shown = io.StringIO()
    with progress_line(Console(file=shown, force_terminal=True, width=40)) as say:
        before = threading.active_count()
        say("oneway enginehost: warm-up")
        say("oneway limit: round 1")
        assert threading.active_count() == before, "a thread would be measured too"
    text = shown.getvalue()
    assert "oneway enginehost: warm-up" in text
    assert "oneway limit: round 1" in text
    after = text[text.rindex("round 1") :]
    assert ERASE in after
    assert not re.search(r"[A-Za-z]{2,}", after.removeprefix("round 1").replace(ERASE, ""))


@pytest.mark.parametrize(("terminal", "term"), [(False, "xterm"), (True, "dumb")])
def test_elsewhere_nothing_is_written(monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str) -> None:
    """A log file, a pipe, or a terminal that cannot rewrite a line is filled with progress."""
    monkeypatch.setenv("TERM", term)
    shown = io.StringIO()
    with progress_line(Console(file=shown, force_terminal=terminal)) as say:
        say("oneway enginehost: warm-up")
    assert shown.getvalue() == ""


def test_a_bar_is_as_full_as_the_share_that_has_been_moved() -> None:
    """False if the bar is longer or shorter than its place, or a size that is not known looks like one that is."""
    quarter = moving_line("put f", 256 << 20, 1 << 30, 2.0)
    assert quarter == f"put f: [{'#' * 8}{'-' * 22}] 25%, 256 MiB, 128 MiB/s"
    assert moving_line("put f", 3 << 30, 1 << 30, 3.0).startswith(f"put f: [{'#' * 30}] 100%")
    assert moving_line("put -", 256 << 20, 0, 2.0) == "put -: 256 MiB, 128 MiB/s"
