"""The door: whoever comes from outside the node comes through here. It checks signatures, and keeps a session a user.

| message | rule |
|---|---|
| Instruction | its signature holds and the user is admitted: to the user's session, which is spawned at the first one |
| SubmissionQuery, PendingRequest | to the session; a user without one has nothing |
| StateQuery | to the shard of the key; for a user by way of their session, which knows what the answer must have |
| Watch | to the feed |
| AskUser | to the session of the user, which is spawned if need be |

What is refused is counted, and changes nothing else. The order of one client's messages is kept, since they go one way.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, TypeAlias

from msgspec import DecodeError
from msgspec.structs import replace

from engines.crypto.keys import identity_of, is_valid, signer_of
from engines.execution.keyspace import shard_of
from engines.execution.messages import QueryRefused, QueryRequest
from engines.execution.transactions import tx_bytes
from engines.mempool.messages import TransactionRequest
from engines.model import Arrived, Become, Config, Effects, Family, Map, Ref, Send, Spawn, Value, rule
from engines.model.values import Decoder

from .course import Post
from .messages import (
    BODY_BYTES_MAX,
    OPTIONS_MAX,
    TXS_MAX,
    AskUser,
    Instruction,
    PendingQuestions,
    PendingRequest,
    Receipt,
    Refusal,
    Reply,
    Statement,
    StateQuery,
    Submission,
    SubmissionQuery,
    UserChoice,
    Watch,
    signed_text,
)
from .orders import AskPending, AskState, AskStatus, Choice, PutQuestion, Submit
from .session import SESSION

SESSIONS_MAX: Final = 10_000
NUMBER_MAX: Final = 2**63 - 1

_statement: Final = Decoder[Statement](Statement)


class House(Config):
    """What is behind the door. `users` are the identities it admits, in hex; () admits everyone who can reach it."""

    worker: Ref[TransactionRequest]
    shards: tuple[Ref[QueryRequest], ...]
    feed: Ref[Watch] | None = None
    users: tuple[str, ...] = ()


ToSession: TypeAlias = Submit | AskStatus | AskState | AskPending | Choice | PutQuestion


class Desk(Value):
    """State: the session of each user, and how many instructions were refused, by code."""

    sessions: Map[bytes, Ref[ToSession]] = Map()
    refused: Map[str, int] = Map()


Begin: TypeAlias = Become[Desk] | Spawn
Inward: TypeAlias = ToSession | QueryRequest | Watch
Outward: TypeAlias = Receipt | Refusal | PendingQuestions | QueryRefused | UserChoice
Made: TypeAlias = Effects[Desk, Inward | Outward]
Instructed: TypeAlias = Arrived[Instruction, House, Desk]


class _Refused(Exception):
    """An instruction is not taken: its code, and the reason in words."""

    def __init__(self, code: str, reason: str, number: int = 0) -> None:
        super().__init__(reason)
        self.code, self.reason, self.number = code, reason, number


def statement_of(body: bytes) -> Statement:
    """What a body says."""
    if len(body) > BODY_BYTES_MAX:
        raise _Refused("size", f"the instruction has {len(body):,} bytes; {BODY_BYTES_MAX:,} are allowed")
    try:
        statement = _statement.decode(body)
    except (DecodeError, RecursionError) as error:
        raise _Refused("unreadable", f"the instruction is no statement: {error}") from None
    if not isinstance(statement, Submission):
        return statement
    if not 1 <= len(statement.txs) <= TXS_MAX:
        reason = f"the instruction has {len(statement.txs):,} transactions; 1 to {TXS_MAX:,} are allowed"
        raise _Refused("size", reason, statement.number)
    if not 0 <= statement.number <= NUMBER_MAX:
        raise _Refused("number", "a number is from 0 to 2**63 - 1", statement.number)
    return statement


def _user_of(order: Instruction, users: Sequence[str]) -> bytes:
    """The user who signed."""
    user = identity_of(signer_of(order.commitment))
    if users and user.hex() not in users:
        raise _Refused("not_admitted", f"the door does not admit {user.hex()}; see `users` in its configuration")
    if not is_valid(order.commitment, signed_text(order.body)):
        raise _Refused("signature", "the signature is not that of the user over these bytes")
    return user


@rule
def take(order: Instruction, t: Instructed) -> Made:
    """State: a session or a refusal more. Messages: to the session, or a refusal. Engines: a session. Timers: none."""
    try:
        statement = statement_of(order.body)
        user = _user_of(order, t.config.users)
        if user not in t.env.state.sessions and len(t.env.state.sessions) >= SESSIONS_MAX:
            raise _Refused("busy", f"the door has {SESSIONS_MAX:,} users already")
    except _Refused as refused:
        counts = t.env.state.refused
        after = replace(t.env.state, refused=counts.set(refused.code, counts.get(refused.code, 0) + 1))
        return [Become(after), Send(order.reply_to, Refusal(refused.number, refused.code, refused.reason))]
    session, begin = _session_of(t, user)
    if isinstance(statement, Reply):
        return [*begin, Send(session, Choice(statement.question, statement.option, order.reply_to))]
    digest, txs = blake2b(order.body, digest_size=16).digest(), tuple(map(tx_bytes, statement.txs))
    return [*begin, Send(session, Submit(statement.number, digest, txs, order.reply_to, order.waits))]


def _session_of(
    t: Arrived[Instruction, House, Desk] | Arrived[AskUser, House, Desk], user: bytes
) -> tuple[Ref[ToSession], list[Begin]]:
    """A user's session, and what spawns it if this is their first message."""
    sessions = t.env.state.sessions
    if (session := sessions.get(user)) is not None:
        return session, []
    word = user.hex()[:16]
    session = t.child(word)
    after = replace(t.env.state, sessions=sessions.set(user, session))
    return session, [Become(after), Spawn(SESSION, word, Post(t.config.worker))]


