"""The meaning of records. `layout` has their heads; here are their bodies.

| kind | name | body | meaning |
|---|---|---|---|
| 1 | NAME | UTF-8 | from here on in this segment, the record's engine number means this name |
| 2 | FRAME | a transport frame | mail for the engine, as it was received (`transport/frame.h`) |
| 3 | TURNS | below | transitions of the engine over consecutive messages of one stream |
| 4 | DUE | `DueTurn` | a transition over elapsed timers |
| 5 | ASKED | `Asked` | the transition before waits for a choice, with its deadline |
| 6 | ANSWER | `AnswerRecord` | one answer of the transition that waits, or of the one that comes next |
| 7 | RESUMED | `Resumed` | the transition that waited for a choice went on with all answers so far |
| 8 | IMAGE | `StreamImage` | from here on the engine is this: a birth, a new version, a new beginning |
| 9 | ENDED | `EndRecord` | the engine ended, and is not revived |
| 10 | ACKED | `Acked` | outputs below this number need no sending again |
| 11 | LIFE | `Life` | the first record of a writer |
| 12 | CLOSED | nothing | the last record of a writer that exited normally; synced |
| 13 | CHILD | `ChildEndRecord` | a child that the engine spawned has ended, and is not spawned again |
| 14 | DIGEST | `StateDigest` | the digest of the engine's environment behind all turns so far; since format 2 |

TURNS, all words little endian: the head

| offset | size | type | meaning |
|---|---|---|---|
| 0  | 4 | u32 | number of the sender's name |
| 4  | 4 | u32 | mailbox |
| 8  | 8 | u64 | epoch |
| 16 | 8 | u64 | number of the first message; the next turn has the next |
| 24 | 4 | u32 | number of the name that is the code's digest |
| 28 | 4 | u32 | count |

then for each turn 16 bytes: u64 the engine's clock, u32 checksum of the outputs (`digest`), u8 outcome, u8 0, u16
answers it was given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, Literal

import msgspec

from engines.model import Committed, Failed, Overflow, Refused, Spawned, Stored, Suspended, encode
from host.node.journal.layout import Wrong
from host.node.snapshot import CellImage


class RecordKind(IntEnum):
    """Kinds of records."""

    NAME = 1
    FRAME = 2
    TURNS = 3
    DUE = 4
    ASKED = 5
    ANSWER = 6
    RESUMED = 7
    IMAGE = 8
    ENDED = 9
    ACKED = 10
    LIFE = 11
    CLOSED = 12
    CHILD = 13
    DIGEST = 14


class TurnResult(IntEnum):
    """The result of a transition. SKIPPED: none took place; the message was taken out of its mailbox."""

    COMMITTED = 1
    STORED = 2
    OVERFLOW = 3
    REFUSED = 4
    FAILED = 5
    SUSPENDED = 6
    SKIPPED = 7


RESULTS: Final[dict[type[Any], TurnResult]] = {
    Committed: TurnResult.COMMITTED,
    Stored: TurnResult.STORED,
    Overflow: TurnResult.OVERFLOW,
    Refused: TurnResult.REFUSED,
    Failed: TurnResult.FAILED,
    Suspended: TurnResult.SUSPENDED,
}
"""By the type of the model's outcome."""


class DueTurn(msgspec.Struct, frozen=True, array_like=True):
    """A transition over elapsed timers, as (name, number)."""

    now_ns: int
    handles: tuple[tuple[str, int], ...]
    result: int
    outputs: int
    answers: int
    code: str


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """When a time-out answers the question; None: never."""

    deadline_ns: int | None


class AnswerRecord(msgspec.Struct, frozen=True, array_like=True):
    """The `index`-th answer, from 0, of the transition that began at `at_ns`."""

    at_ns: int
    index: int
    answer: str | int | None


class Resumed(msgspec.Struct, frozen=True, array_like=True):
    """The result of a transition that waited for a choice; `answers` counts all answers it had."""

    now_ns: int
    result: int
    outputs: int
    answers: int
    code: str


class Unacked(msgspec.Struct, frozen=True, array_like=True):
    """An output that may have to be sent again."""

    target: str
    mailbox: int
    n: int
    payload: bytes


class SpawnRecord(msgspec.Struct, frozen=True, array_like=True):
    """A spawn, to make the child again, idempotent by name. Values are encoded; `state` None: the family's."""

    name: str
    family: str
    params: bytes
    state: bytes | None


def spawn_record(spawned: Spawned) -> SpawnRecord:
    """The record of a spawn: what is written live, and what a replay makes of the same output."""
    state = None if spawned.state is None else encode(spawned.state)
    return SpawnRecord(spawned.name, spawned.family, encode(spawned.params), state)


