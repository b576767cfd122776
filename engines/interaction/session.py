"""A session: one user's submissions and the questions that wait for them. The door spawns it at the first instruction.

A submission is, by its number,

    *sent*       handed to the worker of the mempool
    *accepted*   acknowledged by it; it will be run once
    *done*       all outcomes are here, and the acknowledgement; or the worker refused it, and then the refusal stays

A number that is known is never sent again: the same bytes get what there is, other bytes a refusal. The latest
`REMEMBERED` submissions that are done are kept; a number at or below one that was dropped is refused, since nobody
could tell any more whether it was run.

Crash points: none is special. A session that is made again from its log has what it had, and its messages to the worker
and to clients are sent once. A client that is gone gets nothing, and asks again by number.
"""

from __future__ import annotations

from engines.execution.messages import QueryRequest
from engines.mempool.messages import TransactionAck, TransactionOutcome, TransactionRefused, TransactionRequest
from engines.model import Family

from .course import Post, Session
from .messages import PendingQuestions, Receipt, Refusal, UserChoice
from .orders import AskPending, AskState, AskStatus, Choice, PutQuestion, Submit
from .questions import PATIENCE, choose, give_up, take_question, tell_pending
from .submissions import accept, ask_state, finish, refuse, submit, tell_status

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
    emits=TransactionRequest | Receipt | Refusal | QueryRequest | PendingQuestions | UserChoice,
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