@rule
def pass_status(ask: SubmissionQuery, t: Arrived[SubmissionQuery, House, Desk]) -> Made:
    """State: none. Messages: to the session of the user, or that there is none. Timers, engines: none."""
    session = t.env.state.sessions.get(ask.user)
    if session is None:
        reason = f"{ask.user.hex()} has submitted nothing here"
        return Send(ask.reply_to, Refusal(ask.number, "unknown", reason))
    return Send(session, AskStatus(ask.number, ask.reply_to, ask.waits))


@rule
def pass_query(ask: StateQuery, t: Arrived[StateQuery, House, Desk]) -> Made:
    """State: none. Messages: the query, to the shard or by way of the session. Timers, engines: none."""
    shards = t.config.shards
    shard = shards[shard_of(ask.key, len(shards))]
    if ask.height < 0:
        return Send(ask.reply_to, QueryRefused(ask.key, ask.height, "a height is 1 or more, or 0 for the newest"))
    session = t.env.state.sessions.get(ask.user) if ask.user and not ask.height else None
    if session is not None:
        return Send(session, AskState(ask.key, shard, ask.reply_to))
    return Send(shard, QueryRequest(ask.key, ask.reply_to, ask.height, waits=ask.waits))


@rule
def pass_watch(order: Watch, t: Arrived[Watch, House, Desk]) -> Made:
    """State: none. Messages: to the feed, or that there is none. Timers, engines: none."""
    if t.config.feed is None:
        return Send(order.reply_to, Refusal(order.after, "unknown", "this node has no feed; see `feed` of its door"))
    return Send(t.config.feed, order)


@rule
def pass_question(ask: AskUser, t: Arrived[AskUser, House, Desk]) -> Made:
    """State: a session more, if this is the first for the user. Messages: to the session. Engines: the session.
    Timers: none."""
    is_sound = ask.otherwise in ask.options and len(ask.options) <= OPTIONS_MAX
    if not is_sound or (ask.user not in t.env.state.sessions and len(t.env.state.sessions) >= SESSIONS_MAX):
        return Send(ask.reply_to, UserChoice(ask.text, ask.otherwise, True))
    session, begin = _session_of(t, ask.user)
    question = PutQuestion(t.sender, ask.text, ask.options, ask.otherwise, ask.patience_ns, ask.reply_to)
    return [*begin, Send(session, question)]


@rule
def pass_pending(ask: PendingRequest, t: Arrived[PendingRequest, House, Desk]) -> Made:
    """State: none. Messages: to the session of the user, or that nothing waits. Timers, engines: none."""
    session = t.env.state.sessions.get(ask.user)
    return Send(ask.reply_to, PendingQuestions(())) if session is None else Send(session, AskPending(ask.reply_to))


DOOR = Family(
    "door",
    config=House,
    state=Desk(),
    accepts=Instruction | SubmissionQuery | StateQuery | Watch | AskUser | PendingRequest,
    emits=Submit
    | AskStatus
    | AskState
    | AskPending
    | Choice
    | PutQuestion
    | QueryRequest
    | Watch
    | Receipt
    | Refusal
    | PendingQuestions
    | QueryRefused
    | UserChoice,
    spawns=[SESSION],
).rules(take, pass_status, pass_query, pass_watch, pass_question, pass_pending)
