"""The reference page is made from the code."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_what_the_code_says() -> None:
    """False if a docstring or signature changed after the page was written: run `python docs/make_reference.py`."""
    made = runpy.run_path(str(DOCS / "make_reference.py"))["page"]()
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == made


def test_every_entry_says_something() -> None:
    """False if an exported name has no docstring, so that its entry would be empty."""
    entries = (DOCS / "reference.md").read_text(encoding="utf-8").split("\n### ")[1:]
    assert len(entries) > 80
    empty = [entry.split("\n")[0] for entry in entries if not entry.partition("```\n\n")[2].strip()]
    assert empty == []