class StreamImage(msgspec.Struct, frozen=True, array_like=True):
    """An engine as a record or a snapshot holds it.

    `cell` is as in any snapshot of a worker, but its `ways` hold the next number of each stream and its `held` is
    empty: outputs that could not leave are among `unacked`. `turns` counts all transitions of the engine so far, `code`
    is the digest of its version.
    """

    why: Literal["birth", "version", "again", "snapshot"]
    cell: CellImage
    mode: Literal["crash", "durable"]
    epoch: int
    turns: int
    code: str
    clock_ns: int
    unacked: list[Unacked] = []
    children: list[SpawnRecord] = []


class EndRecord(msgspec.Struct, frozen=True, array_like=True):
    """Why an engine ended without a `Stop` of its own."""

    reason: str


class Acked(msgspec.Struct, frozen=True, array_like=True):
    """Outputs of this stream below `next_n` are acknowledged."""

    target: str
    mailbox: int
    next_n: int


class Life(msgspec.Struct, frozen=True, array_like=True):
    """A writer begins, and what it found. `is_lost`: history may be missing; `epochs` are the epochs it raised."""

    now_ns: int
    boot_id: bytes
    is_lost: bool
    epochs: dict[str, int]


class ChildEndRecord(msgspec.Struct, frozen=True, array_like=True):
    """The name of a child that ended."""

    name: str


class StateDigest(msgspec.Struct, frozen=True, array_like=True):
    """The digest of an environment (`environment_digest`); `form` is that of its dump."""

    form: int
    digest: bytes


Body = DueTurn | Asked | AnswerRecord | Resumed | StreamImage | EndRecord | Acked | Life | ChildEndRecord | StateDigest

KINDS: Final[dict[type[Any], RecordKind]] = {
    DueTurn: RecordKind.DUE,
    Asked: RecordKind.ASKED,
    AnswerRecord: RecordKind.ANSWER,
    Resumed: RecordKind.RESUMED,
    StreamImage: RecordKind.IMAGE,
    EndRecord: RecordKind.ENDED,
    Acked: RecordKind.ACKED,
    Life: RecordKind.LIFE,
    ChildEndRecord: RecordKind.CHILD,
    StateDigest: RecordKind.DIGEST,
}

TURNS_HEAD: Final = struct.Struct("<IIQQII")
TURN: Final = struct.Struct("<QIBxH")
RUN_MAX: Final = 4096
"""Turns of one record at most."""


class Run(msgspec.Struct, frozen=True, gc=False):
    """The head of a TURNS record, its numbers resolved to names."""

    sender: str
    mailbox: int
    epoch: int
    first_n: int
    code: str
    count: int


def encode_run(
    sender: int, mailbox: int, epoch: int, first_n: int, code: int, turns: Sequence[tuple[int, int, int, int]]
) -> bytes:
    """The body of a TURNS record; turns are (clock, checksum of outputs, result, answers)."""
    head = TURNS_HEAD.pack(sender, mailbox, epoch, first_n, code, len(turns))
    return head + b"".join([TURN.pack(*turn) for turn in turns])


def decode_run(body: memoryview, names: dict[int, str]) -> tuple[Run, memoryview]:
    """A TURNS record: its head, and the turns for `TURN.iter_unpack`. Raises `Wrong`."""
    if len(body) < TURNS_HEAD.size:
        raise Wrong("a TURNS record is shorter than its head")
    sender, mailbox, epoch, first_n, code, count = TURNS_HEAD.unpack_from(body)
    turns = body[TURNS_HEAD.size :]
    if sender not in names or code not in names:
        raise Wrong(f"a TURNS record names {sender} and {code}, which this segment does not")
    if len(turns) != count * TURN.size:
        raise Wrong(f"a TURNS record of {count} turns in {len(turns)} bytes")
    return Run(names[sender], mailbox, epoch, first_n, names[code], count), turns


def single_turns(body: memoryview, after: int = 0) -> Iterator[tuple[int, tuple[int, int, int, int], memoryview]]:
    """The turns of a TURNS record behind its first `after`: number of the message, fields, the record of it alone."""
    sender, mailbox, epoch, first_n, code, _ = TURNS_HEAD.unpack_from(body)
    turns = body[TURNS_HEAD.size + after * TURN.size :]
    for n, turn in enumerate(TURN.iter_unpack(turns), first_n + after):
        yield n, turn, memoryview(TURNS_HEAD.pack(sender, mailbox, epoch, n, code, 1) + TURN.pack(*turn))


def decode_body(kind: int, body: memoryview) -> Body:
    """The body of a record that has one of `KINDS`. Raises `Wrong`."""
    try:
        decoded: Body = _DECODERS[kind](body)
    except (KeyError, msgspec.DecodeError) as error:
        raise Wrong(f"a record of kind {kind}: {error!r}") from None
    return decoded


encode_body: Final = msgspec.msgpack.Encoder().encode
_DECODERS: Final[dict[int, Any]] = {kind: msgspec.msgpack.Decoder(body).decode for body, kind in KINDS.items()}
