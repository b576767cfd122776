"""Interaction: the tree is walked by recorded answers; a suspended engine is its trigger and the answers so far."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import (
    AnswerError,
    Arrived,
    Become,
    Choose,
    Committed,
    Configuration,
    Delivery,
    Failed,
    Family,
    Interaction,
    Message,
    Note,
    Roll,
    Suspended,
    Value,
    birth,
    interactive_rule,
    step,
)
from engines.model.interaction import QUESTIONS_MAX


class Play(Message):
    pass


class Score(Value):
    points: int = 0
    mood: str = ""


Played = Arrived[Play, None, Score]


@interactive_rule
def play(message: Play, t: Played) -> Interaction[Score, Any]:
    """Roll as often as the player wants, at most until the clock says stop."""
    points = 0
    while True:
        points += yield from Roll(6)
        again = yield from Choose(("again", "stop"), timeout_ns=5)
        if again != "again":
            return [Note("played", rounds=points), Become(Score(points, again or "asleep"))]


GAME = Family("game", accepts=Play, state=Score()).rules(play)
ME = Configuration("node", "me")
ENV = birth(GAME, ME, now_ns=0)


def answered(*answers: Any) -> Any:
    return step(GAME, ME, ENV, Delivery("x", 0, Play()), 7, answers)


rounds = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@given(rounds, st.sampled_from(["stop", None]))
def test_answers_one_by_one_lead_where_all_at_once_lead(sides: list[int], last: str | None) -> None:
    """If false, a replay of recorded answers is not what happened."""
    answers: list[Any] = []
    for place, side in enumerate(sides):
        answers += [side, last if place == len(sides) - 1 else "again"]
    for taken in range(len(answers)):
        wanted = Roll(6) if taken % 2 == 0 else Choose(("again", "stop"), timeout_ns=5)
        assert answered(*answers[:taken]) == Suspended(wanted, ("play",))
    outcome = answered(*answers)
    assert isinstance(outcome, Committed)
    assert outcome.env.state == Score(sum(sides), last or "asleep")
    assert outcome == answered(*answers)


def test_a_suspended_engine_has_changed_nothing() -> None:
    """If false, an interaction leaves effects before its leaf."""
    assert answered(3) == Suspended(Choose(("again", "stop"), timeout_ns=5), ("play",))
    assert birth(GAME, ME, now_ns=0) == ENV


@pytest.mark.parametrize("answers", [(0,), (7,), (True,), ("1",), (None,), (1, "maybe"), (1, "stop", 2)])
def test_what_a_question_does_not_allow_is_refused(answers: tuple[Any, ...]) -> None:
    """If false, an answer outside the question decides; a time-out where there is none, too."""
    with pytest.raises(AnswerError):
        answered(*answers)


def test_the_time_out_is_a_branch_of_its_own() -> None:
    """If false, nobody's silence can be told from an answer."""
    outcome = answered(2, None)
    assert outcome.env.state == Score(2, "asleep")


def test_an_action_cannot_ask_for_ever() -> None:
    """If false, an interaction has no bound."""
    outcome = answered(*([1, "again"] * QUESTIONS_MAX))
    assert isinstance(outcome, Failed)
    assert str(QUESTIONS_MAX) in outcome.error


def test_only_questions_may_be_yielded() -> None:
    """If false, an action could wait for something nobody answers."""

    @interactive_rule
    def lost(message: Play, t: Played) -> Interaction[Score, Any]:
        yield 42  # type: ignore[misc]
        return Score()

    made = Family("lost", accepts=Play, state=Score()).rules(lost)
    outcome = step(made, ME, birth(made, ME, now_ns=0), Delivery("x", 0, Play()), 0)
    assert isinstance(outcome, Failed)
    assert "yields Choose or Roll, not int" in outcome.error


@pytest.mark.parametrize("make", [lambda: Choose(()), lambda: Choose(("a", "a")), lambda: Roll(0)])
def test_questions_without_an_answer_cannot_be_asked(make: Any) -> None:
    """If false, an engine could suspend and never go on."""
    with pytest.raises(ValueError, match=r"needs options|at least one side"):
        make()
