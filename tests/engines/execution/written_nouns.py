"""Nouns as people write them: `[8 [1 0] 0 1]` is `[8 [[1 0] [0 1]]]`."""

from __future__ import annotations

import re

from engines.execution.nouns import Noun

DECREMENT = "[8 [1 0] 8 [1 6 [5 [0 7] 4 0 6] [0 6] 9 2 [0 2] [4 0 6] 0 7] 9 2 0 1]"
"""The formula that takes one from its subject, by counting up to it."""


def noun(text: str) -> Noun:
    """The noun of a text."""
    stack: list[list[Noun]] = [[]]
    for token in re.findall(r"\[|\]|\d+", text):
        if token == "[":
            stack.append([])
        elif token == "]":
            *items, last = stack.pop()
            for item in reversed(items):
                last = (item, last)
            stack[-1].append(last)
        else:
            stack[-1].append(int(token))
    [[found]] = stack
    return found
