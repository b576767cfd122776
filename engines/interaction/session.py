"""A session: one user's submissions and the questions that wait for them. The door spawns it at the first instruction.

A submission is, by its number,

    *sent*       handed to the worker of the mempool
    *accepted*   acknowledged by it; it will be run once
    *done*       all outcomes are here; or the worker refused it, and then the refusal is what stays

A number that is known is never sent again: the same bytes get what there is, other bytes a refusal. The latest
`REMEMBERED` submissions that are done are kept; a number at or below one that was dropped is refused, since nobody
could tell any more whether it was run.

Crash points: none is special. A session that is made again from its log has what it had, and its messages to the worker
and to clients are sent once. A client that is gone gets nothing, and asks again by number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec.structs import replace

from engines.execution.messages import QueryAnswer, QueryRefused, QueryRequest
from engines.execution.transactions import Summary, TransactionCandidate, tx_hash
from engines.mempool.messages import TransactionAck, TransactionOutcome, TransactionRefused, TransactionRequest
from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Message,
    Ref,
    Send,
    Sent,
    SetTimer,
    Timer,
    Value,
    rule,
)

from .messages import (
    PendingQuestion,
    PendingQuestions,
    Receipt,
    Refusal,
    Told,
    UserChoice,
)

REMEMBERED: Final = 4_096
"""Submissions that are done and can be asked for."""
OPEN_MAX: Final = 4_096
"""Submissions that are not done."""
QUESTIONS_MAX: Final = 256
PATIENCE: Final = Timer("patience")


class Post(Config):
    """Where transactions go, and who is told of outcomes."""

    worker: Ref[TransactionRequest]
    feed: Ref[Told] | None = None


class Submit(Message):
    """From the door: a submission whose signature holds. `digest` is that of its body."""

    number: int
    digest: bytes
    txs: tuple[TransactionCandidate, ...]
    reply_to: Ref[Receipt | Refusal]
    waits: bool


class AskStatus(Message):
    """From the door: what became of a submission."""

    number: int
    reply_to: Ref[Receipt | Refusal]
    waits: bool


class AskState(Message):
    """From the door: the newest value of a key that has this user's outcomes."""

    key: bytes
    shard: Ref[QueryRequest]
    reply_to: Ref[QueryAnswer | QueryRefused]


class AskPending(Message):
    """From the door: the questions that wait."""

    reply_to: Ref[PendingQuestions]


class PutQuestion(Message):
    """From the door: have the user choose, as `AskUser` says. `asker` is the engine that asks."""

    asker: str
    text: str
    options: tuple[str, ...]
    otherwise: str
    patience_ns: int
    reply_to: Ref[UserChoice]


class Choice(Message):
    """From the door: the user's choice in a question."""

    question: int
    option: str
    reply_to: Ref[Receipt | Refusal]


class Waiting(Value):
    """A client that waits for a submission: to be accepted, or (`for_all`) to be done."""

    reply_to: Ref[Receipt | Refusal]
    for_all: bool


