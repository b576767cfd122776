"""What the door hands to a session."""

from __future__ import annotations

from engines.execution.messages import QueryAnswer, QueryRefused, QueryRequest
from engines.execution.transactions import WrittenTransaction
from engines.model import Message, Ref

from .messages import PendingQuestions, Receipt, Refusal, UserChoice


class Submit(Message):
    """A submission whose signature holds. `digest` is that of its body."""

    number: int
    digest: bytes
    txs: tuple[WrittenTransaction, ...]
    reply_to: Ref[Receipt | Refusal]
    waits: bool


class AskStatus(Message):
    """What became of a submission."""

    number: int
    reply_to: Ref[Receipt | Refusal]
    waits: bool


class AskState(Message):
    """The newest value of a key that has this user's outcomes."""

    key: bytes
    shard: Ref[QueryRequest]
    reply_to: Ref[QueryAnswer | QueryRefused]


class AskPending(Message):
    """The questions that wait."""

    reply_to: Ref[PendingQuestions]


class PutQuestion(Message):
    """Have the user choose, as `AskUser` says. `asker` is the engine that asks."""

    asker: str
    text: str
    options: tuple[str, ...]
    otherwise: str
    patience_ns: int
    reply_to: Ref[UserChoice]


class Choice(Message):
    """The user's choice in a question."""

    question: int
    option: str
    reply_to: Ref[Receipt | Refusal]
