"""The parameters and the state of a session: how far each submission is, and the questions that wait."""

from __future__ import annotations

from typing import TypeAlias

from engines.execution.messages import QueryRequest
from engines.execution.transactions import Summary
from engines.mempool.messages import TransactionAck, TransactionRequest
from engines.model import Config, Effects, Map, Ref, Value

from .messages import PendingQuestion, PendingQuestions, Receipt, Refusal, UserChoice


class Post(Config):
    """Where transactions go."""

    worker: Ref[TransactionRequest]


class Waiting(Value):
    """A client that waits for a submission: to be accepted, or (`for_all`) to be done."""

    reply_to: Ref[Receipt | Refusal]
    for_all: bool


class Course(Value):
    """How far a submission is. `missing` outcomes are not here; a refusal by the mempool ends it.

    `ack` is what the mempool acknowledged it with, and the user can show.
    """

    digest: bytes
    tx_hashes: tuple[bytes, ...]
    missing: int
    outcomes: Map[bytes, Summary] = Map()
    ack: TransactionAck | None = None
    refused: str = ""
    waiting: tuple[Waiting, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return (not self.missing and self.is_accepted) or bool(self.refused)

    @property
    def is_accepted(self) -> bool:
        """Whether the mempool has it."""
        return self.ack is not None


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


ToAnyone: TypeAlias = TransactionRequest | Receipt | Refusal | QueryRequest | PendingQuestions | UserChoice
Answer: TypeAlias = Receipt | Refusal
Made: TypeAlias = Effects[Session, ToAnyone]
