"""The last triggers of an engine, with what its present code made of them: what a new version rehearses on.

The process with the old code writes this, since nobody else has that code. Values of the old version are here as plain
data (`view`) or encoded, so the reader needs none of its classes. Mechanism of the rehearsal: `rehearsal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

import msgspec

from engines.model import Committed, Noted, Outcome, Outgoing, Output, Spawned, encode, view
from engines.model.store.adopt import Downgraded
from host.node.journal.records import RESULTS, TurnResult

MESSAGE_BYTES_MAX: Final = 16 * 1024
"""Longer messages are compared by their digests."""


class PastEngine(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An engine before the first of its turns that follow. `code` is the digest of the version that ran them, `family`
    its reference.

    `downgraded` is the state of `env` as the version before has it, if the family has a `downgrade`.
    """

    name: str
    node: str
    parent: str | None
    birth: int
    params: Any
    interface: dict[str, Any]
    code: str
    env: bytes
    downgraded: Downgraded = b""
    family: str = ""


class PastTurn(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A turn: its trigger (a message, or the names of timers), its answers, and the outcome.

    `n` is the number of the turn in the engine's life. `env` is the dump after it, b"" where it was not kept.
    """

    n: int
    now_ns: int
    sender: str
    mailbox: int
    message: bytes | None
    timers: tuple[str, ...]
    answers: tuple[Any, ...]
    result: str
    outputs: list[Any]
    env: bytes
    downgraded: Downgraded = b""


class PastLost(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The engine's past cannot be had, and why."""

    name: str
    reason: str


class PastEnd(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Nothing follows. Without it, the writer died."""


Past = PastEngine | PastTurn | PastLost | PastEnd

encode_past: Final = msgspec.msgpack.Encoder().encode
decode_past: Final = msgspec.msgpack.Decoder(Past).decode


def result_of(outcome: Outcome[Any]) -> str:
    """The kind of an outcome as a word: "committed", "failed"."""
    return TurnResult(RESULTS[type(outcome)]).name.lower()


def outputs_of(outcome: Outcome[Any]) -> list[Any]:
    """The outputs of an outcome as plain data, without notes: nobody but a reader of the log gets these."""
    return list(_plain(outcome.outputs)) if isinstance(outcome, Committed) else []


def _plain(outputs: Iterable[Output]) -> Iterable[Any]:
    for output in outputs:
        match output:
            case Outgoing(target, mailbox, message):
                yield {"to": target, "mailbox": mailbox, "message": _short(message)}
            case Spawned(name, family, params, state):
                yield {"spawn": name, "family": family, "params": _short(params), "state": _short(state)}
            case Noted():
                continue
            case _:
                yield {"stop": True}


def _short(value: Any) -> Any:
    if value is None or len(data := encode(value)) <= MESSAGE_BYTES_MAX:
        return view(value)
    tag = getattr(getattr(value, "__struct_config__", None), "tag", None)
    return {"type": tag, "bytes": len(data), "digest": blake2b(data, digest_size=16).hexdigest()}
