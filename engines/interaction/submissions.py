"""What a session does with submissions: it hands them to the worker, and follows them until they are done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec.structs import replace

from engines.execution.messages import QueryRequest
from engines.execution.transactions import tx_hash
from engines.mempool.messages import TransactionAck, TransactionOutcome, TransactionRefused, TransactionRequest
from engines.model import (
    Arrived,
    Become,
    Ref,
    Send,
    Sent,
    rule,
)

from .course import Course, Made, Post, Session, ToAnyone, Waiting
from .messages import Receipt, Refusal
from .orders import AskState, AskStatus, Submit

REMEMBERED: Final = 4_096
"""Submissions that are done and can be asked for."""

OPEN_MAX: Final = 4_096
"""Submissions that are not done."""

Answer: TypeAlias = Receipt | Refusal


def answer(reply_to: Ref[Answer], number: int, course: Course) -> Sent[Answer]:
    """What a client is told about a submission."""
    if course.refused:
        return Send(reply_to, Refusal(number, "mempool", course.refused))
    outcomes = tuple(course.outcomes[one] for one in course.tx_hashes if one in course.outcomes)
    return Send(reply_to, Receipt(number, course.tx_hashes, outcomes, course.is_done, course.ack))


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
    last, first, floor = state.last_done + 1, state.first_done, state.floor
    done, courses = state.done.set(last, number), state.courses
    if last - first + 1 > REMEMBERED:
        gone = done[first]
        done, courses, floor = done.without(first), courses.without(gone), max(floor, gone)
        first += 1
    return replace(
        state,
        courses=courses,
        under_way=state.under_way.without(*course.tx_hashes),
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
        turn.put(number, replace(course, ack=ack))
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
    """State: outcomes. Messages: receipts to those who wait. Timers, engines: none."""
    turn = _Turn(t.env.state)
    for summary in news.outcomes:
        found = turn.course(summary.tx_hash)
        if found is None or summary.tx_hash in found[1].outcomes:
            continue
        number, course = found
        outcomes = course.outcomes.set(summary.tx_hash, summary)
        turn.put(number, replace(course, outcomes=outcomes, missing=course.missing - 1))
    heights = [summary.height for summary in news.outcomes]
    turn.state = replace(turn.state, height=max(turn.state.height, *heights)) if heights else turn.state
    return turn.effects()


@rule
def ask_state(ask: AskState, t: Arrived[AskState, Post, Session]) -> Made:
    """State: none. Messages: a query that has this user's outcomes, to the shard. Timers, engines: none."""
    return Send(ask.shard, QueryRequest(ask.key, ask.reply_to, at_least=t.env.state.height))
