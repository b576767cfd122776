"""Messages at the door: what users send, and what they get.

An instruction is signed by the client over its bytes as they are sent (`signed_text`), so nothing between client and
door can change it, and a node needs no keys of its users. Questions about the state are not signed: whoever reaches the
door may read.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from engines.crypto.keys import Commitment
from engines.execution.messages import QueryAnswer, QueryRefused
from engines.execution.transactions import Access, Summary, WrittenTransaction
from engines.mempool.messages import TransactionAck
from engines.model import Message, Ref, Value

TXS_MAX: Final = 1_024
"""Transactions in one instruction."""
BODY_BYTES_MAX: Final = 1 << 20
OPTIONS_MAX: Final = 16


class Submission(Value, tag=True):
    """Order and run these transactions, once, under a number that the user gives to no other instruction.

    Numbers need not be consecutive. The door remembers a user's latest ones, and refuses those below them.
    """

    number: int
    txs: tuple[WrittenTransaction, ...]


class Reply(Value, tag=True):
    """The user's choice in a question that an engine asked."""

    question: int
    option: str


Statement: TypeAlias = Submission | Reply


def signed_text(body: bytes) -> bytes:
    """The bytes that a user signs for an instruction with this body."""
    return b"enginehost instruction 1\0" + body


# --- a user to the door -----------------------------------------------------------------------------------------------


class Instruction(Message):
    """A signed statement: `body` is `encode` of a `Statement`.

    `waits`: the receipt comes when all outcomes are here, otherwise when the mempool has the transactions.
    """

    body: bytes
    commitment: Commitment
    reply_to: Ref[Receipt | Refusal]
    waits: bool = True


class SubmissionQuery(Message):
    """What became of a submission."""

    user: bytes
    number: int
    reply_to: Ref[Receipt | Refusal]
    waits: bool = False


class StateQuery(Message):
    """The value of a key at a height; 0: the newest, and for a `user` one that has their answered submissions.

    `waits`: for a height that is still to come; otherwise such a query is refused.
    """

    key: bytes
    reply_to: Ref[QueryAnswer | QueryRefused]
    height: int = 0
    user: bytes = b""
    waits: bool = False


class Watch(Message):
    """The transactions after a timestamp that changed one of these keys; of any key for (), failed ones too.

    The answer comes with the first of them, or empty after `patience_ns`. Its `cursor` is the next `after`.
    """

    reply_to: Ref[Changes | Refusal]
    after: Annotated[int, Meta(ge=0)] = 0
    keys: tuple[bytes, ...] = ()
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    patience_ns: Annotated[int, Meta(ge=0, le=600_000_000_000)] = 10_000_000_000


class PendingRequest(Message):
    """The questions that wait for a user."""

    user: bytes
    reply_to: Ref[PendingQuestions]


# --- the door to a user -----------------------------------------------------------------------------------------------


class Receipt(Message):
    """A submission is accepted: it will run once. `is_done`: `outcomes` has all of its transactions, in their order.

    `ack` is the mempool's acknowledgement, which the node signs if it has an identity (`is_acknowledged_by`).
    """

    number: int
    tx_hashes: tuple[bytes, ...]
    outcomes: tuple[Summary, ...] = ()
    is_done: bool = False
    ack: TransactionAck | None = None


class Refusal(Message):
    """Nothing was done, for this reason. Programs can go by `code`; `docs/guides/node.md` has all of them."""

    number: int
    code: str
    reason: str


class Change(Value):
    """A transaction that was run, with what it wrote."""

    timestamp: int
    height: int
    tx_hash: bytes
    error: str
    writes: tuple[Access, ...]


class Changes(Message):
    """Transactions in the order of their timestamps. `cursor` is where the next `Watch` goes on."""

    changes: tuple[Change, ...]
    cursor: int


class PendingQuestion(Value):
    """A question of an engine, and until when it waits, on the clock of the node."""

    question: int
    asker: str
    text: str
    options: tuple[str, ...]
    until_ns: int


class PendingQuestions(Message):
    """Questions that wait, the oldest first."""

    questions: tuple[PendingQuestion, ...]


# --- engines to the door ----------------------------------------------------------------------------------------------


class AskUser(Message):
    """Have a user choose; without a choice in `patience_ns` it is `otherwise`, which is one of the options."""

    user: bytes
    text: str
    options: tuple[str, ...]
    otherwise: str
    patience_ns: int
    reply_to: Ref[UserChoice]


class UserChoice(Message):
    """What a user chose; `is_timeout`: they did not, and it is what was asked for in this case."""

    text: str
    option: str
    is_timeout: bool
