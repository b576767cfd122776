"""What a session does with questions of engines: they wait for the user's choice, or until their time is over."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Elapsed,
    Handle,
    Map,
    Send,
    SetTimer,
    Timer,
    rule,
)

from .course import Asked, Made, Post, Session
from .messages import PendingQuestion, PendingQuestions, Receipt, Refusal, UserChoice
from .orders import AskPending, Choice, PutQuestion

QUESTIONS_MAX: Final = 256
PATIENCE: Final = Timer("patience")


@rule
def take_question(ask: PutQuestion, t: Arrived[PutQuestion, Post, Session]) -> Made:
    """State: a question more; beyond `QUESTIONS_MAX` it is answered at once, as if in vain. Timers: its patience.
    Messages: none, or that answer. Engines: none."""
    state = t.env.state
    if len(state.questions) >= QUESTIONS_MAX or ask.patience_ns <= 0:
        return Send(ask.reply_to, UserChoice(ask.text, ask.otherwise, True))
    number = state.last_question + 1
    question = PendingQuestion(number, ask.asker, ask.text, ask.options, t.now_ns + ask.patience_ns)
    questions = state.questions.set(number, Asked(question, ask.otherwise, ask.reply_to))
    return [Become(replace(state, questions=questions, last_question=number)), _patience(questions)]


def _patience(questions: Map[int, Asked]) -> SetTimer | CancelTimer:
    if not questions:
        return CancelTimer(PATIENCE)
    return SetTimer(PATIENCE, min(one.question.until_ns for one in questions.values()))


@rule
def choose(choice: Choice, t: Arrived[Choice, Post, Session]) -> Made:
    """State: a question less. Messages: the choice to who asked, a receipt to the user. Timers: patience of the rest.
    Engines: none."""
    state, number = t.env.state, choice.question
    asked = state.questions.get(number)
    if asked is None:
        reason = f"question {number} does not wait; it was answered, or its time is over"
        return Send(choice.reply_to, Refusal(number, "unknown", reason))
    if choice.option not in asked.question.options:
        reason = f"{choice.option!r} is none of {', '.join(asked.question.options)}"
        return Send(choice.reply_to, Refusal(number, "option", reason))
    questions = state.questions.without(number)
    return [
        Become(replace(state, questions=questions)),
        _patience(questions),
        Send(asked.reply_to, UserChoice(asked.question.text, choice.option, False)),
        Send(choice.reply_to, Receipt(number, (), (), True)),
    ]


@rule
def tell_pending(ask: AskPending, t: Arrived[AskPending, Post, Session]) -> Made:
    """State: none. Messages: the questions that wait. Timers, engines: none."""
    return Send(ask.reply_to, PendingQuestions(tuple(one.question for one in t.env.state.questions.values())))


@rule(timer=PATIENCE)
def give_up(_patience_over: Handle, t: Elapsed[Post, Session]) -> Made:
    """State: without the questions whose time is over. Messages: what was asked for in this case. Timers: the next.
    Engines: none."""
    questions, sends = t.env.state.questions, []
    for number, asked in questions.items():
        if asked.question.until_ns <= t.now_ns:
            questions = questions.without(number)
            sends.append(Send(asked.reply_to, UserChoice(asked.question.text, asked.otherwise, True)))
    return [Become(replace(t.env.state, questions=questions)), _patience(questions), *sends]