class Course(Value):
    """How far a submission is. `missing` outcomes are not here; a refusal by the mempool ends it."""

    digest: bytes
    tx_hashes: tuple[bytes, ...]
    missing: int
    outcomes: Map[bytes, Summary] = Map()
    is_accepted: bool = False
    refused: str = ""
    waiting: tuple[Waiting, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return not self.missing or bool(self.refused)


class Asked(Value):
    """A question that waits."""

    question: PendingQuestion
    otherwise: str
    reply_to: Ref[UserChoice]


class Session(Value):
    """State: submissions by number, those not done by transaction, and those done in the order in which they were.

    Numbers up to `floor` are forgotten. `height` is the newest one of an outcome.
    """

    courses: Map[int, Course] = Map()
    under_way: Map[bytes, int] = Map()
    open: int = 0
    done: Map[int, int] = Map()
    first_done: int = 1
    last_done: int = 0
    floor: int = -1
    height: int = 0
    questions: Map[int, Asked] = Map()
    last_question: int = 0


ToAnyone: TypeAlias = TransactionRequest | Receipt | Refusal | QueryRequest | PendingQuestions | UserChoice | Told
Answer: TypeAlias = Receipt | Refusal
Made: TypeAlias = Effects[Session, ToAnyone]


def answer(reply_to: Ref[Answer], number: int, course: Course) -> Sent[Answer]:
    """What a client is told about a submission."""
    if course.refused:
        return Send(reply_to, Refusal(number, "mempool", course.refused))
    outcomes = tuple(course.outcomes[one] for one in course.tx_hashes if one in course.outcomes)
    return Send(reply_to, Receipt(number, course.tx_hashes, outcomes, course.is_done))


# --- submissions ------------------------------------------------------------------------------------------------------


@rule
def submit(order: Submit, t: Arrived[Submit, Post, Session]) -> Made:
    """State: a submission more. Messages: its transactions to the worker, or an answer. Timers, engines: none."""
    state = t.env.state
    number, known = order.number, state.courses.get(order.number)
    if known is not None:
        if known.digest != order.digest:
            return Send(order.reply_to, Refusal(number, "other_content", f"number {number} was used for another one"))
        return _awaited(state, number, known, Waiting(order.reply_to, order.waits))
    if refusal := _refusal(state, order):
        return Send(order.reply_to, refusal)
    hashes = tuple(map(tx_hash, order.txs))
    if len({*hashes}) < len(hashes) or any(one in state.under_way for one in hashes):
        reason = "a transaction is in it twice, or under way already; a nonce tells apart what is meant twice"
        return Send(order.reply_to, Refusal(number, "duplicate", reason))
    course = Course(order.digest, hashes, len(hashes), waiting=(Waiting(order.reply_to, order.waits),))
    after = replace(
        state,
        courses=state.courses.set(number, course),
        under_way=state.under_way.updated(dict.fromkeys(hashes, number)),
        open=state.open + 1,
    )
    return [Become(after), Send(t.config.worker, TransactionRequest(order.txs, Ref(t.me.name)))]


def _refusal(state: Session, order: Submit) -> Refusal | None:
    if order.number <= state.floor:
        reason = f"numbers up to {state.floor} are forgotten; use a higher one"
        return Refusal(order.number, "too_old", reason)
    if state.open >= OPEN_MAX:
        return Refusal(order.number, "busy", f"{OPEN_MAX} submissions are under way; wait for one of them")
    return None


def _awaited(state: Session, number: int, course: Course, waiting: Waiting) -> Made:
    """Answer now if there is what the client waits for, else later."""
    if course.is_done or (course.is_accepted and not waiting.for_all):
        return answer(waiting.reply_to, number, course)
    course = replace(course, waiting=(*course.waiting, waiting))
    return replace(state, courses=state.courses.set(number, course))


@rule
def tell_status(ask: AskStatus, t: Arrived[AskStatus, Post, Session]) -> Made:
    """State: a client waits, if told to. Messages: what became of a submission. Timers, engines: none."""
    state, number = t.env.state, ask.number
    course = state.courses.get(number)
    if course is None:
        reason = (
            f"numbers up to {state.floor} are forgotten" if number <= state.floor else f"there is no number {number}"
        )
        return Send(ask.reply_to, Refusal(number, "too_old" if number <= state.floor else "unknown", reason))
    if ask.waits:
        return _awaited(state, number, course, Waiting(ask.reply_to, True))
    return answer(ask.reply_to, number, course)


class _Turn:
    """What news from the mempool make of the state."""

    def __init__(self, state: Session) -> None:
        self.state = state
        self.sends: list[Sent[ToAnyone]] = []
        self._courses: dict[int, Course] = {}

    def course(self, hash_: bytes) -> tuple[int, Course] | None:
        """The submission with a transaction, and its number; None if none is under way."""
        number = self.state.under_way.get(hash_)
        if number is None:
            return None
        return number, self._courses.get(number) or self.state.courses[number]

    def put(self, number: int, course: Course) -> None:
        """Keep the new course of a submission."""
        self._courses[number] = course

    def effects(self) -> Made:
        """Answer those who waited for what is there now, and move what is done to the done."""
        for number, course in self._courses.items():
            later = tuple(one for one in course.waiting if one.for_all and not course.is_done)
            now = (one for one in course.waiting if not one.for_all or course.is_done)
            self.sends += (answer(one.reply_to, number, course) for one in now)
            self._courses[number] = replace(course, waiting=later)
        state = replace(self.state, courses=self.state.courses.updated(self._courses))
        for number, course in self._courses.items():
            if course.is_done:
                state = _finished(state, number, course)
        return [Become(state), *self.sends]


def _finished(state: Session, number: int, course: Course) -> Session:
    under_way = state.under_way
    for hash_ in course.tx_hashes:
        under_way = under_way.without(hash_)
    last, first, floor = state.last_done + 1, state.first_done, state.floor
    done, courses = state.done.set(last, number), state.courses
    if last - first + 1 > REMEMBERED:
        gone = done[first]
        done, courses, floor = done.without(first), courses.without(gone), max(floor, gone)
        first += 1
    return replace(
        state,
        courses=courses,
        under_way=under_way,
        open=state.open - 1,
        done=done,
        first_done=first,
        last_done=last,
        floor=floor,
    )


@rule
def accept(ack: TransactionAck, t: Arrived[TransactionAck, Post, Session]) -> Made:
    """State: submissions are accepted. Messages: receipts to those who wait for that. Timers, engines: none."""
    turn = _Turn(t.env.state)
    for number, course in _courses_of(turn, ack.tx_hashes):
        turn.put(number, replace(course, is_accepted=True))
    return turn.effects()


@rule
def refuse(refused: TransactionRefused, t: Arrived[TransactionRefused, Post, Session]) -> Made:
    """State: submissions end. Messages: why, to those who wait. Timers, engines: none."""
    turn = _Turn(t.env.state)
    for number, course in _courses_of(turn, refused.tx_hashes):
        turn.put(number, replace(course, refused=refused.reason))
    return turn.effects()


def _courses_of(turn: _Turn, hashes: Iterable[bytes]) -> Iterable[tuple[int, Course]]:
    return dict(found for hash_ in hashes if (found := turn.course(hash_)) is not None).items()


@rule
def finish(news: TransactionOutcome, t: Arrived[TransactionOutcome, Post, Session]) -> Made:
    """State: outcomes. Messages: receipts to those who wait, and the outcomes to the feed. Timers, engines: none."""
    turn = _Turn(t.env.state)
    for summary in news.outcomes:
        found = turn.course(summary.tx_hash)
        if found is None or summary.tx_hash in found[1].outcomes:
            continue
        number, course = found
        outcomes = course.outcomes.set(summary.tx_hash, summary)
        turn.put(number, replace(course, outcomes=outcomes, missing=course.missing - 1, is_accepted=True))
    heights = [summary.height for summary in news.outcomes]
    turn.state = replace(turn.state, height=max(turn.state.height, *heights)) if heights else turn.state
    run = tuple(summary for summary in news.outcomes if summary.timestamp)
    if t.config.feed is not None and run:
        turn.sends.append(Send(t.config.feed, Told(run)))
    return turn.effects()


@rule
def ask_state(ask: AskState, t: Arrived[AskState, Post, Session]) -> Made:
    """State: none. Messages: a query that has this user's outcomes, to the shard. Timers, engines: none."""
    return Send(ask.shard, QueryRequest(ask.key, ask.reply_to, at_least=t.env.state.height))


# --- questions of engines ---------------------------------------------------------------------------------------------


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


SESSION = Family(
    "session",
    config=Post,
    state=Session(),
    accepts=Submit
    | AskStatus
    | AskState
    | AskPending
    | Choice
    | PutQuestion
    | TransactionAck
    | TransactionRefused
    | TransactionOutcome,
    emits=TransactionRequest | Receipt | Refusal | QueryRequest | PendingQuestions | UserChoice | Told,
    timers=[PATIENCE],
).rules(
    submit,
    tell_status,
    accept,
    refuse,
    finish,
    ask_state,
    take_question,
    choose,
    tell_pending,
    give_up,
)
