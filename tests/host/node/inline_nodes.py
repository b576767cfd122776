"""In-line nodes for tests, and what they buried."""

from __future__ import annotations

from typing import Any

from engines.model import Message
from host.node.inline import InlineNode
from host.node.news import Letter


class Unheard(Message):
    """A message no family here accepts."""

    text: str


def node() -> InlineNode:
    def load(ref: str) -> Any:
        raise AssertionError(f"nothing is loaded here, not {ref}")

    return InlineNode(load)


def letters(inline: InlineNode) -> list[Letter]:
    counts, found = inline.report.take_letters()
    assert sum(counts.values()) == len(found)
    return found
