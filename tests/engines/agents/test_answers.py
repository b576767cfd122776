"""Answers that are kept for repeats: enough of them, and within a bound."""

from __future__ import annotations

import pytest

from engines.agents.answers import (
    GENERATION_BYTES,
    GENERATION_LEAST,
    GENERATION_MAX,
    OLDER_MAX,
    Answers,
)
from engines.agents.bridge.intake import OPEN_OF_AGENT_MAX
from engines.agents.messages import AgentAnswer, AgentRequest
from engines.model import Ref

LEAST = OLDER_MAX * GENERATION_LEAST


def asked(number: int, body: str = "{}") -> AgentRequest:
    return AgentRequest("ann", 1, f"r{number}", "state.transition", body, "agent", Ref("bridge"))


@pytest.mark.parametrize(("size", "kept"), [(100, 1_000), (1_000, 250), (60_000, 200)])
def test_the_newest_answers_are_kept_within_a_bound(size: int, kept: int) -> None:
    """False if a request that comes again soon were done again, or answers took memory without end."""
    answers = Answers()
    for number in range(3_000):
        answers = answers.remember(asked(number), AgentAnswer("ann", f"r{number}", f"{number:0{size}}"))
    for number in range(3_000 - kept, 3_000):
        repeated = answers.repeated(asked(number))
        assert repeated is not None
        assert int(repeated.text[-6:]) == number
    assert answers.repeated(asked(3_000 - 1, '{"other":1}')).kind == "conflict"  # type: ignore[union-attr]
    texts = [one.text for part in (answers.young, *answers.older) for one in part.values()]
    assert len(texts) <= (OLDER_MAX + 1) * GENERATION_MAX
    assert sum(map(len, texts)) <= (OLDER_MAX + 1) * max(GENERATION_BYTES + size, GENERATION_LEAST * size)
    assert kept >= LEAST > OPEN_OF_AGENT_MAX
